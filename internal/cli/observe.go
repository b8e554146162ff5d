// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// accounts are those that may have streams.
var accounts = []string{"MEMBERSHIP", "HISTORY"}

// observation is everything that one pass reads, once and live.
type observation struct {
	// began and ended are when the first and the last of it was read.
	began, ended time.Time

	record versioned
	inv    inventory
	seen   scaling.Observed
	// nodes are the answers by place, nil where nothing answers; silent says why.
	nodes  []*v1.NodeStatus
	silent []error
	// meta is nil without a confirmed leader; noLeader says why.
	meta     *jsadmin.Meta
	noLeader error
	streams  []jsadmin.Stream
	// blocked is set when so much could not be read that nothing may be decided.
	blocked error
	// person is true when blocked needs a person.
	person bool
}

// desired is what the inventory wishes.
func (o observation) desired() scaling.Desired {
	return scaling.Desired{Name: o.inv.Name, Replicas: o.inv.Replicas, Dead: o.inv.Dead}
}

// observer reads the state of a cluster.
type observer struct {
	folder   folder
	launcher *launcher
	control  *control
	connect  func(ctx context.Context, urls, names []string) (*jsadmin.Admin, error)
	admin    *jsadmin.Admin
}

func (o *observer) close() {
	if o.admin != nil {
		o.admin.Close()
	}
	o.control.close()
}

// observe reads the inventory and all else.
func (o *observer) observe(ctx context.Context) (observation, error) {
	inv, err := o.folder.inventory()
	if err != nil {
		return observation{}, err
	}
	return o.observeWith(ctx, inv)
}

// observeWith reads all but the inventory.
func (o *observer) observeWith(ctx context.Context, inv inventory) (observation, error) {
	ob := observation{began: time.Now(), inv: inv}
	var err error
	if ob.record, err = o.folder.record(); err != nil {
		return ob, err
	}
	ob.nodes, ob.silent = make([]*v1.NodeStatus, len(inv.Places)), make([]error, len(inv.Places))
	var wg sync.WaitGroup
	for i, p := range inv.Places {
		wg.Go(func() { ob.nodes[i], ob.silent[i] = o.launcher.status(ctx, i, p) })
	}
	wg.Wait()
	ob.seen = scaling.Observed{Now: time.Now().UTC(), KnownID: inv.ClusterID, Size: inv.Size}
	for i, p := range inv.Places {
		ob.seen.Places = append(ob.seen.Places, scaling.Place{
			Volume: o.volume(i, p), Started: ob.nodes[i] != nil || o.launcher.started(i, p), Node: nodeOf(ob.nodes[i]),
		})
	}
	o.cluster(ctx, &ob)
	ob.ended = time.Now()
	return ob, ctx.Err()
}

// volume names what a place's data is on: for a local place the folder, as long as it exists.
func (o *observer) volume(i int, p place) string {
	if p.Local == nil {
		return p.Control
	}
	if !o.folder.exists(storeDir(i)) {
		return ""
	}
	return o.folder.path(storeDir(i))
}

// nodeOf is a node's word as scaling reads it.
func nodeOf(s *v1.NodeStatus) *scaling.Node {
	if s == nil || s.Phase == v1.NodeStopping {
		return nil
	}
	n := &scaling.Node{
		Running: s.Phase == v1.NodeRunning, Waiting: s.Phase == v1.NodeWaiting, DiskID: s.DiskID, ClusterID: s.ClusterID, Name: s.ServerName,
		Mark: s.Mark, Nonce: s.Nonce, Journal: s.Journal, Aside: s.Aside, Off: s.Removed, Alone: s.Alone, RouteURL: s.RouteURL,
	}
	if s.Meta != nil {
		n.Members = s.Meta.Members
	}
	return n
}

// cluster asks the cluster itself, through the nodes that run.
func (o *observer) cluster(ctx context.Context, ob *observation) {
	var urls, names []string
	for _, s := range ob.nodes {
		if s != nil && s.Phase == v1.NodeRunning && !s.Removed && s.ClientURL != "" {
			urls = append(urls, s.ClientURL)
		}
	}
	if r := ob.record.Record; r != nil {
		for n := range r.Names {
			names = append(names, n)
		}
	}
	if len(urls) == 0 {
		ob.noLeader = errors.New("no node runs")
		return
	}
	if o.admin == nil {
		a, err := o.connect(ctx, urls, names)
		if err != nil {
			ob.noLeader = err
			return
		}
		o.admin = a
	}
	o.admin.Know(urls, names)
	m, err := o.admin.Meta(ctx)
	if err != nil {
		ob.noLeader = err
		if errors.Is(err, jsadmin.ErrTwoLeaders) {
			ob.blocked, ob.person = err, true
		}
		return
	}
	ob.meta = &m
	ob.seen.Meta = &scaling.Group{Leader: m.Leader}
	for _, p := range m.Members {
		ob.seen.Meta.Peers = append(ob.seen.Meta.Peers, scaling.Peer{Name: p.Name, Current: p.Current})
	}
	if ob.streams, err = o.admin.Streams(ctx); err != nil {
		// A stream that is left out is one that may be lost.
		ob.blocked, ob.person = fmt.Errorf("the streams can't be looked at: %w", err), errors.Is(err, jsadmin.ErrForeignAccount)
		return
	}
	for _, s := range ob.streams {
		out := scaling.Stream{Account: s.Account, Name: s.Name, Replicas: s.Replicas, Leader: s.Leader}
		for _, r := range s.Members {
			out.Peers = append(out.Peers, scaling.Peer{Name: r.Name, Current: r.Current()})
		}
		ob.seen.Streams = append(ob.seen.Streams, out)
	}
}

// next decides on what was observed.
func (o observation) next() scaling.Step {
	if o.blocked != nil {
		return scaling.Step{Action: scaling.Wait, Person: o.person, Reason: o.blocked.Error(), Remedy: "see the message"}
	}
	return scaling.Next(o.record.Record, o.desired(), o.seen)
}

// routes are the URLs under which members, and the node at a place, reach each other; of those that don't answer, the last ones seen.
func (o observation) routes(to int) []string {
	var out []string
	for i, p := range o.inv.Places {
		route := p.Route
		if s := o.nodes[i]; s != nil && s.RouteURL != "" {
			route = s.RouteURL
		}
		if route != "" && (i == to || o.member(i)) && !slices.Contains(out, route) {
			out = append(out, route)
		}
	}
	return out
}

// timers are the Raft timers of the cluster, as its members keep them; empty when none that has started before tells.
func (o observation) timers() string {
	for i, s := range o.nodes {
		if s != nil && s.RaftTimers != "" && o.member(i) && s.ClusterID == o.record.Record.ClusterID {
			return s.RaftTimers
		}
	}
	return ""
}

// member says whether a name that may be a member is at a place.
func (o observation) member(i int) bool {
	if o.record.Record == nil {
		return false
	}
	for _, n := range o.record.Record.Names {
		if n.Place == i && (n.Phase == scaling.Member || n.Phase == scaling.Leaving || n.Phase == scaling.Removing || n.Phase == scaling.Ordered) {
			return true
		}
	}
	return false
}
