// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/crowd"
	"github.com/unibus/unibus/internal/membership"
)

// parlourRoom keeps nothing.
const parlourRoom = "parlour"

const (
	// answerLimit is how long an answer is waited for, and asked how many requests are on their way at a time.
	answerLimit, asked = 5 * time.Second, 3
)

// parlour is a room that keeps nothing, with one who speaks and asks, one who answers, one who listens, and one who is in the room and
// out of it by turns. Nothing is heard by who is out of the room; no answer is another's; no request is put twice; and while nothing befalls the
// cluster, all that is said is heard and each request is answered, once. A listener whose node stops may hear again through the next one what was
// still on its way there.
type parlour struct {
	*library
	model                               *crowd.Model
	speaker, answerer, listener, passer *guest
	calmly                              atomic.Bool
	seated                              func(time.Time) // notes that the passer-by is in the room at first

	mu       sync.Mutex
	said     uint64          // the newest number
	taken    map[uint64]bool // those that a node has, as the library says
	heard    map[uint64]bool // by the listener
	newest   uint64          // of these
	again    int             // times that one came that had been heard
	served   map[string]bool // requests that were put to the one who answers
	answered int
	awaited  int // in calm times
}

func (l *library) newParlour(bounds crowd.Bounds) (*parlour, error) {
	p := &parlour{library: l, model: crowd.NewModel(bounds), taken: map[uint64]bool{}, heard: map[uint64]bool{}, served: map[string]bool{}}
	for _, g := range []struct {
		guest **guest
		name  string
		role  v1.Role
	}{{&p.speaker, "speaker", v1.RoleMember}, {&p.answerer, "answerer", v1.RoleMember}, {&p.listener, "listener", v1.RoleReader}, {&p.passer, "passer-by", v1.RoleReader}} {
		var err error
		if *g.guest, err = l.guest(g.name, parlourRoom, g.role); err != nil {
			return nil, err
		}
	}
	p.seated = p.model.Call(time.Now(), crowd.Read, p.seat())
	return p, nil
}

// seat is where the one who comes and goes is or is not.
func (p *parlour) seat() crowd.Pair { return crowd.Pair{User: p.passer.key, Room: parlourRoom} }

// open sets everybody to work, in the room.
func (p *parlour) open(ctx context.Context) {
	p.seated(time.Now())
	for g, do := range map[*guest]func(*client.Room) error{
		p.speaker:  func(r *client.Room) error { return p.speak(ctx, r) },
		p.answerer: func(r *client.Room) error { return r.Respond(ctx, "", p.serve) },
		p.listener: func(r *client.Room) error { return p.listen(ctx, r) },
		p.passer:   func(r *client.Room) error { return p.pass(ctx, r) },
	} {
		p.done.Go(func() { g.visit(ctx, func(_ *client.Client, r *client.Room) error { return do(r) }) })
	}
}

// speak says numbers, and asks.
func (p *parlour) speak(ctx context.Context, room *client.Room) error {
	for !p.speaker.move.Load() && sleep(ctx, p.pause/2) {
		p.mu.Lock()
		p.said++
		number := p.said
		p.mu.Unlock()
		_, err := room.Publish(ctx, client.Message{Data: fmt.Append(nil, number, " ", time.Now().UnixNano())})
		switch {
		case err == nil:
			p.mu.Lock()
			p.taken[number] = true
			p.mu.Unlock()
		case !passing(err):
			return err
		}
		var all sync.WaitGroup
		for i := range asked {
			all.Go(func() { p.ask(ctx, room, fmt.Sprint(number, ".", i)) })
		}
		all.Wait()
	}
	return nil
}

func (p *parlour) ask(ctx context.Context, room *client.Room, what string) {
	calmly := p.calmly.Load()
	limit, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	answer, err := room.Request(limit, "", client.Message{Data: []byte(what)})
	calmly = calmly && p.calmly.Load()
	p.mu.Lock()
	if err == nil {
		p.answered++
	}
	if calmly {
		p.awaited++
	}
	p.mu.Unlock()
	switch {
	case err == nil && string(answer.Data) != p.speaker.key+" "+what:
		p.count(&p.found.Leaks, "LEAK: request %s was given the answer %q", what, answer.Data)
	case err == nil:
	case calmly:
		p.count(&p.found.Lost, "LOST: request %s was not answered while nothing befell the cluster: %v", what, err)
	case !passing(err) && !errors.Is(err, client.ErrNoAnswer):
		p.wrong("request %s: %v", what, err)
	}
}

// serve answers with who asked and what.
func (p *parlour) serve(_ context.Context, m client.Message) (client.Message, error) {
	p.mu.Lock()
	twice := p.served[string(m.Data)]
	p.served[string(m.Data)] = true
	p.mu.Unlock()
	if m.Sender != p.speaker.key {
		p.count(&p.found.Leaks, "LEAK: %s asked %q", m.Sender, m.Data)
	}
	if twice {
		p.count(&p.found.Duplicated, "DUPLICATED: request %s was put twice", m.Data)
	}
	return client.Message{Data: []byte(m.Sender + " " + string(m.Data))}, nil
}

// spoken reads what the speaker says.
func (p *parlour) spoken(by *guest, m client.Message) (number uint64, at time.Time, ok bool) {
	var nano int64
	n, err := fmt.Sscan(string(m.Data), &number, &nano)
	p.mu.Lock()
	said := p.said
	p.mu.Unlock()
	if err != nil || n != 2 || m.Sender != p.speaker.key || number > said {
		p.wrong("%s was given %q of %s, and %d was said last", by.name, m.Data, m.Sender, said)
		return 0, at, false
	}
	return number, time.Unix(0, nano), true
}

