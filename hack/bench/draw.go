// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	oursColor  = "#1f6f43"
	stockColor = "#2b5c9e"
	before     = 3 * time.Second  // shown before a fault
	after      = 12 * time.Second // shown after it
)

// draw makes one run each of a grow and of a failover and writes their pictures.
func (p *program) draw(ctx context.Context) error {
	g, err := p.grow(ctx)
	if err != nil {
		return err
	}
	from, to := g.begin.Add(-2*time.Second), g.end.Add(2*time.Second)
	s := count("acknowledged writes", oursColor, g.acks, from, to)
	s.marks = append([]mark{{2 * time.Second, "unibus cluster grow --replicas 3"}}, g.steps(2*time.Second)...)
	s.marks = append(s.marks, mark{g.end.Sub(from), "done"})
	title := fmt.Sprintf("One node becomes three under writes: longest gap %.0f ms", g.LongestGap*1000)
	if err := os.WriteFile(filepath.Join(p.pictures, "grow.svg"), []byte(picture(title, s)), 0o644); err != nil {
		return err
	}

	ours, stock, err := p.both(ctx, "draw", 3)
	if err != nil {
		return err
	}
	defer ours.end()
	defer stock.end()
	var all []series
	var gaps []string
	for _, b := range []*bus{ours, stock} {
		s, gap, err := p.failoverSeries(ctx, b)
		if err != nil {
			return err
		}
		all = append(all, s)
		gaps = append(gaps, fmt.Sprintf("%s %.1f s", b.label, gap.Seconds()))
	}
	title = "kill -9 of the stream's leader, three nodes: " + strings.Join(gaps, ", ") + " without an acknowledgement"
	return os.WriteFile(filepath.Join(p.pictures, "failover.svg"), []byte(picture(title, all...)), 0o644)
}

// progress is a line that tells what is done, after the command's own time; the plan's lines have none.
var progress = regexp.MustCompile(`^\s*[0-9.]+s  (.*)$`)

// steps picks from what the command said what changes the cluster.
func (g *growResult) steps(offset time.Duration) (marks []mark) {
	raised := false
	for _, m := range g.said {
		line := progress.FindStringSubmatch(m.text)
		switch {
		case line == nil:
		case strings.Contains(line[1], " joins on "):
			marks = append(marks, mark{offset + m.at, line[1]})
		case strings.HasSuffix(line[1], " gets 3 replicas") && !raised:
			raised = true
			marks = append(marks, mark{offset + m.at, "streams get three replicas"})
		}
	}
	return marks
}

// failoverSeries kills the stream's leader once and returns the writes around it.
func (p *program) failoverSeries(ctx context.Context, b *bus) (series, time.Duration, error) {
	t, err := p.newPatient(ctx, b)
	if err != nil {
		return series{}, 0, err
	}
	defer t.close()
	leader, _, err := t.apart(ctx)
	if err != nil {
		return series{}, 0, err
	}
	pause(ctx, before)
	gap, from, err := t.lose(ctx, leader.kill, leader, nil)
	if err != nil {
		return series{}, 0, err
	}
	back := time.Now()
	pause(ctx, after-time.Since(from))
	color := oursColor
	if b.label == "stock" {
		color = stockColor
	}
	s := count(b.label, color, t.w.since(from.Add(-before)), from.Add(-before), from.Add(after))
	s.marks = []mark{{before, "kill -9"}, {before + back.Sub(from), "started again"}}
	return s, gap, nil
}
