// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	_ "github.com/nats-io/nats-server/v2/server" // the variables below are in it
)

// nats-server has no option for how soon a Raft group replaces a silent leader, and its stock 4 s to
// 9 s are most of the time that a cluster is without one. So its private variables are set, once in
// a process, before its first server starts: the servers read them without a lock.
//
// Left alone on purpose: lostQuorumInterval and lostQuorumCheck (10 s each), after which a leader
// without a majority steps down. Nothing waits for that but the stale side of a partition, and
// lowering it makes a leader on busy cores give up for want of answers. "Current" (two heartbeats)
// and "alive" (three) are computed from hbInterval whenever they are asked for.

//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

// routeConnectMaxDelay bounds the pause between two attempts to dial a member. Stock 30 s would keep
// nodes apart for that long after a cut has healed.
//
//go:linkname routeConnectMaxDelay github.com/nats-io/nats-server/v2/server.routeConnectMaxDelay
var routeConnectMaxDelay time.Duration

const (
	stockRouteDelay = 30 * time.Second
	tunedRouteDelay = 4 * time.Second
)

// RaftTimers are how soon members of a Raft group give up a silent leader. The zero value leaves those
// of nats-server: 4 s, 9 s and 1 s.
//
// They must be the same on all nodes of a cluster: the idle heartbeats of a stock leader come later
// than tuned followers wait for them. The first server of a process decides for all that follow.
type RaftTimers struct {
	// MinElection and MaxElection bound how long a follower waits for a sign of its leader.
	MinElection, MaxElection time.Duration
	// Heartbeat is the pause between the signs of an idle leader, at most; some come twice as late.
	Heartbeat time.Duration
}

// DefaultRaftTimers are those of a UniBus cluster: 2 s, 4 s and 500 ms.
func DefaultRaftTimers() RaftTimers {
	return RaftTimers{MinElection: 2 * time.Second, MaxElection: 4 * time.Second, Heartbeat: 500 * time.Millisecond}
}

// StockRaftTimers are those of nats-server: 4 s, 9 s and 1 s.
func StockRaftTimers() RaftTimers {
	return RaftTimers{MinElection: 4 * time.Second, MaxElection: 9 * time.Second, Heartbeat: time.Second}
}

// String is the text that nodes tell each other and keep on their disks, such as "2s/4s/500ms".
func (t RaftTimers) String() string {
	if t == (RaftTimers{}) {
		t = StockRaftTimers()
	}
	return fmt.Sprintf("%v/%v/%v", t.MinElection, t.MaxElection, t.Heartbeat)
}

// ParseRaftTimers reads what String writes. It fails on timers that can't work.
func ParseRaftTimers(text string) (RaftTimers, error) {
	var t RaftTimers
	parts := strings.Split(text, "/")
	into := []*time.Duration{&t.MinElection, &t.MaxElection, &t.Heartbeat}
	if len(parts) != len(into) {
		return t, fmt.Errorf("%w %q: want three durations, such as %v", errTimers, text, DefaultRaftTimers())
	}
	for i, part := range parts {
		d, err := time.ParseDuration(part)
		if err != nil || d <= 0 {
			return t, fmt.Errorf("%w %q: %q is no duration, such as 2s", errTimers, text, part)
		}
		*into[i] = d
	}
	return t, t.validate()
}

// RaftTimersInForce returns what the servers of this process go by.
func RaftTimersInForce() RaftTimers {
	timersMu.Lock()
	defer timersMu.Unlock()
	return timersFound()
}

var (
	timersMu      sync.Mutex
	timersDecided bool
	errTimers     = errors.New("raft timers")
)

func timersFound() RaftTimers {
	return RaftTimers{MinElection: minElectionTimeout, MaxElection: maxElectionTimeout, Heartbeat: hbInterval}
}

func (t RaftTimers) validate() error {
	if t == (RaftTimers{}) {
		return nil
	}
	if t.Heartbeat < 100*time.Millisecond || t.MinElection < 4*t.Heartbeat || t.MaxElection < t.MinElection+t.Heartbeat {
		return fmt.Errorf("%w %v: want a heartbeat of 100ms or more, the shortest election 4 heartbeats or more, "+
			"and the longest at least one heartbeat longer", errTimers, t)
	}
	return nil
}

// apply sets the timers if this is the process's first server, and says so when it can't have its way.
func (t RaftTimers) apply(log *slog.Logger) {
	timersMu.Lock()
	defer timersMu.Unlock()
	want := t
	if want == (RaftTimers{}) {
		want = StockRaftTimers()
	}
	found := timersFound()
	switch {
	case found == want:
	case timersDecided:
		log.Warn("raft timers left alone: another server of this process has decided them", "asked", want, "inForce", found)
	case !stockFound(found, routeConnectMaxDelay):
		// A variable that upstream has removed or renamed links as zero, one whose meaning changed has
		// another value: both look like this.
		log.Warn("raft timers left alone: nats-server no longer has the values that are known; "+
			"failover takes as long as it says", "asked", want, "found", found)
	default:
		minElectionTimeout, maxElectionTimeout, hbInterval = want.MinElection, want.MaxElection, want.Heartbeat
		routeConnectMaxDelay = tunedRouteDelay
		log.Info("raft timers set", "minElection", want.MinElection, "maxElection", want.MaxElection, "heartbeat", want.Heartbeat)
	}
	timersDecided = true
}

func stockFound(t RaftTimers, routeDelay time.Duration) bool {
	return t == StockRaftTimers() && routeDelay == stockRouteDelay
}
