// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// startRow is the time that one kind of start takes, in seconds.
type startRow struct {
	Start string    `json:"start"`
	Ours  interval  `json:"ours"`
	Stock *interval `json:"stock,omitempty"` // nil where stock has nothing like it
}

// cold starts all nodes of a bus and returns the time until a key is written to a bucket with a replica on each.
func (p *program) cold(ctx context.Context, b *bus) (time.Duration, error) {
	begin := time.Now()
	if err := b.start(); err != nil {
		return 0, err
	}
	return p.firstKey(ctx, b, begin)
}

func (p *program) firstKey(ctx context.Context, b *bus, begin time.Time) (time.Duration, error) {
	var d time.Duration
	err := until(ctx, "a key on "+b.label, 2*time.Minute, 5*time.Millisecond, func() bool {
		nc, js, err := b.jetStream()
		if err != nil {
			return false
		}
		defer nc.Close()
		// Short attempts: one that is sent before there is a meta leader is never answered.
		ctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
		defer cancel()
		kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "START", Replicas: len(b.nodes)})
		if err != nil {
			return false
		}
		if _, err := kv.PutString(ctx, "key", "value"); err != nil {
			return false
		}
		d = time.Since(begin)
		return true
	})
	if err != nil {
		return 0, err
	}
	return d, nil
}

// measureStarts measures the time from an empty disk to a usable KV, alone and three at once, and of a lone node that comes back.
func (p *program) measureStarts(ctx context.Context) ([]startRow, error) {
	times := map[string][]time.Duration{}
	for i := range p.starts {
		for _, size := range []int{1, 3} {
			stock, err := newStock(p.shop, fmt.Sprintf("start-%d-%d", size, i), size)
			if err != nil {
				return nil, err
			}
			ours, err := p.newOurs(fmt.Sprintf("start-%d-%d", size, i), size)
			if err != nil {
				return nil, err
			}
			for _, b := range []*bus{ours, stock} {
				if err := p.startOnce(ctx, b, times); err != nil {
					return nil, err
				}
			}
		}
	}
	var rows []startRow
	for _, kind := range []string{"empty disk, alone", "empty disk, three at once", "back again, alone"} {
		stock := medianOf(seconds(times[kind+" stock"]))
		rows = append(rows, startRow{Start: kind, Ours: medianOf(seconds(times[kind+" ours"])), Stock: &stock})
	}
	return rows, nil
}

func (p *program) startOnce(ctx context.Context, b *bus, times map[string][]time.Duration) error {
	defer b.end()
	d, err := p.cold(ctx, b)
	if err != nil {
		return err
	}
	if len(b.nodes) > 1 {
		times["empty disk, three at once "+b.label] = append(times["empty disk, three at once "+b.label], d)
		return nil
	}
	times["empty disk, alone "+b.label] = append(times["empty disk, alone "+b.label], d)
	b.nodes[0].stop()
	if d, err = p.cold(ctx, b); err != nil {
		return err
	}
	times["back again, alone "+b.label] = append(times["back again, alone "+b.label], d)
	return nil
}
