// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"iter"
	"sync/atomic"
)

// verdict is the outcome of one check, or what happens to a connection later. Its text is a label of a metric: keep it stable.
type verdict int

const (
	admitted verdict = iota
	refusedKind
	refusedNonce
	refusedKey
	refusedSignature
	refusedUnknown
	refusedNotReady
	refusedMany
	refusedAccount
	refusedEnded
	narrowed
	kicked
	verdicts // how many there are
)

var verdictText = [verdicts]string{
	admitted:         "admitted",
	refusedKind:      "not-a-client",
	refusedNonce:     "no-nonce",
	refusedKey:       "no-user-key",
	refusedSignature: "bad-signature",
	refusedUnknown:   "unknown-key",
	refusedNotReady:  "not-ready",
	refusedMany:      "too-many",
	refusedAccount:   "no-such-account",
	refusedEnded:     "ended",
	narrowed:         "narrowed",
	kicked:           "kicked",
}

func (v verdict) String() string { return verdictText[v] }

type counts [verdicts]atomic.Uint64

func (c *counts) add(v verdict) { c[v].Add(1) }

func (c *counts) all() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for v := range verdicts {
			if !yield(v.String(), c[v].Load()) {
				return
			}
		}
	}
}
