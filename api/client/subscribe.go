// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Start is where in a room's messages a subscription begins.
type Start struct{ start *v1.HistoryRequest }

// StartNow is the next message.
func StartNow() Start { return Start{} }

// FromSequence is the first message of that sequence or a later one. To go on after a message, give its sequence plus one.
func FromSequence(sequence uint64) Start {
	return Start{&v1.HistoryRequest{From: max(sequence, 1)}}
}

// FromTime is the first message that was kept at that time or later.
func FromTime(t time.Time) Start { return Start{&v1.HistoryRequest{Since: &t}} }

// LastN is the n-th newest message, n from 1 to 1000.
func LastN(n int) Start {
	if n < 1 {
		n = -1 // which is refused; 0 would be all
	}
	return Start{&v1.HistoryRequest{Last: n}}
}

// Subscription gives the messages of a room. Its methods are called by one goroutine at a time, but for Close.
type Subscription struct {
	r  *Room
	in *listener

	// Of a kept room:
	start  *v1.HistoryRequest // until it is answered
	skip   bool               // what start gives is not given on
	last   uint64             // the sequence of the newest message that was given
	behind bool               // the history has, or may have, what was not heard
	need   uint64             // it has to have this one
	page   []Message          // what was read of it, and not given yet
	turn   uint64             // of the connection that was listened on
	quiet  time.Duration      // after so long a silence the history is asked
	look   time.Time          // when that is to be done
	heard  bool               // something, since the last look

	dropped int // of a room that is not kept
}

const (
	// A room is listened to so far ahead of who takes its messages. What is kept is read from the history later.
	keptAhead, keptAheadBytes = 4096, 16 << 20
	liveAhead, liveAheadBytes = 32768, 64 << 20

	firstQuiet, mostQuiet = 2 * time.Second, time.Minute
)

// Subscribe begins to listen, and returns when nothing that is said from now on is missed.
//
// In a room that keeps history each message comes once, in the order of sequences, however often the connection or nodes are lost and
// however slowly messages are taken: what was not heard is read from the history. Only what the history class has dropped before it
// was read does not come.
//
// A room that keeps none is heard from now on only; what is said while there is no connection, or faster than it is taken, is lost, and what is
// still on its way between nodes when the connection moves to another one may come twice.
//
// The context bounds the subscribing only. It fails with ErrNotKept, ErrForbidden, ErrInvalid, ErrRemoved, ErrBadServer, ErrClosed and the context's
// error.
func (r *Room) Subscribe(ctx context.Context, from Start) (*Subscription, error) {
	s := &Subscription{r: r, start: from.start, quiet: r.c.quiet}
	before := r.c.nc.LastError()
	var err error
	if !r.Kept() {
		if from.start != nil {
			return nil, fmt.Errorf("subscribe to room %s: %w: StartNow is all there is", r.Name, ErrNotKept)
		}
		s.in, err = r.c.listen(v1.RoomSubject(r.ID, "*", v1.SubjectMessage), "", liveAhead, liveAheadBytes)
	} else {
		if s.behind = true; s.start == nil {
			s.start, s.skip = &v1.HistoryRequest{Last: 1}, true
		}
		s.in, err = r.c.listen(v1.LogSubject(r.ID), "", keptAhead, keptAheadBytes)
	}
	if err == nil {
		s.turn = r.c.turn()
		if err = r.c.again(ctx, "subscribe", r.c.flush); err == nil && r.Kept() {
			err = s.read(ctx)
		}
		if err == nil {
			err = s.in.trouble()
		}
		if err == nil && r.c.denied(before, s.in.subject) {
			err = errDenied
		}
		if err != nil {
			s.Close()
		}
	}
	if err != nil {
		return nil, r.named("subscribe", err)
	}
	return s, nil
}

// Close ends the subscription. Next fails with ErrClosed from then on.
func (s *Subscription) Close() { s.in.close() }

