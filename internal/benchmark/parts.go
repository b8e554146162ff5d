// SPDX-License-Identifier: Apache-2.0

package benchmark

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

// errLost is what became of messages of which nothing was heard.
var errLost = errors.New("nothing was heard of it")

func (r *run) tally(what string, seats []Seat) *tally {
	return &tally{r: r, began: time.Now(), of: r.Messages, is: Result{What: what, Kept: r.Seats[0].Room.Kept(), Clients: len(seats), Size: r.Size, Pending: r.Pending}}
}

// each does something with all seats at the same time.
func each(seats []Seat, do func(int, Seat)) {
	var all sync.WaitGroup
	for i, s := range seats {
		all.Go(func() { do(i, s) })
	}
	all.Wait()
}

func (r *run) publish() []*tally {
	said := r.tally("publish", r.Seats)
	defer said.telling()()
	each(r.Seats, func(_ int, s Seat) { r.speak(s, said, nil) })
	said.lost(r.claimed.Load())
	return []*tally{said}
}

// speak says what there is to say. Before each message, ready is waited for, if there is one.
func (r *run) speak(s Seat, said *tally, ready func(number uint64)) {
	for number, n := r.claim(1); n > 0; number, n = r.claim(1) {
		m := client.Message{Data: r.body}
		if ready != nil {
			ready(number)
		}
		if ready != nil || s.Room.Kept() {
			m.ID = r.id(number)
		}
		sent := time.Now()
		if r.Pending > 1 && !s.Room.Kept() {
			sent = time.Time{} // nothing is waited for
		}
		done := func(_ client.Receipt, err error) {
			if err != nil {
				said.failed(1, err)
				return
			}
			said.done(1, len(r.body), sent)
		}
		if r.Pending > 1 {
			if err := s.Room.PublishAsync(r.work, m, done); err != nil {
				done(client.Receipt{}, err)
			}
			continue
		}
		done(s.Room.Publish(r.work, m))
	}
	if err := s.Client.Flush(r.work); err != nil {
		said.failed(0, err) // what that is of is counted for itself
	}
	said.last.Store(time.Since(said.began).Nanoseconds())
}

func (r *run) hear() []*tally {
	hearers := r.Seats[1:]
	tellers := make([]*client.Subscription, len(hearers))
	each(hearers, func(i int, s Seat) {
		ctx, cancel := context.WithTimeout(r.ctx, r.Patience)
		defer cancel()
		var err error
		if tellers[i], err = s.Room.Subscribe(ctx, client.StartNow()); err != nil {
			r.fail(err)
		}
	})
	if r.ctx.Err() != nil {
		return nil
	}
	e := &ears{newest: make([]atomic.Uint64, len(hearers)), moved: make(chan struct{}, 1)}
	hearing, deaf := context.WithCancel(r.work)
	defer deaf()
	over := make(chan struct{})
	said, heard := r.tally("publish", r.Seats[:1]), r.tally("hear", hearers)
	heard.of *= uint64(len(hearers))
	defer heard.telling()()
	go func() {
		defer close(over)
		each(hearers, func(i int, s Seat) {
			defer tellers[i].Close()
			r.listen(hearing, tellers[i], heard, func(number uint64) { e.hear(i, number) })
		})
	}()
	ahead := uint64(r.Pending)
	r.speak(r.Seats[0], said, func(number uint64) {
		e.wait(r.ctx, number, func() bool { return number-min(number, e.slowest()) <= ahead })
	})
	said.lost(r.claimed.Load())
	all := said.messages.Load() * uint64(len(hearers))
	e.wait(hearing, 0, func() bool { return heard.messages.Load() >= all })
	deaf()
	<-over
	heard.lost(all)
	return []*tally{said, heard}
}

// listen counts what is heard of this run until the context ends.
func (r *run) listen(ctx context.Context, s *client.Subscription, heard *tally, hear func(number uint64)) {
	for {
		m, err := s.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, client.ErrSlow): // what is missing in the end tells
			continue
		case err != nil:
			if heard.failed(0, err); r.ctx.Err() != nil {
				return
			}
			continue
		}
		if number, sent, ok := r.mine(m.ID); ok {
			heard.done(1, len(m.Data), sent)
			hear(number)
		}
	}
}

// ears know how far those are who hear.
type ears struct {
	newest []atomic.Uint64 // message that each has heard, by number
	moved  chan struct{}
}

func (e *ears) hear(i int, number uint64) {
	e.newest[i].Store(number)
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

func (e *ears) slowest() uint64 {
	least := uint64(math.MaxUint64)
	for i := range e.newest {
		least = min(least, e.newest[i].Load())
	}
	return least
}

// wait waits until it is so. When nothing is heard for a while, what is before that number is not waited for any more.
func (e *ears) wait(ctx context.Context, before uint64, so func() bool) {
	for !so() {
		select {
		case <-ctx.Done():
			return
		case <-e.moved:
		case <-time.After(quiet):
			for i := range e.newest {
				e.newest[i].Store(before)
			}
			return
		}
	}
}

func (r *run) history() []*tally {
	read := r.tally("history", r.Seats)
	read.is.Size, read.is.Pending = 0, 0
	defer read.telling()()
	each(r.Seats, func(_ int, s Seat) {
		from := uint64(1)
		for _, n := r.claim(v1.MaxPage); n > 0; _, n = r.claim(v1.MaxPage) {
			ctx, cancel := context.WithTimeout(r.work, r.Patience)
			begun := time.Now()
			page, end, err := s.Room.History(ctx, v1.HistoryRequest{From: from, Limit: int(n)})
			cancel()
			if err == nil && len(page) == 0 && from == 1 {
				err = fmt.Errorf("room %s: %w", s.Room.Name, ErrNothing)
			}
			if err != nil {
				read.failed(n, err)
				continue
			}
			size := 0
			for _, m := range page {
				size += len(m.Data)
			}
			read.done(uint64(len(page)), size, begun)
			r.claimed.Add(uint64(len(page)) - n) // another page has the rest
			if from = end.Next; !end.More {
				from = 1
			}
		}
	})
	return []*tally{read}
}

func (r *run) request() []*tally {
	answering, enough := context.WithCancel(r.work)
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := r.Seats[0].Room.Respond(answering, r.prefix, func(_ context.Context, m client.Message) (client.Message, error) {
			if _, _, ok := r.mine(m.ID); !ok {
				return client.Message{}, client.ErrNoAnswer // somebody else asks, and somebody else may answer
			}
			return client.Message{Data: m.Data}, nil
		})
		if answering.Err() == nil {
			r.fail(err)
		}
	}()
	defer func() { enough(); <-over }()
	ask := func(s Seat, number uint64) error {
		ctx, cancel := context.WithTimeout(r.work, r.Patience)
		defer cancel()
		_, err := s.Room.Request(ctx, s.Client.User(), client.Message{ID: r.id(number), Data: r.body})
		return err
	}
	begun := time.Now()
	each(r.Seats[1:], func(_ int, s Seat) { // until all nodes know who answers
		for r.ctx.Err() == nil && errors.Is(ask(s, 0), client.ErrNoAnswer) && time.Since(begun) < r.Patience {
			r.breathe()
		}
	})
	asked := r.tally("request", r.Seats[1:])
	asked.is.Pending = 1
	defer asked.telling()()
	each(r.Seats[1:], func(_ int, s Seat) {
		for number, n := r.claim(1); n > 0; number, n = r.claim(1) {
			sent := time.Now()
			if err := ask(s, number); err != nil {
				asked.failed(1, err)
				continue
			}
			asked.done(1, len(r.body), sent)
		}
	})
	return []*tally{asked}
}
