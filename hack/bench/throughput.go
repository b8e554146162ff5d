// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
)

// pairRow is one workload, measured in pairs.
type pairRow struct {
	Workload string   `json:"workload"`
	Ours     interval `json:"ours"`  // messages per second
	Stock    interval `json:"stock"` // messages per second
	Ratio    interval `json:"ratio"` // of each pair, ours to stock
	Held     bool     `json:"held"`
}

// Bounds that throughput is judged by.
const (
	leastRatio = 0.95
	narrow     = 0.06
)

// throughput measures ours beside stock in alternating pairs: what else the machine does hits both halves of a pair.
func (p *program) throughput(ctx context.Context) ([]pairRow, error) {
	var rows []pairRow
	for _, part := range []struct {
		name  string
		size  int
		loads []workload
	}{{"lone", 1, loneWorkloads}, {"cluster", 3, clusterWorkloads}} {
		r, err := p.pairs(ctx, part.name, part.size, part.loads)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

func (p *program) pairs(ctx context.Context, name string, size int, loads []workload) ([]pairRow, error) {
	ours, stock, err := p.both(ctx, name, size)
	if err != nil {
		return nil, err
	}
	defer ours.end()
	defer stock.end()
	var rows []pairRow
	for _, l := range loads {
		a, err := l.prepare(ctx, ours)
		if err != nil {
			return nil, fmt.Errorf("%s on ours: %w", l.name, err)
		}
		b, err := l.prepare(ctx, stock)
		if err != nil {
			return nil, fmt.Errorf("%s on stock: %w", l.name, err)
		}
		row, err := p.alternate(ctx, p.most, a, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		row.Workload = l.name
		slog.Info("measured", "workload", l.name, "pairs", row.Ratio.N, "ratio", row.Ratio)
		rows = append(rows, row)
	}
	return rows, nil
}

// turns is the order of measurements within one pair, 0 for ours: a machine that gets slower or faster meanwhile favours
// neither. Every other pair is turned round.
var turns = []int{0, 1, 1, 0}

// alternate measures pairs until the interval of the median ratio is narrow, at least p.least and at most so many.
func (p *program) alternate(ctx context.Context, most int, ours, stock func(context.Context) (float64, error)) (pairRow, error) {
	measure := []func(context.Context) (float64, error){ours, stock}
	var rates [2][]float64
	var ratios []float64
	row := pairRow{}
	for i := -1; i < most; i++ { // the pair -1 warms up and does not count
		var r [2]float64
		for _, turn := range turns {
			k := (i + 1 + turn) % 2
			rate, err := measure[k](ctx)
			if err != nil {
				return row, err
			}
			r[k] += rate / 2 // each is measured twice
		}
		if i < 0 {
			continue
		}
		rates[0], rates[1], ratios = append(rates[0], r[0]), append(rates[1], r[1]), append(ratios, r[0]/r[1])
		row.Ratio = medianOf(ratios)
		if i+1 >= p.least && row.Ratio.width() < narrow {
			break
		}
	}
	row.Ours, row.Stock = medianOf(rates[0]), medianOf(rates[1])
	row.Held = row.Ratio.Low >= leastRatio && row.Ratio.width() < narrow
	return row, nil
}

// both starts a cluster of ours and one of stock, and waits until each is of use.
func (p *program) both(ctx context.Context, name string, size int) (ours, stock *bus, err error) {
	if stock, err = newStock(p.shop, name, size); err != nil {
		return nil, nil, err
	}
	if ours, err = p.newOurs(name, size); err != nil {
		return nil, nil, err
	}
	for _, b := range []*bus{ours, stock} {
		if _, err = p.cold(ctx, b); err != nil {
			ours.end()
			stock.end()
			return nil, nil, err
		}
	}
	return ours, stock, nil
}
