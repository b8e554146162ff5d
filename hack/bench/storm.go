// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// clientsOfOne process; it has a limit of descriptors.
	clientsOfOne = 2000
	// longestReturn is how long the crowd is waited for.
	longestReturn = 2 * time.Minute
	// a bystander is followed for so long where nothing else says how long.
	aWhile = 15 * time.Second
	// Users by number, besides the flooder: who speaks, who listens, who does not read what it is sent, and the first of the crowd.
	speaking, listening, stalling, firstOfCrowd = 1, 2, 3, 10
)

// stormRow is how bystanders and nodes fared.
type stormRow struct {
	What   string  `json:"what"`
	Before fared   `json:"before"` // bystanders' messages
	During fared   `json:"during"`
	After  fared   `json:"after"`
	Back   float64 `json:"back,omitempty"` // seconds until all clients were back
	Away   int64   `json:"away,omitempty"` // clients that were not back then, when they were given up
	// Idle is the memory of the largest surviving node before, Peak the most that any of them had, and Later what it had afterwards, in MiB.
	Idle  float64 `json:"idle"`
	Peak  float64 `json:"peak"`
	Later float64 `json:"later"`

	Live float64 `json:"floodLive,omitempty"`    // messages per second
	Kept float64 `json:"floodAppends,omitempty"` // messages per second
	Cut  float64 `json:"cut,omitempty"`          // slow consumers that nodes cut off
	Held bool    `json:"held"`                   // that bystanders lost nothing
}

// fared is how bystanders' messages did: those that were told, and those that were kept.
type fared struct {
	Live calls `json:"live"`
	Kept calls `json:"kept"`
}

func (s *bystander) between(ctx context.Context, from, to time.Time) fared {
	return fared{s.live.between(ctx, from, to), s.kept.between(ctx, from, to)}
}

func (p *program) storm(ctx context.Context) (stormRow, error) {
	return p.besides(ctx, "storm", func(b *bus, s *bystander, _ person) (stormRow, error) { return p.comeBack(ctx, b, s) })
}

func (p *program) floods(ctx context.Context) (stormRow, error) {
	return p.besides(ctx, "flood", func(b *bus, s *bystander, staller person) (stormRow, error) {
		return p.slowAndFlood(ctx, b, s, staller)
	})
}

// besides does something to three nodes with many users, while bystanders talk at the second and third.
func (p *program) besides(ctx context.Context, name string, what func(b *bus, s *bystander, staller person) (stormRow, error)) (r stormRow, err error) {
	b, err := p.newOurs(name, 3)
	if err != nil {
		return r, err
	}
	defer b.end()
	if _, err := p.cold(ctx, b); err != nil {
		return r, err
	}
	if err := p.populate(ctx, b, class, firstOfCrowd+p.users); err != nil {
		return r, err
	}
	speaker, listener, staller, err := p.extras(ctx, b)
	if err != nil {
		return r, err
	}
	s, err := p.stand(ctx, speaking, speaker, listener, b.nodes[1:])
	if err != nil {
		return r, err
	}
	defer s.leave()
	r, err = what(b, s, staller)
	return r.judge(), err
}

func (r *results) addStorm(row stormRow, err error) error {
	if err == nil {
		r.Storms = append(r.Storms, row)
	}
	return err
}

func (r stormRow) judge() stormRow {
	r.Held = true
	for _, f := range []fared{r.Before, r.During, r.After} {
		for _, c := range []calls{f.Live, f.Kept} {
			r.Held = r.Held && c.Lost == 0 && c.Sent > 0
		}
	}
	return r
}

// extras are users who are in the room of another as well.
func (p *program) extras(ctx context.Context, b *bus) (speaker, listener, staller person, err error) {
	nc, js, err := b.store()
	if err != nil {
		return speaker, listener, staller, err
	}
	defer nc.Close()
	s, err := newStore(js)
	if err != nil {
		return speaker, listener, staller, err
	}
	for number, to := range map[int]*person{speaking: &speaker, listening: &listener, stalling: &staller} {
		if *to, err = newPerson(number); err != nil {
			return speaker, listener, staller, err
		}
	}
	if _, err = s.PutMember(ctx, roomName(speaking), listener.key, v1.RoleMember, 0); err == nil {
		_, err = s.PutMember(ctx, roomName(flooder), staller.key, v1.RoleMember, 0)
	}
	if err == nil {
		err = p.known(ctx, b, firstOfCrowd+p.users+2, "members")
	}
	return speaker, listener, staller, err
}

