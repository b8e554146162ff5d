// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// calmResult tells how a cluster fared with all cores busy and nothing failing.
type calmResult struct {
	Seconds      float64 `json:"seconds"`
	Acknowledged int     `json:"acknowledged"`
	LongestGap   float64 `json:"longestGap"` // seconds
	Elections    int64   `json:"elections"`  // leaders elected, of the meta group or of any stream or consumer
	Terms        uint64  `json:"terms"`      // by how much the terms of all Raft groups grew
	Held         bool    `json:"held"`
}

// calm keeps three nodes of ours and every core busy, and counts elections: nothing fails, so there must be none.
func (p *program) calm(ctx context.Context) (*calmResult, error) {
	b, err := p.newOurs("calm", 3)
	if err != nil {
		return nil, err
	}
	if _, err := p.cold(ctx, b); err != nil {
		b.end()
		return nil, err
	}
	t, err := p.newPatient(ctx, b)
	if err != nil {
		b.end()
		return nil, err
	}
	defer t.close()
	if err := t.whole(ctx); err != nil {
		return nil, err
	}
	var elections atomic.Int64
	if err := t.watchElections(func(subject string) {
		elections.Add(1)
		slog.Warn("election", "subject", subject)
	}); err != nil {
		return nil, err
	}
	before, err := t.terms()
	if err != nil {
		return nil, err
	}
	busy, stop := context.WithTimeout(ctx, p.calmFor)
	defer stop()
	for range runtime.NumCPU() {
		go burn(busy)
	}
	hard, err := startWriters(busy, b, patientStream, 16, 0)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	<-busy.Done()
	r := &calmResult{Seconds: time.Since(begin).Seconds(), LongestGap: hard.gap(begin).Seconds(), Elections: elections.Load()}
	hard.halt()
	r.Acknowledged = len(hard.since(begin))
	after, err := t.terms()
	if err != nil {
		return nil, err
	}
	r.Terms = after - before
	r.Held = r.Elections == 0 && r.Terms == 0
	return r, ctx.Err()
}

// burn keeps one core busy.
func burn(ctx context.Context) {
	for n := uint64(1); ctx.Err() == nil; {
		for range 1_000_000 {
			n = n*6364136223846793005 + 1442695040888963407
		}
	}
}

// watchElections calls f with the subject of every advisory that a leader was elected.
func (t *patient) watchElections(f func(subject string)) error {
	for nc, subject := range map[*nats.Conn]string{
		t.nc: "$JS.EVENT.ADVISORY.*.LEADER_ELECTED.>", t.sys: "$JS.EVENT.ADVISORY.DOMAIN.LEADER_ELECTED",
	} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { f(m.Subject) }); err != nil {
			return err
		}
		if err := nc.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// terms adds up the terms of all Raft groups on all nodes: a candidacy that wins nothing shows there too.
func (t *patient) terms() (sum uint64, err error) {
	err = raftGroups(t.sys, len(t.nodes), []string{accountSystem, accountData}, func(_ string, term uint64) { sum += term })
	if err == nil && sum == 0 {
		err = errors.New("no server told the terms of its raft groups")
	}
	return sum, err
}

// raftGroups calls f for each Raft group of the accounts on each of so many servers.
func raftGroups(sys *nats.Conn, servers int, accounts []string, f func(group string, term uint64)) error {
	for _, account := range accounts {
		inbox := sys.NewInbox()
		sub, err := sys.SubscribeSync(inbox)
		if err != nil {
			return err
		}
		defer sub.Unsubscribe()
		if err := sys.PublishRequest("$SYS.REQ.SERVER.PING.RAFTZ", inbox, fmt.Appendf(nil, `{"account":%q}`, account)); err != nil {
			return err
		}
		for range servers {
			m, err := sub.NextMsg(5 * time.Second)
			if err != nil {
				return fmt.Errorf("raft groups of %s: %w", account, err)
			}
			var r struct {
				Data map[string]map[string]struct {
					Term uint64 `json:"term"`
				} `json:"data"`
			}
			if err := json.Unmarshal(m.Data, &r); err != nil {
				return fmt.Errorf("raft groups of %s: %w", account, err)
			}
			for _, groups := range r.Data {
				for name, g := range groups {
					f(name, g.Term)
				}
			}
		}
	}
	return nil
}
