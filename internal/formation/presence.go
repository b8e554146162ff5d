// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// presenceSubject is where, in the system account, every node answers what it is. Server tags say the same, but are fixed
// when a server starts, and a bootstrap gets its cluster id later.
const presenceSubject = "unibus.formation.presence"

// lookTime is how long answers are waited for. Who is not heard in one look is heard in the next.
const lookTime = 250 * time.Millisecond

// presence is what a node answers to those who look around before they form.
type presence struct {
	Name   string `json:"name"`
	DiskID string `json:"diskID"`
	// ClusterID is empty on nodes without an identity, and until a bootstrap has agreed.
	ClusterID string `json:"clusterID"`
	// Identity is false while the node's disk is empty.
	Identity bool `json:"identity"`
	// Seeds is the number of routes of a node that bootstraps, 0 otherwise.
	Seeds int `json:"seeds"`
	// Ready is true once a node that bootstraps has seen all others.
	Ready bool `json:"ready,omitempty"`
	// Timers are the Raft timers that the node goes by, or will.
	Timers string `json:"timers,omitempty"`
	// Denied are names that the node was told were removed.
	Denied []string `json:"denied,omitempty"`
	// self is filled in by who looks.
	self bool
}

func (f *Formation) presence() presence {
	f.mu.Lock()
	i, ready := f.identity, f.ready
	f.mu.Unlock()
	p := presence{Name: f.cfg.ServerName, DiskID: f.diskID, Ready: ready, Denied: f.cfg.Denied(), Timers: f.timers(i)}
	if i != nil {
		p.Name, p.ClusterID, p.Identity = i.ServerName, i.ClusterID, true
	}
	if i == nil && f.cfg.Mode == ModeBootstrap || i != nil && i.ClusterID == "" {
		p.Seeds = f.seeds()
	}
	return p
}

// answer tells those who look around what this node is, until the returned function is called.
func (f *Formation) answer(srv *embeddednats.Server) (stop func(), err error) {
	nc, err := srv.InProcess(embeddednats.AccountSystem)
	if err != nil {
		return nil, fmt.Errorf("connect to the system account: %w", err)
	}
	sub, err := nc.SubscribeSync(presenceSubject)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("answer %s: %w", presenceSubject, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := sub.NextMsgWithContext(context.Background()) // ends when the connection is closed
			if err != nil {
				return
			}
			b, err := json.Marshal(f.presence())
			if err == nil && m.Reply != "" {
				_ = m.Respond(b) // who asked asks again
			}
		}
	}()
	return func() {
		nc.Close()
		<-done
	}, nil
}

// look asks who is there, this node included, until enough have answered or lookTime has passed. Several answers of one
// disk count once. The result is sorted by name.
func (f *Formation) look(ctx context.Context, srv *embeddednats.Server, enough int) ([]presence, error) {
	nc, err := srv.InProcess(embeddednats.AccountSystem)
	if err != nil {
		return nil, fmt.Errorf("connect to the system account: %w", err)
	}
	defer nc.Close()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("look around: %w", err)
	}
	if err := nc.PublishRequest(presenceSubject, inbox, nil); err != nil {
		return nil, fmt.Errorf("look around: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var seen []presence
	for len(seen) < enough {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			break // the time is up, or nobody is there
		}
		var p presence
		if json.Unmarshal(m.Data, &p) != nil || p.Name == "" {
			continue
		}
		p.self = p.DiskID == f.diskID
		if !slices.ContainsFunc(seen, func(q presence) bool { return q.DiskID == p.DiskID }) {
			seen = append(seen, p)
		}
	}
	slices.SortFunc(seen, func(a, b presence) int { return strings.Compare(a.Name, b.Name) })
	return seen, nil
}

// names lists those seen, for messages.
func names(seen []presence) []string {
	out := make([]string, len(seen))
	for i, p := range seen {
		out[i] = p.Name
	}
	return out
}

// pauseFor waits between two looks, and tells why nothing was decided yet.
func (f *Formation) pauseFor(ctx context.Context, format string, a ...any) error {
	f.say(v1.NodeStarting, fmt.Sprintf(format, a...))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}
