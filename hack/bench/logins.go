// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
)

const (
	// mostLogin is how many times what a connection costs with few users it may cost with many.
	mostLogin = 1.2
	fewUsers  = 100
	// callers connect at a time.
	callers = 4
)

// besideRow is one thing measured in pairs with another.
type besideRow struct {
	What   string   `json:"what"`
	Beside string   `json:"beside"`
	Rate   interval `json:"rate"`  // per second
	Other  interval `json:"other"` // per second, of what it is beside
	Ratio  interval `json:"ratio"` // of each pair
	// Bound is empty where nothing is judged.
	Bound string `json:"bound,omitempty"`
	Held  bool   `json:"held"`
}

// beside measures two in alternating pairs. The bound is of the least ratio, 0 for none, and is held if the interval's lower end is.
func (p *program) beside(ctx context.Context, what, other string, least float64, a, b func(context.Context) (float64, error)) (besideRow, error) {
	most := p.most
	if least == 0 {
		most = p.least // what is told need not be as sure
	}
	r, err := p.alternate(ctx, most, a, b)
	if err != nil {
		return besideRow{}, fmt.Errorf("%s beside %s: %w", what, other, err)
	}
	row := besideRow{What: what, Beside: other, Rate: r.Ours, Other: r.Stock, Ratio: r.Ratio}.judge(least)
	slog.Info("measured", "what", what, "beside", other, "pairs", row.Ratio.N, "ratio", row.Ratio)
	return row, nil
}

// judge holds the lower end of the ratio's interval against a bound. A wide interval that is all on the right side of it is as good.
func (r besideRow) judge(least float64) besideRow {
	if r.Held = true; least > 0 {
		r.Bound, r.Held = fmt.Sprintf(">= %.2f", least), r.Ratio.Low >= least
	}
	return r
}

// logins measures how many connections a second one node takes: with many users beside the same node with few, and beside stock with as
// many static nkeys.
func (p *program) logins(ctx context.Context) ([]besideRow, error) {
	many, err := p.crowded(ctx, "many", p.users)
	if err != nil {
		return nil, err
	}
	defer many.end()
	few, err := p.crowded(ctx, "few", fewUsers)
	if err != nil {
		return nil, err
	}
	defer few.end()
	static, err := newStockUsers(p.shop, "static", 1, p.users)
	if err != nil {
		return nil, err
	}
	if _, err := p.cold(ctx, static); err != nil {
		return nil, err
	}
	defer static.end()
	var rows []besideRow
	named := func(b *bus, of string, users int) (string, func(context.Context) (float64, error)) {
		return fmt.Sprintf("%s, %d %s", b.label, users, of), func(ctx context.Context) (float64, error) { return p.loginRate(ctx, b, users) }
	}
	a, manyRate := named(many, "users", p.users)
	b, fewRate := named(few, "users", fewUsers)
	c, staticRate := named(static, "static nkeys", p.users)
	for _, t := range []struct {
		other string
		rate  func(context.Context) (float64, error)
		least float64
	}{{b, fewRate, 1 / mostLogin}, {c, staticRate, 0}} {
		row, err := p.beside(ctx, a, t.other, t.least, manyRate, t.rate)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// crowded starts a lone node of ours with so many users and rooms.
func (p *program) crowded(ctx context.Context, name string, users int) (*bus, error) {
	b, err := p.newOurs(name, 1)
	if err != nil {
		return nil, err
	}
	if _, err = p.cold(ctx, b); err == nil {
		err = p.populate(ctx, b, class, users)
	}
	if err != nil {
		b.end()
	}
	return b, err
}

// loginRate connects users drawn at random, each in full: TCP, TLS, proof and the answer to a first ping.
func (p *program) loginRate(ctx context.Context, b *bus, users int) (float64, error) {
	return each(ctx, 2*sample, callers, func(ctx context.Context) (int, error) {
		who, err := newPerson(rand.IntN(users))
		if err != nil {
			return 0, err
		}
		nc, err := p.enter(who, b.nodes[0])
		if err != nil {
			return 0, err
		}
		nc.Close()
		return 1, ctx.Err()
	})
}
