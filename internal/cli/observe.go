// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

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
	steering.JetStream
}

// desired is what the inventory wishes.
func (o observation) desired() scaling.Desired {
	return scaling.Desired{Name: o.inv.Name, Replicas: o.inv.Replicas, Dead: o.inv.Dead}
}

// observer reads the state of a cluster.
type observer struct {
	folder   folder
	launcher *launcher
	control  *steering.Control
	connect  func(ctx context.Context, urls, names []string) (*jsadmin.Admin, error)
	admin    *jsadmin.Admin
}

func (o *observer) close() {
	if o.admin != nil {
		o.admin.Close()
	}
	o.control.Close()
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
	steering.Identify(ob.nodes, ob.record.Record)
	ob.seen = scaling.Observed{Now: time.Now().UTC(), KnownID: inv.ClusterID, Size: inv.Size}
	for i, p := range inv.Places {
		ob.seen.Places = append(ob.seen.Places, scaling.Place{
			Volume: o.volume(i, p), Started: ob.nodes[i] != nil || o.launcher.started(i, p), Node: steering.Node(ob.nodes[i]),
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
		ob.NoLeader = errors.New("no node runs")
		return
	}
	if o.admin == nil {
		a, err := o.connect(ctx, urls, names)
		if err != nil {
			ob.NoLeader = err
			return
		}
		o.admin = a
	}
	o.admin.Know(urls, names)
	ob.JetStream = steering.Look(ctx, o.admin)
	ob.Fill(&ob.seen)
}

// next decides on what was observed.
func (o observation) next() scaling.Step {
	return o.Next(o.record.Record, o.desired(), o.seen)
}

// scene is what steps are carried out on.
func (o observation) scene() steering.Scene {
	return steering.Scene{Record: o.record.Record, Nodes: o.nodes}
}

// routes are the URLs under which members, and the node at a place, reach each other; of those that don't answer, the last ones seen.
func (o observation) routes(to int) []string {
	var out []string
	for i, p := range o.inv.Places {
		route := p.Route
		if s := o.nodes[i]; s != nil && s.RouteURL != "" {
			route = s.RouteURL
		}
		if route != "" && (i == to || o.scene().MayBeMember(i)) && !slices.Contains(out, route) {
			out = append(out, route)
		}
	}
	return out
}
