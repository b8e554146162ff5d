// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bounds that failovers are judged by.
const (
	mostOfStock     = 0.6 // median gap of a kill, ours to stock
	mostPlanned     = 500 * time.Millisecond
	mostOfStockKill = 0.1 // a planned stop, to stock's kill of the stream's leader
)

// The rows of the table.
const (
	killStream = "kill -9 of the stream's leader: writes"
	killMeta   = "kill -9 of the meta leader: new streams"
	killMetaW  = "kill -9 of the meta leader: writes"
	stopStream = "planned stop of the stream's leader: writes"
)

// failRow is what one kind of fault costs, in seconds without an acknowledgement.
type failRow struct {
	Fault string   `json:"fault"`
	Ours  interval `json:"ours"`
	Worst float64  `json:"worst"` // of ours
	Stock interval `json:"stock"`
	Ratio float64  `json:"ratio"` // of the medians
	Bound string   `json:"bound,omitempty"`
	Held  bool     `json:"held"`
}

// failovers tries every fault on ours and on stock in turn, round after round. It also returns how many restarts each needed to
// become whole again.
func (p *program) failovers(ctx context.Context) (rows []failRow, nursed map[string]int, err error) {
	ours, stock, err := p.both(ctx, "failover", 3)
	if err != nil {
		return nil, nil, err
	}
	gaps := map[string][]time.Duration{}
	var patients []*patient
	for _, b := range []*bus{ours, stock} {
		t, err := p.newPatient(ctx, b)
		if err != nil {
			return nil, nil, err
		}
		defer t.close()
		patients = append(patients, t)
	}
	for round := range p.rounds {
		for i := range patients {
			t := patients[(i+round)%2]
			if err := t.round(ctx, gaps); err != nil {
				return nil, nil, fmt.Errorf("%s, round %d: %w", t.label, round+1, err)
			}
		}
		slog.Info("round done", "round", round+1, "of", p.rounds)
	}
	nursed = map[string]int{}
	for _, t := range patients {
		nursed[t.label] = t.nursed
	}
	return judge(gaps), nursed, nil
}

func judge(gaps map[string][]time.Duration) []failRow {
	stockKill := medianOf(seconds(gaps[killStream+" stock"])).Median
	var rows []failRow
	for _, f := range []string{killStream, killMeta, killMetaW, stopStream} {
		o, s := seconds(gaps[f+" ours"]), seconds(gaps[f+" stock"])
		r := failRow{Fault: f, Ours: medianOf(o), Stock: medianOf(s), Held: true}
		for _, v := range o {
			r.Worst = max(r.Worst, v)
		}
		r.Ratio = r.Ours.Median / r.Stock.Median
		switch f {
		case killStream, killMeta:
			r.Bound, r.Held = fmt.Sprintf("ratio <= %.1f", mostOfStock), r.Ratio <= mostOfStock
		case stopStream:
			bound := min(mostPlanned.Seconds(), mostOfStockKill*stockKill)
			r.Bound, r.Held = fmt.Sprintf("worst of ours <= %.3f s", bound), r.Worst <= bound
		}
		rows = append(rows, r)
	}
	return rows
}

// round tries each fault once; before each the cluster is whole and its two leaders are apart.
func (t *patient) round(ctx context.Context, gaps map[string][]time.Duration) error {
	note := func(fault string, d time.Duration) {
		gaps[fault+" "+t.label] = append(gaps[fault+" "+t.label], d)
		slog.Info("gap", "bus", t.label, "fault", fault, "seconds", d.Seconds())
	}
	leader, _, err := t.apart(ctx)
	if err != nil {
		return err
	}
	d, _, err := t.lose(ctx, leader.kill, leader, nil)
	if err != nil {
		return err
	}
	note(killStream, d)

	_, first, err := t.apart(ctx)
	if err != nil {
		return err
	}
	var assets time.Duration
	if d, _, err = t.lose(ctx, first.kill, first, func(from time.Time) error {
		err := t.usable(ctx, 2*time.Minute, t.js, t.next())
		assets = time.Since(from)
		return err
	}); err != nil {
		return err
	}
	note(killMeta, assets)
	note(killMetaW, d)

	if leader, _, err = t.apart(ctx); err != nil {
		return err
	}
	if d, _, err = t.lose(ctx, leader.stop, leader, nil); err != nil {
		return err
	}
	note(stopStream, d)
	return nil
}

// next is a stream that is not there yet.
func (t *patient) next() jetstream.StreamConfig {
	t.n++
	name := fmt.Sprint("NEW", t.n)
	return jetstream.StreamConfig{Name: name, Subjects: []string{name}, MaxBytes: 1 << 20, Replicas: 1}
}

// lose ends a node, measures the gap in the writes until they go on steadily, and starts the node again. While it is
// gone, meanwhile is called with the time of the loss. It returns the gap and when it began.
func (t *patient) lose(ctx context.Context, end func(), n *node, meanwhile func(from time.Time) error) (gap time.Duration, from time.Time, err error) {
	pause(ctx, time.Second) // so that the writers are at work
	from = time.Now()
	gone := make(chan struct{})
	go func() { end(); close(gone) }()
	if meanwhile != nil {
		err = meanwhile(from)
	}
	<-gone
	if err != nil {
		return 0, from, err
	}
	if err = t.w.steady(ctx, from); err != nil {
		return 0, from, err
	}
	gap = t.w.gap(from)
	return gap, from, n.start()
}
