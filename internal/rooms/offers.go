// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// offer is how a service is found.
type offer struct {
	subjects string
	on       *nats.Conn
	handle   nats.MsgHandler
	local    bool // it is mapped to this node for this node's clients
}

func (s *Service) offers() [len(services)]offer {
	return [len(services)]offer{
		serviceAppend:  {v1.AppendSubjects, s.cfg.Clients, s.append, s.cfg.Map != nil},
		serviceHistory: {v1.HistorySubjects, s.cfg.Pages, s.queueHistory, s.cfg.Map != nil},
		serviceRooms:   {v1.RoomsSubjects, s.cfg.Clients, s.rooms, false},
	}
}

// subscription is one of a service.
type subscription struct {
	*nats.Subscription
	service int
	lost    uint64 // of its requests, as counted already
}

func (s *Service) enter() (subs []*subscription, err error) {
	defer func() {
		if err != nil {
			s.leave(subs)
			subs = nil
		}
	}()
	for service, o := range s.offers() {
		all := []string{o.subjects}
		if o.local {
			all = append(all, v1.LocalSubjects(o.subjects, s.cfg.Node))
		}
		for _, subjects := range all {
			sub, err := o.on.QueueSubscribe(subjects, v1.ServiceQueue, func(m *nats.Msg) {
				s.turn[service].Lock()
				defer s.turn[service].Unlock()
				o.handle(m)
			})
			if err == nil {
				subs = append(subs, &subscription{Subscription: sub, service: service})
				err = sub.SetPendingLimits(mostWaiting, mostWaitingBytes)
			}
			if err != nil {
				return subs, fmt.Errorf("subscribe to %s: %w", subjects, err)
			}
		}
		if o.local {
			if err := o.on.FlushTimeout(s.cfg.AppendTimeout); err != nil {
				return subs, fmt.Errorf("subscribe to %s: %w", o.subjects, err)
			}
		}
	}
	s.cfg.Logger.Info("rooms are served")
	return subs, nil
}

// near has what this node's clients ask go to this node, or no longer.
func (s *Service) near(want bool) error {
	if want == s.mapped.Load() {
		return nil
	}
	s.mapped.Store(want)
	var failed error
	for _, o := range s.offers() {
		if !o.local {
			continue
		}
		to := ""
		if want {
			to = v1.LocalSubjects(o.subjects, s.cfg.Node)
		}
		failed = errors.Join(failed, s.cfg.Map(o.subjects, to))
	}
	return failed
}

// leave takes no more requests, and returns when those that were taken are answered.
func (s *Service) leave(subs []*subscription) {
	if len(subs) == 0 {
		return
	}
	if err := s.near(false); err != nil {
		s.cfg.Logger.Warn("requests still go to this node first", "error", err)
	}
	limit, cancel := context.WithTimeout(context.Background(), 2*s.cfg.AppendTimeout)
	defer cancel()
	for _, sub := range subs {
		done := make(chan struct{})
		sub.SetClosedHandler(func(string) { close(done) })
		if sub.Drain() != nil {
			continue // its connection is closed
		}
		select {
		case <-done:
		case <-limit.Done():
			// What it has left is not answered. But its handler must be at rest, which shares much with the next subscription's.
			_ = sub.Unsubscribe()
			<-done
		}
	}
	// What was taken last may wait for as long as any.
	ticker := time.NewTicker(tick / 10)
	defer ticker.Stop()
	for s.pending.len()+s.reads.len() > 0 {
		s.expire(s.cfg.Now())
		select {
		case <-ticker.C:
		case <-limit.Done():
			return
		}
	}
	for _, nc := range []*nats.Conn{s.cfg.History, s.cfg.Clients, s.cfg.Pages} {
		_ = nc.FlushTimeout(s.cfg.AppendTimeout) // a connection that is closed has told its user
	}
	s.cfg.Logger.Info("rooms are no longer served")
}

// countLost counts what the client library had no room for.
func (s *Service) countLost(subs []*subscription) {
	for _, sub := range subs {
		if n, err := sub.Dropped(); err == nil { // it fails on a connection that is closed
			s.counts[sub.service][lost].Add(uint64(n) - sub.lost)
			sub.lost = uint64(n)
		}
	}
}
