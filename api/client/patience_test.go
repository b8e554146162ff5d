// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// What is not answered is sent again as soon as answers to others let one think that it never will be, under the same id.
func TestSendsAgain(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	var mu sync.Mutex
	came := map[string]int{}
	s.posing(v1.AppendSubjects, func(_ *nats.Conn, m *nats.Msg) { // as a node that hands over a stream: it takes one message, and answers it never
		mu.Lock()
		came[m.Header.Get(v1.HeaderMessageID)]++
		again := came[m.Header.Get(v1.HeaderMessageID)] > 1
		mu.Unlock()
		if again || string(m.Data) != "lost" {
			if err := m.Respond([]byte(`{"stream":"x","seq":7}`)); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 100 {
		mustPublish(t, r, fmt.Sprint(i))
	}
	ann.out.mu.Lock()
	if ann.out.mean == 0 {
		t.Error("100 answers came, and nothing is known of what they take")
	}
	ann.out.patience = patience{mean: time.Millisecond} // however busy the machine is
	ann.out.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	done := make(chan error, 1)
	s.must(r.PublishAsync(ctx, Message{Data: []byte("lost")}, func(_ Receipt, err error) { done <- err }))
	ann.out.mu.Lock()
	p := ann.out.waiting[ann.out.number]
	if wait := p.again.Sub(p.first); wait != leastPatience {
		t.Errorf("an answer is waited for for %v, want %v", wait, leastPatience)
	}
	ann.out.mu.Unlock()
	now := p.first.Add(leastPatience)
	ann.out.sweep(now)
	ann.out.mu.Lock()
	if p.tries == 0 {
		t.Error("the message was not sent again when the wait was over")
	} else if wait := p.again.Sub(now); p.tries == 1 && wait != 2*leastPatience {
		t.Errorf("then it is waited for for %v, want %v", wait, 2*leastPatience)
	}
	ann.out.mu.Unlock()
	s.must(<-done)
	mu.Lock()
	defer mu.Unlock()
	if len(came) != 101 {
		t.Errorf("%d ids of 101 messages", len(came))
	}
}

func TestPatience(t *testing.T) {
	answers := func(took ...time.Duration) (p patience) {
		for range 50 {
			for _, d := range took {
				p.note(d)
			}
		}
		return p
	}
	for what, c := range map[string]struct {
		p     patience
		tries int
		from  time.Duration
		to    time.Duration
	}{
		"nothing was answered": {p: patience{}, from: firstPatience, to: firstPatience},
		"quick":                {p: answers(time.Millisecond), from: leastPatience, to: leastPatience},
		"quick, again":         {p: answers(time.Millisecond), tries: 1, from: 2 * leastPatience, to: 2 * leastPatience},
		"quick, many times":    {p: answers(time.Millisecond), tries: 1 << 30, from: mostPatience, to: mostPatience},
		"slow":                 {p: answers(500 * time.Millisecond), from: 500 * time.Millisecond, to: 600 * time.Millisecond},
		"now so, now so":       {p: answers(time.Millisecond, 401*time.Millisecond), from: 800 * time.Millisecond, to: 1200 * time.Millisecond},
		"slower than allowed":  {p: answers(time.Minute), from: mostPatience, to: mostPatience},
		"at once":              {p: answers(0), from: firstPatience, to: firstPatience},
	} {
		if got := c.p.wait(c.tries); got < c.from || got > c.to {
			t.Errorf("%s: %v, want %v to %v", what, got, c.from, c.to)
		}
	}
	p := answers(time.Minute)
	for range 100 {
		p.note(time.Millisecond)
	}
	if got := p.wait(0); got != leastPatience {
		t.Errorf("after what was slow was long ago: %v, want %v", got, leastPatience)
	}
}
