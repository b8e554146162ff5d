// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pump sends messages that are to be kept, and counts the answers that say so. It is the same client for a room's history and for a
// raw stream: only the subject differs.
type pump struct {
	nc      *nats.Conn
	subject string
	window  int // messages in flight
	data    []byte

	inbox    string
	sub      *nats.Subscription
	answered chan struct{}
	failed   atomic.Pointer[string]
	refused  atomic.Int64
	lenient  bool   // refused messages are counted, and no failure
	prefix   string // of message ids, which no other pump has: the same id would not be kept again
	sent     int

	mu    sync.Mutex
	waits map[string]int // messages without an answer, by the subject that it comes to; nil where all come to one
}

var pumps atomic.Int64

func newPump(nc *nats.Conn, subject string, window int, data []byte) (*pump, error) {
	p := &pump{nc: nc, subject: subject, window: window, data: data, inbox: nc.NewInbox(), answered: make(chan struct{}, window)}
	p.prefix = fmt.Sprintf("%s-%d-", strconv.FormatInt(begun.UnixNano(), 36), pumps.Add(1))
	var err error
	p.sub, err = nc.Subscribe(p.inbox, p.hear)
	return p, err
}

// newTellingPump makes a pump that knows which message an answer is to, and so which one was refused.
func newTellingPump(nc *nats.Conn, subject string, window int, data []byte) (*pump, error) {
	p, err := newPump(nc, subject, window, data)
	if err != nil {
		return nil, err
	}
	if err := p.sub.Unsubscribe(); err != nil {
		return nil, err
	}
	p.inbox, p.waits = p.inbox+".", map[string]int{}
	p.sub, err = nc.Subscribe(p.inbox+"*", func(m *nats.Msg) {
		if p.answer(m.Subject) {
			p.hear(m)
		}
	})
	return p, err
}

// ask returns the subject for the answer to the message that is sent next.
func (p *pump) ask() string {
	if p.waits == nil {
		return p.inbox
	}
	reply := p.inbox + strconv.Itoa(p.sent)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits[reply] = p.sent
	return reply
}

// answer says whether a message waits for an answer under a subject; from now on none does.
func (p *pump) answer(subject string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, waits := p.waits[subject]
	delete(p.waits, subject)
	return waits
}

func (p *pump) hear(m *nats.Msg) {
	// Both a stream and the service tell a sequence. A duplicate would cost less.
	if !bytes.Contains(m.Data, []byte(`"seq`)) || bytes.Contains(m.Data, []byte(`"error"`)) || bytes.Contains(m.Data, []byte(`"duplicate"`)) {
		why := fmt.Sprintf("%q %v", m.Data, m.Header)
		p.failed.CompareAndSwap(nil, &why)
		p.refused.Add(1)
	}
	p.answered <- struct{}{}
}

// run sends for a time and returns how many messages were kept. It fails when one is not answered, or refused.
func (p *pump) run(ctx context.Context, d time.Duration) (done int, err error) {
	m := &nats.Msg{Subject: p.subject, Data: p.data, Header: nats.Header{}}
	begin, first := time.Now(), p.sent
	limit := time.NewTimer(d + 30*time.Second)
	defer limit.Stop()
	for {
		for p.sent-first-done < p.window && time.Since(begin) < d && ctx.Err() == nil {
			p.sent++
			m.Reply = p.ask()
			m.Header[jetstream.MsgIDHeader] = []string{p.prefix + strconv.Itoa(p.sent)}
			if err := p.nc.PublishMsg(m); err != nil {
				return done, err
			}
		}
		if p.sent-first == done {
			return done, ctx.Err()
		}
		select {
		case <-p.answered:
			done++
		case <-limit.C:
			return done, fmt.Errorf("%w: %d of %d messages to %s are answered", errGivenUp, done, p.sent-first, p.subject)
		}
		if why := p.failed.Load(); why != nil && !p.lenient {
			return done, fmt.Errorf("a message to %s is not kept: %s", p.subject, *why)
		}
	}
}