// comeBack connects the crowd to the first node, kills that, and waits until all are back on the others.
func (p *program) comeBack(ctx context.Context, b *bus, s *bystander) (r stormRow, err error) {
	r.What = fmt.Sprintf("%d clients of a killed node come back", p.users)
	var crowd []*hand
	defer func() { release(crowd...) }()
	end := firstOfCrowd + p.users
	for i := firstOfCrowd; i < end; i += clientsOfOne {
		t := task{First: i, Last: min(i+clientsOfOne, end)}
		for _, n := range b.nodes {
			t.URLs = append(t.URLs, n.url)
		}
		h, err := p.hire(t)
		if err != nil {
			return r, err
		}
		crowd = append(crowd, h)
	}
	want := int64(p.users)
	err = until(ctx, "the crowd", 10*time.Minute, 100*time.Millisecond, func() bool { return sum(crowd).Connected == want })
	if err != nil {
		return r, fmt.Errorf("%w: %+v", err, sum(crowd))
	}
	pause(ctx, settle)
	begin := time.Now()
	pause(ctx, aWhile)
	idle := startWatermark(ctx, b.nodes[1:]...)
	pause(ctx, time.Second)
	r.Idle = idle.peak()
	peak := startWatermark(ctx, b.nodes[1:]...)
	lost := sum(crowd).Lost
	killed := time.Now()
	b.nodes[0].kill()
	defer peak.stop()
	err = until(ctx, "the crowd's return", longestReturn, 20*time.Millisecond, func() bool {
		t := sum(crowd)
		return t.Lost-lost >= want && t.Connected == want
	})
	back := time.Now()
	if ctx.Err() != nil {
		return r, err
	}
	r.Back, r.Away = back.Sub(killed).Seconds(), want-sum(crowd).Connected
	pause(ctx, aWhile)
	r.Before, r.During, r.After = s.between(ctx, begin, killed), s.between(ctx, killed, back), s.between(ctx, back, back.Add(aWhile))
	r.Peak = peak.peak()
	r.Later, err = largest(b.nodes[1:])
	slog.Info("the crowd was waited for", "seconds", r.Back, "away", r.Away, "tally", sum(crowd))
	return r, err
}

// largest is the most memory that any of the nodes has now, in MiB.
func largest(nodes []*node) (most float64, err error) {
	for _, n := range nodes {
		v, err := resident(n.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		most = max(most, v/(1<<20))
	}
	return most, nil
}

// stalled is a connection that is not read from once gate is closed.
type stalled struct {
	net.Conn
	gate, done chan struct{}
}

func (s *stalled) Read(b []byte) (int, error) {
	select {
	case <-s.gate:
		<-s.done
		return 0, net.ErrClosed
	default:
		return s.Conn.Read(b)
	}
}

// Dial implements nats.CustomDialer.
func (s *stalled) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	s.Conn = c
	return s, nil
}

// slowAndFlood lets one user flood, and another listen to it who does not read.
func (p *program) slowAndFlood(ctx context.Context, b *bus, s *bystander, staller person) (r stormRow, err error) {
	r.What = "a user floods, another does not read"
	begin := time.Now()
	pause(ctx, aWhile)
	if r.Idle, err = largest(b.nodes); err != nil {
		return r, err
	}
	slow := &stalled{gate: make(chan struct{}), done: make(chan struct{})}
	defer close(slow.done)
	nc, err := p.enter(staller, b.nodes[1], nats.SetCustomDialer(slow))
	if err != nil {
		return r, err
	}
	defer nc.Close()
	if _, err := nc.Subscribe(v1.RoomSubjects(roomID(flooder)), func(*nats.Msg) {}); err != nil {
		return r, err
	}
	if err := nc.Flush(); err != nil {
		return r, err
	}
	close(slow.gate)
	peak := startWatermark(ctx, b.nodes...)
	defer peak.stop()
	flooded := time.Now()
	h, err := p.flood(ctx, b, 1024)
	if err != nil {
		return r, err
	}
	from := sum([]*hand{h})
	start := time.Now()
	pause(ctx, 2*aWhile)
	to, took := sum([]*hand{h}), time.Since(start).Seconds()
	r.Live, r.Kept = float64(to.Live-from.Live)/took, float64(to.Appended-from.Appended)/took
	release(h)
	ended := time.Now()
	pause(ctx, aWhile)
	r.Before, r.During, r.After = s.between(ctx, begin, flooded), s.between(ctx, flooded, ended), s.between(ctx, ended, ended.Add(aWhile))
	r.Peak = peak.peak()
	if r.Later, err = largest(b.nodes); err != nil {
		return r, err
	}
	for _, n := range b.nodes {
		m, err := n.metrics(ctx)
		if err != nil {
			return r, err
		}
		r.Cut += m["unibus_server_slow_consumers_total"]
	}
	return r, nil
}
