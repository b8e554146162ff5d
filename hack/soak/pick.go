// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/load"
)

// choose returns the place that has the role, of the first n. Where nobody is known to lead, any will do; lead is negative then.
func choose(n int, f Fault, lead int) int {
	some := int(f.Order % uint64(n))
	switch f.Role {
	case founder:
		return 0
	case lastPlace:
		return n - 1
	case follower:
		if lead < 0 || lead >= n {
			return some
		}
		if n == 1 {
			return 0
		}
		return (lead + 1 + int(f.Order%uint64(n-1))) % n
	}
	if lead < 0 {
		return some
	}
	return lead
}

// reach is among how many places a fault is picked in a step from one size to another.
func reach(from, to int) int { return max(from, to, 1) }

// pick returns the place that the fault befalls, and what it is for the log. In a change that is any place that is a member before
// or after: joiners and leavers among them.
func (s *soak) pick(ctx context.Context, f Fault) (*bus.Place, string) {
	lead, name := -1, ""
	if f.Role == streamLeader || f.Role == metaLeader || f.Role == follower {
		name = s.leader(f.Role)
		if led := s.bus.Named(ctx, name); name != "" && led != nil { // a node that waits for its first order has no name either
			lead = led.Number
		}
	}
	n := reach(s.size, s.wish)
	p := s.bus.Places[choose(n, f, lead)]
	switch {
	case f.Role == founder || f.Role == lastPlace:
		return p, fmt.Sprintf(" (%s of %d)", f.Role, n)
	case lead < 0:
		return p, fmt.Sprintf(" (any of %d: no leader is known)", n)
	}
	return p, fmt.Sprintf(" (%s of %d, %s leads)", f.Role, n, name)
}

// leader is the server name of a leader, empty when none answers.
func (s *soak) leader(role Role) string {
	if role == metaLeader || len(s.work) == 0 {
		nc, err := s.bus.Connect("SYS", 0)
		if err != nil {
			return ""
		}
		defer nc.Close()
		m, err := load.MetaOf(nc)
		if err != nil {
			return ""
		}
		return m.Leader
	}
	nc, err := s.bus.Connect(account, 0)
	if err != nil {
		return ""
	}
	defer nc.Close()
	i, err := s.work[0].stream.Info(nc)
	if err != nil {
		return ""
	}
	return i.Cluster.Leader
}
