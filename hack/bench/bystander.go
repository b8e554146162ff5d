// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// pace is the time between two messages of a bystander.
const pace = 5 * time.Millisecond

// bystander is one user who says something to another, again and again, while something happens to the nodes that does not concern
// them. Both are of this process, so that one clock tells.
type bystander struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	conns []*nats.Conn

	mu   sync.Mutex
	said []time.Time // when each message was due
	came []time.Time // zero for what has not come
}

// calls are how messages of a time fared, in milliseconds from when they were due.
type calls struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	Most float64 `json:"worst"`
	Sent int     `json:"sent"`
	Lost int     `json:"lost"`
}

// stand lets one user speak at a node and another listen at the next; both are in the room.
func (p *program) stand(ctx context.Context, room string, speaker, listener person, at []*node) (*bystander, error) {
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
	_, err := s.conns[1].Subscribe(v1.RoomSubjects(room), func(m *nats.Msg) {
		now, i := time.Now(), binary.BigEndian.Uint64(m.Data)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.came[i] = now
	})
	if err == nil {
		err = s.conns[1].Flush()
	}
	if err != nil {
		s.leave()
		return nil, err
	}
	s.group.Go(func() { s.speak(ctx, v1.RoomSubject(room, speaker.key, "call")) })
	return s, nil
}

func (s *bystander) speak(ctx context.Context, subject string) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := uint64(0); ; i++ {
		select {
		case <-ctx.Done():
			return
		case due := <-tick.C:
			s.mu.Lock()
			s.said, s.came = append(s.said, due), append(s.came, time.Time{})
			s.mu.Unlock()
			_ = s.conns[0].Publish(subject, binary.BigEndian.AppendUint64(nil, i)) // what is not sent is lost, and counted so
		}
	}
}

func (s *bystander) leave() {
	s.stop()
	s.group.Wait()
	for _, nc := range s.conns {
		nc.Close()
	}
}

// between tells how what was said from one time to another fared. What has not come two seconds and more after the end is lost.
func (s *bystander) between(ctx context.Context, from, to time.Time) calls {
	pause(ctx, time.Until(to.Add(2*time.Second)))
	s.mu.Lock()
	defer s.mu.Unlock()
	var c calls
	var took []float64
	for i, at := range s.said {
		switch {
		case at.Before(from) || !at.Before(to):
			continue
		case s.came[i].IsZero():
			c.Lost++
		default:
			took = append(took, s.came[i].Sub(at).Seconds()*1000)
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