func (p *parlour) listen(ctx context.Context, room *client.Room) error {
	s, err := room.Subscribe(ctx, client.StartNow())
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		m, err := s.Next(ctx)
		if err != nil {
			return err
		}
		p.hear(m)
	}
}

func (p *parlour) hear(m client.Message) {
	number, _, ok := p.spoken(p.listener, m)
	if !ok {
		return
	}
	calmly := p.calmly.Load()
	p.mu.Lock()
	twice := p.heard[number]
	p.heard[number], p.newest = true, max(p.newest, number)
	if twice {
		p.again++
	}
	p.mu.Unlock()
	if twice && calmly {
		p.count(&p.found.Duplicated, "DUPLICATED: %d was heard twice, and nothing befell the cluster", number)
	}
}

// compare tells what of two numbers and those between a node has taken and nobody heard.
func (p *parlour) compare(from, to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number := from; number <= to; number++ {
		if !p.taken[number] {
			continue
		}
		if p.awaited++; !p.heard[number] {
			p.count(&p.found.Lost, "LOST: %d was not heard, and nothing befell the cluster", number)
		}
	}
}

func (p *parlour) progress() (newest uint64, answered int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest, p.answered
}

// goesOn waits until something new is heard and answered.
func (p *parlour) goesOn(ctx context.Context, s *soak) error {
	heard, answered := p.progress()
	return s.until(ctx, "the parlour of the library to go on", func() string {
		if h, a := p.progress(); h <= heard || a <= answered {
			return fmt.Sprintf("up to %d is heard, was %d; %d requests are answered, were %d", h, heard, a, answered)
		}
		return ""
	})
}

// calm judges the time while do is done, in which nothing befalls the cluster.
func (p *parlour) calm(ctx context.Context, s *soak, do func() error) error {
	over := p.model.Calm(time.Now())
	defer func() { over(time.Now()) }()
	if err := errors.Join(p.turnAbout(ctx, s), p.goesOn(ctx, s)); err != nil {
		return err
	}
	from, _ := p.progress()
	p.calmly.Store(true)
	err := do()
	p.calmly.Store(false)
	p.mu.Lock()
	to := p.said
	p.mu.Unlock()
	if err != nil {
		return err
	}
	err = s.until(ctx, "the listener of the library", func() string {
		if newest, _ := p.progress(); newest <= to {
			return fmt.Sprintf("it has heard up to %d, and %d was said", newest, to)
		}
		return ""
	})
	p.compare(from+1, to)
	return err
}

// turnAbout puts the one who comes and goes out of the room, or back into it.
func (p *parlour) turnAbout(ctx context.Context, s *soak) error {
	level := crowd.Read
	if p.model.Now(p.seat()) == crowd.Read {
		level = crowd.None
	}
	answered := p.model.Call(time.Now(), level, p.seat())
	err := p.change(ctx, s, func(put func(string, func(context.Context, *membership.Store) error)) {
		put(p.passer.name+" to come or go", func(ctx context.Context, store *membership.Store) error {
			if level == crowd.Read {
				_, err := store.PutMember(ctx, parlourRoom, p.passer.key, p.passer.role, 0)
				return err
			}
			err := store.RemoveMember(ctx, parlourRoom, p.passer.key, 0)
			if errors.Is(err, membership.ErrNotFound) { // by an attempt before
				return nil
			}
			return err
		})
	})
	if err == nil {
		answered(time.Now())
	}
	return err
}

// verify waits until the parlour goes on, and tells what it has judged.
func (p *parlour) verify(ctx context.Context, s *soak) error {
	if err := p.goesOn(ctx, s); err != nil {
		return err
	}
	p.mu.Lock()
	s.say("  parlour: %d messages taken, %d heard, %d of them again; %d requests put, %d answered; %d messages and requests judged in calm times",
		len(p.taken), len(p.heard), p.again, len(p.served), p.answered, p.awaited)
	p.mu.Unlock()
	return p.turnAbout(ctx, s)
}

// pass listens whenever it is let, and judges whether it had to be.
func (p *parlour) pass(ctx context.Context, room *client.Room) error {
	for !p.passer.move.Load() {
		began := time.Now()
		s, err := room.Subscribe(ctx, client.StartNow())
		least, most := p.model.May(p.seat(), began, time.Now())
		switch {
		case err == nil && most < crowd.Read:
			p.count(&p.found.Leaks, "LEAK: %s, who is out of the room, was let listen", p.passer.name)
		case errors.Is(err, client.ErrForbidden) && least >= crowd.Read:
			p.count(&p.found.Refused, "REFUSED: %s is in the room: %v", p.passer.name, err)
		}
		for err == nil {
			var m client.Message
			if m, err = s.Next(ctx); err != nil {
				break
			}
			number, at, ok := p.spoken(p.passer, m)
			if _, most := p.model.May(p.seat(), at, time.Now()); ok && most < crowd.Read {
				p.count(&p.found.Leaks, "LEAK: %s, who is out of the room, heard %d", p.passer.name, number)
			}
		}
		if s != nil {
			s.Close()
		}
		if !errors.Is(err, client.ErrForbidden) {
			return err
		}
		if !sleep(ctx, retryPause) {
			return ctx.Err()
		}
	}
	return nil
}
