// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// later is when tests send, so that the client does not look after it by itself meanwhile, however busy the machine is.
func later() time.Time { return time.Now().Add(time.Hour) }

// begin sends a message for the first time.
func (a *appends) begin(p *appending, now time.Time) (number uint64, err error) {
	a.sending.Lock()
	defer a.sending.Unlock()
	number, _ = a.place(p, now)
	return number, a.put(number, p)
}

// look returns how often a message was sent again, and when it is sent the next time.
func (a *appends) look(p *appending) (tries int, again time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return p.tries, p.again
}

// What is not answered is sent again as soon as answers to others let one think that it never will be, under the same id.
func TestSendsAgain(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	ids := make(chan string, 10)
	s.posing(v1.AppendSubjects, func(_ *nats.Conn, m *nats.Msg) { // as a node that hands over a stream: it takes a message, and answers it never
		if string(m.Data) == "lost" {
			ids <- m.Header.Get(v1.HeaderMessageID)
		} else if err := m.Respond([]byte(`{"stream":"x","seq":7}`)); err != nil {
			t.Error(err)
		}
	})
	for i := range 100 {
		mustPublish(t, r, fmt.Sprint(i))
	}
	a := ann.out
	a.mu.Lock()
	if a.mean == 0 {
		t.Error("100 answers came, and nothing is known of what they take")
	}
	a.patience = patience{mean: time.Millisecond}
	a.mu.Unlock()

	now := later()
	p := &appending{ctx: t.Context(), room: r, m: Message{Data: []byte("lost")}, done: func(Receipt, error) {}}
	_, err := a.begin(p, now)
	s.must(err)
	first := <-ids
	a.sweep(now.Add(leastPatience - 1))
	if tries, again := a.look(p); tries != 0 || again != now.Add(leastPatience) {
		t.Fatalf("sent again %d times, and next after %v, want none and %v", tries, again.Sub(now), leastPatience)
	}
	for n, wait := range []time.Duration{2 * leastPatience, 4 * leastPatience, 8 * leastPatience, mostPatience, mostPatience} {
		_, now = a.look(p)
		a.sweep(now)
		if tries, again := a.look(p); tries != n+1 || again != now.Add(wait) {
			t.Fatalf("sent again %d times, and next after %v, want %d and %v", tries, again.Sub(now), n+1, wait)
		}
		if id := <-ids; id != first {
			t.Errorf("sent as %s, and again as %s", first, id)
		}
	}
}

// A stream that has not done with a message says so of its second copy. That is no reason to send a third at once.
func TestWaitsForWhatIsInProcess(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	s.posing(v1.AppendSubjects, func(*nats.Conn, *nats.Msg) {})
	a, now := ann.out, later()
	done := make(chan error, 1)
	p := &appending{ctx: t.Context(), room: r, done: func(_ Receipt, err error) { done <- err }}
	number, err := a.begin(p, now)
	s.must(err)
	_, want := a.look(p)
	say := func(text string) { a.hear(&nats.Msg{Subject: a.inbox + fmt.Sprint(number), Data: []byte(text)}) }
	say(`{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"},"stream":"x","seq":0}`)
	if tries, again := a.look(p); tries != 0 || again != want {
		t.Errorf("sent again %d times, and next at %v, want %v", tries, again, want)
	}
	say(`{"stream":"x","seq":7}`)
	s.must(<-done)
}

// Answers that take longer than they are waited for are learnt from, though each message is sent again before its own comes.
func TestLearnsThatAnswersTakeLonger(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	s.posing(v1.AppendSubjects, func(*nats.Conn, *nats.Msg) {})
	a := ann.out
	a.mu.Lock()
	a.patience = patience{mean: time.Millisecond}
	a.mu.Unlock()
	for range 50 {
		now := later()
		p := &appending{ctx: t.Context(), room: r, done: func(Receipt, error) {}}
		number, err := a.begin(p, now)
		s.must(err)
		_, again := a.look(p)
		a.sweep(again)
		a.mu.Lock()
		p.first = time.Now().Add(-500 * time.Millisecond)
		a.mu.Unlock()
		a.hear(&nats.Msg{Subject: a.inbox + fmt.Sprint(number), Data: []byte(`{"stream":"x","seq":7}`)})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := a.wait(0); wait < 500*time.Millisecond {
		t.Errorf("answers take 500 ms, and are waited for for %v", wait)
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
		"slower once":          {p: func() patience { p := answers(time.Millisecond); p.note(time.Hour); return p }(), from: time.Second, to: mostPatience},
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
