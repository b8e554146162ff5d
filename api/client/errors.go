// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// What can go wrong, for errors.Is. The error's text names the thing and the remedy. An error that a node answered is, for
// errors.As, also the *v1.Error or *v1.Problem that it sent.
var (
	// ErrForbidden: not in the room, or its reader; or of the HTTP API: not the admin that it takes.
	ErrForbidden = errors.New("not allowed")
	// ErrNotKept: the room keeps no history.
	ErrNotKept = errors.New("the room keeps no history")
	// ErrTooLarge: the message is larger than the bus, or the room's history class, takes.
	ErrTooLarge = errors.New("too large")
	// ErrRate: more a second than is allowed. Try again later.
	ErrRate = errors.New("too many a second")
	// ErrFull: the room, or its history class, is full and refuses.
	ErrFull = errors.New("full")
	// ErrUnavailable: no node could do it now. What was sent may have been taken all the same, unless the text says otherwise.
	ErrUnavailable = errors.New("not available now")
	// ErrInvalid: what the caller gave breaks a rule, and would again.
	ErrInvalid = errors.New("invalid")

	// ErrNotFound: it is not there, or the caller may not know that it is.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is one of that name or key already.
	ErrExists = errors.New("exists already")
	// ErrConflict: it was changed since the caller read it. Read it again.
	ErrConflict = errors.New("changed meanwhile")
	// ErrInUse: others rest on it.
	ErrInUse = errors.New("in use")
	// ErrLastAdmin: without this admin nobody could change anything.
	ErrLastAdmin = errors.New("the last admin")
	// ErrLimit: it would be one too many, or too much for the store.
	ErrLimit = errors.New("limit reached")
	// ErrToken: the HTTP API does not take the caller's token: it knows the key not (any more), is of another cluster, or one of the
	// clocks is wrong.
	ErrToken = errors.New("token refused")
	// ErrInternal: the node failed, or answered with a code that this library does not know.
	ErrInternal = errors.New("the node failed")

	// ErrRemoved: the bus refuses the key: it is not on the allowlist (any more). The client keeps trying: it may be put there again.
	ErrRemoved = errors.New("the key is refused")
	// ErrBadKey: the key's seed can't be read or used, or is open to others.
	ErrBadKey = errors.New("bad key")
	// ErrBadServer: what a server sent is nothing that a node sends: a nonce to sign that may be something else, an answer that makes
	// no sense.
	ErrBadServer = errors.New("not a node of UniBus")
	// ErrInsecure: without TLS, off loopback.
	ErrInsecure = errors.New("not secure")
	// ErrSlow: messages of a room that keeps none came faster than they were taken; some are lost.
	ErrSlow = errors.New("messages lost")
	// ErrNoAnswer: nobody in the room answers requests.
	ErrNoAnswer = errors.New("nobody answers")
	// ErrAnswer: who answered says that it could not do what was asked.
	ErrAnswer = errors.New("answered with an error")
	// ErrClosed: the client or the subscription is closed.
	ErrClosed = errors.New("closed")
)

var byCode = map[string]error{
	v1.CodeForbidden: ErrForbidden, v1.CodeNotKept: ErrNotKept, v1.CodeTooLarge: ErrTooLarge, v1.CodeRate: ErrRate, v1.CodeFull: ErrFull,
	v1.CodeUnavailable: ErrUnavailable, v1.CodeMalformed: ErrInvalid, v1.CodeHeader: ErrInvalid, v1.CodeInvalid: ErrInvalid,
	v1.CodeNotFound: ErrNotFound, v1.CodeExists: ErrExists, v1.CodeConflict: ErrConflict, v1.CodeInUse: ErrInUse,
	v1.CodeLastAdmin: ErrLastAdmin, v1.CodeLimit: ErrLimit, v1.CodeToken: ErrToken,
}

// refusal is an error of a kind that its text does not repeat, such as one that a node answered.
type refusal struct{ kind, cause error }

func (r *refusal) Error() string   { return clean(r.cause.Error()) }
func (r *refusal) Unwrap() []error { return []error{r.kind, r.cause} }

func refused(code string, cause error) error {
	kind, known := byCode[code]
	if !known {
		kind = ErrInternal
	}
	return &refusal{kind, cause}
}

// answered turns the error of a node's answer into one of this package.
func answered(e *v1.Error) error {
	if e == nil {
		return nil
	}
	return refused(e.Code, e)
}

// mostText is how much of a text that a server wrote is told on, in bytes.
const mostText = 512

// clean takes out of a server's text what a terminal would obey, or show in another order.
func clean(s string) string {
	if len(s) > mostText {
		s = s[:mostText] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// ended says why a call stopped waiting: the end of the context, and what it waited for.
func ended(ctx context.Context, what string, last error) error {
	if last == nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	return fmt.Errorf("%s: %w, after: %w", what, context.Cause(ctx), last)
}
