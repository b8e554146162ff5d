// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

const (
	// toldSubject is where directories ask each other, in the membership account, whether Changed has been told all up to given sequences.
	toldSubject = "told"
	// mostAsked is how many such requests may wait. Beyond that the oldest get no answer.
	mostAsked = 1024
	// missedBeats is how many heartbeats a node may miss and still be waited for.
	missedBeats = 3
)

// sequences are the buckets', by name.
type sequences map[string]uint64

// asked is a request that is answered once all was told up to sequences.
type asked struct {
	upTo sequences
	m    *nats.Msg
}

// Everywhere returns when Config.Changed of every node was told what this directory knows now. Nodes whose heartbeats are not seen any more are
// not waited for. It fails when the directory does not run or reads a bucket anew, and with the context's error, which then names the nodes that
// have not answered: they know before they next prove that they are not cut off.
func (d *Directory) Everywhere(ctx context.Context) error {
	d.mu.RLock()
	nc, upTo, anew := d.nc, sequences{}, ""
	for _, b := range d.buckets {
		if upTo[b.name] = b.last; !b.whole {
			anew = b.name // what is known is of an earlier watch, and this one has not come to it
		}
	}
	missing := map[string]bool{d.name: true}
	now := d.clock()
	for name, seen := range d.alive {
		if now.since(seen) <= missedBeats*d.c.Heartbeat {
			missing[name] = true
		}
	}
	d.mu.RUnlock()
	if nc == nil {
		return errors.New("ask nodes whether they know: membership is not being watched")
	}
	if anew != "" {
		return fmt.Errorf("ask nodes whether they know: bucket %s is being read anew", anew)
	}
	body, err := json.Marshal(upTo)
	if err != nil {
		return err
	}
	answers, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return fmt.Errorf("ask nodes whether they know: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }() // it fails on a closed connection only
	if err := nc.PublishRequest(toldSubject, answers.Subject, body); err != nil {
		return fmt.Errorf("ask nodes whether they know: %w", err)
	}
	for len(missing) > 0 {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("%s: not known whether it knows: %w", strings.Join(slices.Sorted(maps.Keys(missing)), ", "), err)
		}
		delete(missing, string(m.Data))
	}
	return nil
}

// hearAsked takes a request of a node.
func (d *Directory) hearAsked(m *nats.Msg) {
	a := asked{m: m}
	if err := json.Unmarshal(m.Data, &a.upTo); err != nil {
		d.log.Warn("a request of a node can't be read", "subject", m.Subject, "error", err)
		return
	}
	d.mu.Lock()
	d.asked = append(d.asked, a)
	if len(d.asked) > mostAsked {
		d.asked = slices.Delete(d.asked, 0, 1)
	}
	ready := d.takeTold()
	d.mu.Unlock()
	d.answer(ready)
}

// takeTold takes the requests that can be answered. The lock is held.
func (d *Directory) takeTold() (ready []asked) {
	d.asked = slices.DeleteFunc(d.asked, func(a asked) bool {
		for _, b := range d.buckets {
			if b.told < a.upTo[b.name] {
				return false
			}
		}
		ready = append(ready, a)
		return true
	})
	return ready
}

func (d *Directory) answer(ready []asked) {
	if len(ready) == 0 {
		return
	}
	d.mu.RLock()
	name := d.name
	d.mu.RUnlock()
	for _, a := range ready {
		if err := a.m.Respond([]byte(name)); err != nil {
			d.log.Debug("a node was not told that this one knows", "error", err)
		}
	}
}
