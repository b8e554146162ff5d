// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// a few users and rooms are there before many are made, so that what there is once is there.
	aFew = 10
	// mostConnected connections are measured: they are of a single process, and so are the node's ends of them.
	mostConnected = 2000
	// settle is what a node gets to let go of what it holds for a while.
	settle = 5 * time.Second
)

// memoryRow is what one of many takes, in bytes of a node's memory.
type memoryRow struct {
	Of    string  `json:"of"`
	Count int     `json:"count"`
	Heap  float64 `json:"heap"`     // after a collection
	RSS   float64 `json:"resident"` // of the process, what is not collected yet included
}

// memoryResult is what users and rooms take.
type memoryResult struct {
	Each []memoryRow `json:"each"`
	// Rooms are how many there were: few, then many. Start is the time until a node of three that was stopped lets a user in, in
	// seconds, and Groups how many Raft groups there are.
	Rooms  [2]int      `json:"rooms"`
	Start  [2]interval `json:"start"`
	Groups [2]int      `json:"groups"`
	Held   bool        `json:"held"` // that there are as many groups
}

// weigher follows the memory of three nodes while more and more is put into them.
type weigher struct {
	*program
	*bus
	js        jetstream.JetStream
	heap, rss []float64 // of each node, at the last weighing
}

func (p *program) memory(ctx context.Context) (*memoryResult, error) {
	b, err := p.newOurs("memory", 3)
	if err != nil {
		return nil, err
	}
	defer b.end()
	if _, err := p.cold(ctx, b); err != nil {
		return nil, err
	}
	if err := p.populate(ctx, b, class, aFew); err != nil {
		return nil, err
	}
	nc, js, err := b.store()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	r, w := &memoryResult{}, &weigher{program: p, bus: b, js: js}
	if err := w.look(ctx, r, 0, aFew); err != nil {
		return r, err
	}
	if _, err := w.weigh(ctx, "", 1, b.nodes); err != nil {
		return r, err
	}
	more := records{js, aFew, aFew + p.users}
	for _, step := range []struct {
		of  string
		put func(context.Context) error
	}{
		{"user", more.users},
		{"room", func(ctx context.Context) error { return more.rooms(ctx, class) }},
		{"member", more.members},
	} {
		if err := step.put(ctx); err != nil {
			return r, err
		}
		if err := p.known(ctx, b, more.upto, step.of+"s"); err != nil {
			return r, err
		}
		row, err := w.weigh(ctx, step.of, p.users, b.nodes)
		if err != nil {
			return r, err
		}
		r.Each = append(r.Each, row)
	}
	row, err := w.connections(ctx)
	if err != nil {
		return r, err
	}
	r.Each = append(r.Each, row)
	err = w.look(ctx, r, 1, more.upto)
	r.Held = r.Groups[0] > 0 && r.Groups[0] == r.Groups[1]
	return r, err
}

// weigh returns what the nodes hold more than at the last weighing, for each of so many, on average.
func (w *weigher) weigh(ctx context.Context, of string, count int, nodes []*node) (memoryRow, error) {
	pause(ctx, settle)
	row := memoryRow{Of: of, Count: count}
	heap, rss := make([]float64, len(nodes)), make([]float64, len(nodes))
	for i, n := range nodes {
		var err error
		if heap[i], err = n.heap(ctx); err != nil {
			return row, err
		}
		if rss[i], err = resident(n.cmd.Process.Pid); err != nil {
			return row, err
		}
		if w.heap != nil {
			row.Heap += (heap[i] - w.heap[i]) / float64(count*len(nodes))
			row.RSS += (rss[i] - w.rss[i]) / float64(count*len(nodes))
		}
	}
	w.heap, w.rss = heap, rss
	slog.Info("weighed", "of", of, "count", count, "heap", heap, "resident", rss)
	return row, nil
}

// connections weighs connections of users to the first node, each with one subscription.
func (w *weigher) connections(ctx context.Context) (memoryRow, error) {
	count := min(w.users, mostConnected)
	h, err := w.hire(task{URLs: []string{w.nodes[0].url}, First: 0, Last: count})
	if err != nil {
		return memoryRow{}, err
	}
	defer release(h)
	err = until(ctx, fmt.Sprintf("%d connections", count), 5*time.Minute, 100*time.Millisecond, func() bool {
		return h.latest.Load().Connected == int64(count)
	})
	if err != nil {
		return memoryRow{}, err
	}
	return w.weigh(ctx, "connection with a subscription", count, w.nodes[:1])
}

// look counts the Raft groups and measures the start of a node, with so many rooms.
func (w *weigher) look(ctx context.Context, r *memoryResult, at, rooms int) (err error) {
	r.Rooms[at] = rooms
	sys, err := w.connect(accountSystem)
	if err != nil {
		return err
	}
	defer sys.Close()
	groups := map[string]bool{}
	err = raftGroups(sys, len(w.nodes), []string{accountSystem, accountData, accountMembership}, func(group string, _ uint64) { groups[group] = true })
	if err != nil {
		return err
	}
	r.Groups[at] = len(groups)
	first, err := newPerson(0)
	if err != nil {
		return err
	}
	var times []time.Duration
	n := w.nodes[len(w.nodes)-1]
	for range w.starts {
		n.stop()
		begin := time.Now()
		if err := n.start(); err != nil {
			return err
		}
		conns, err := w.await(ctx, first, []*node{n})
		if err != nil {
			return err
		}
		times = append(times, time.Since(begin))
		conns[0].Close()
	}
	r.Start[at] = medianOf(seconds(times))
	return nil
}