// Next waits for the next message. It fails with ErrForbidden when the user is not in the room any more: then nothing comes until
// another Subscribe, from the last message's sequence plus one. After other errors it may be called again: ErrRemoved, the context's error,
// and, in a room that keeps none, ErrSlow. It ends with ErrClosed.
func (s *Subscription) Next(ctx context.Context) (Message, error) {
	next := s.nextLive
	if s.r.Kept() {
		next = s.nextKept
	}
	m, err := next(ctx)
	return m, s.r.named("next message", err)
}

// Messages are what Next returns, up to its first error.
func (s *Subscription) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := s.Next(ctx)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

func (s *Subscription) nextLive(ctx context.Context) (Message, error) {
	for {
		m, err := s.in.next(ctx, time.Time{})
		if errors.Is(err, errDropped) {
			n, _ := s.in.sub.Dropped() // a closed one shows the next time
			was := s.dropped
			s.dropped = max(n, was)
			return Message{}, fmt.Errorf("%w: %d came faster than they were taken", ErrSlow, s.dropped-was)
		}
		if err != nil && !errors.Is(err, errNobody) {
			return Message{}, err
		}
		if m == nil {
			continue
		}
		if out, ok := spoken(m, s.r.prefix); ok {
			return out, nil
		}
	}
}

func (s *Subscription) nextKept(ctx context.Context) (Message, error) {
	for {
		for len(s.page) > 0 {
			m := s.page[0]
			s.page[0] = Message{} // it is not kept any longer than who takes it keeps it
			if s.page = s.page[1:]; m.Sequence > s.last {
				s.last = m.Sequence
				return m, nil
			}
		}
		if s.behind {
			if err := s.read(ctx); err != nil {
				return Message{}, err
			}
			continue
		}
		m, err := s.in.next(ctx, s.look)
		switch {
		case errors.Is(err, errDropped), errors.Is(err, errNobody): // it shows as a gap; no node sends that
		case err != nil:
			return Message{}, err
		case m == nil:
			s.lookAround(time.Now())
		default:
			if out, ok := s.take(m); ok {
				return out, nil
			}
		}
	}
}

// take judges what was heard: it is given on if the one before it was.
func (s *Subscription) take(m *nats.Msg) (Message, bool) {
	out, ok := kept(m, v1.HeaderLogSequence, headerLogTime)
	previous, err := strconv.ParseUint(first(m, v1.HeaderLogPrevious), 10, 64)
	switch {
	case !ok, err != nil, previous >= out.Sequence:
		return Message{}, false // no node sends that; if it stands for one that is missing, that shows
	case out.Sequence <= s.last:
		return Message{}, false // from the history, before
	case previous > s.last:
		s.behind, s.need = true, out.Sequence
		return Message{}, false
	}
	s.last, s.heard = out.Sequence, true
	return out, true
}

// lookAround is called when time has passed or something has happened. What was told before the connection was lost or, as the last before a
// silence, by a node that was, shows in the history only.
func (s *Subscription) lookAround(now time.Time) {
	switch turn := s.r.c.turn(); {
	case turn != s.turn:
		s.turn, s.behind, s.quiet = turn, true, s.r.c.quiet
	case now.Before(s.look):
		return
	case s.heard:
		s.quiet = s.r.c.quiet
	default:
		s.behind, s.quiet = true, min(2*s.quiet, mostQuiet)
	}
	s.look, s.heard = now.Add(s.quiet), false
}

// read reads a page of what was missed.
func (s *Subscription) read(ctx context.Context) error {
	q := v1.HistoryRequest{From: s.last + 1, AtLeast: s.need}
	if s.start != nil {
		q = *s.start
	}
	page, end, err := s.r.History(ctx, q)
	if err != nil {
		return err
	}
	if s.start != nil {
		if s.start = nil; q.From > 0 {
			s.last = q.From - 1
		} else if len(page) == 0 {
			s.last = min(max(end.Next, 1), math.MaxInt64) - 1 // there is nothing yet
		}
		if s.skip {
			for _, m := range page {
				s.last = m.Sequence
			}
			page = nil
		}
	}
	if s.page, s.behind = page, end.More; !s.behind {
		s.need = 0
	}
	s.look = time.Now().Add(s.quiet)
	return nil
}
