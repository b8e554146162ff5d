// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

// pace is the time between two messages of a bystander, keptPace between two of those that are to be kept.
const pace, keptPace = 5 * time.Millisecond, 50 * time.Millisecond

// bystander is one user who says something to another, again and again, and has something kept, while something happens to the nodes that does not
// concern them. Both are of this process, so that one clock tells.
type bystander struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	conns []*nats.Conn
	lib   *client.Client

	live trail // messages that the other has heard
	kept trail // those that were acknowledged
}

// trail is what became of messages.
type trail struct {
	mu   sync.Mutex
	said []time.Time // when each message was due
	came []time.Time // zero for what has not come
}

func (t *trail) say(due time.Time) (number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said, t.came = append(t.said, due), append(t.came, time.Time{})
	return uint64(len(t.said) - 1)
}

func (t *trail) come(number uint64) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.came[number] = now
}

// calls are how messages of a time fared, in milliseconds from when they were due.
type calls struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	Most float64 `json:"worst"`
	Sent int     `json:"sent"`
	Lost int     `json:"lost"`
}

// stand lets one user speak and append at a node and another listen at the next; both are in the room.
func (p *program) stand(ctx context.Context, room int, speaker, listener person, at []*node) (*bystander, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &bystander{stop: cancel}
	for i, who := range []person{speaker, listener} {
		conns, err := p.await(ctx, who, at[i:i+1], comingBack...)
		if err != nil {
			s.leave()
			return nil, err
		}
		s.conns = append(s.conns, conns...)
	}
	_, err := s.conns[1].Subscribe(v1.RoomSubjects(roomID(room)), func(m *nats.Msg) { s.live.come(binary.BigEndian.Uint64(m.Data)) })
	if err == nil {
		err = s.conns[1].Flush()
	}
	var kept *client.Room
	if err == nil {
		s.lib, err = client.Connect(ctx, client.Options{Servers: []string{at[0].url}, CAs: p.shop.roots, Key: speaker.pair})
	}
	if err == nil {
		kept, err = s.lib.Room(ctx, roomName(room))
	}
	if err != nil {
		s.leave()
		return nil, err
	}
	subject := v1.RoomSubject(roomID(room), speaker.key, "call")
	s.group.Go(func() {
		s.live.speak(ctx, pace, func(i uint64) { _ = s.conns[0].Publish(subject, binary.BigEndian.AppendUint64(nil, i)) }) // what is not sent is lost, and counted so
	})
	s.group.Go(func() {
		s.kept.speak(ctx, keptPace, func(i uint64) {
			_ = kept.PublishAsync(ctx, client.Message{Data: binary.BigEndian.AppendUint64(nil, i)}, func(_ client.Receipt, err error) {
				if err == nil {
					s.kept.come(i)
				}
			})
		})
	})
	return s, nil
}

func (t *trail) speak(ctx context.Context, pace time.Duration, send func(number uint64)) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-tick.C:
			send(t.say(due))
		}
	}
}

func (s *bystander) leave() {
	s.stop()
	s.group.Wait()
	for _, nc := range s.conns {
		nc.Close()
	}
	if s.lib != nil {
		s.lib.Close()
	}
}

// between tells how what was said from one time to another fared. What has not come two seconds and more after the end is lost.
func (t *trail) between(ctx context.Context, from, to time.Time) calls {
	pause(ctx, time.Until(to.Add(2*time.Second)))
	t.mu.Lock()
	defer t.mu.Unlock()
	var c calls
	var took []float64
	for i, at := range t.said {
		switch {
		case at.Before(from) || !at.Before(to):
			continue
		case t.came[i].IsZero():
			c.Lost++
		default:
			took = append(took, t.came[i].Sub(at).Seconds()*1000)
		}
		c.Sent++
	}
	if len(took) == 0 {
		return c
	}
	slices.Sort(took)
	c.P50, c.P99, c.Most = quantile(took, 0.5), quantile(took, 0.99), took[len(took)-1]
	return c
}
