// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patient is a bus with a stream that is written to, on which faults are tried.
type patient struct {
	*bus
	p   *program
	sys *nats.Conn
	nc  *nats.Conn
	js  jetstream.JetStream
	w   *writers
	n   int // streams made
	// nursed counts the restarts that it took to make the cluster whole again.
	nursed int
}

const (
	patientStream = "LEDGER"
	// atWork and atEase are the rests of a writer while a fault is tried and while the cluster recovers from one.
	atWork = 2 * time.Millisecond
	atEase = 100 * time.Millisecond
)

func (p *program) newPatient(ctx context.Context, b *bus) (*patient, error) {
	t := &patient{bus: b, p: p}
	var err error
	if t.sys, err = b.connect(accountSystem); err != nil {
		return nil, err
	}
	if t.nc, t.js, err = b.jetStream(); err != nil {
		return nil, err
	}
	config := jetstream.StreamConfig{Name: patientStream, Subjects: []string{patientStream + ".>"}, Replicas: len(b.nodes), MaxBytes: 1 << 30}
	if err := b.usable(ctx, time.Minute, t.js, config); err != nil {
		return nil, err
	}
	t.w, err = startWriters(ctx, b, patientStream, 4, atWork)
	return t, err
}

func (t *patient) close() {
	t.w.halt()
	t.sys.Close()
	t.nc.Close()
	t.end()
}

// apart waits until the cluster is whole and sees to it that the stream's leader is not the meta leader.
func (t *patient) apart(ctx context.Context) (leader, first *node, err error) {
	if err := t.whole(ctx); err != nil {
		return nil, nil, err
	}
	m, err := meta(t.sys)
	if err != nil {
		return nil, nil, err
	}
	if first, err = t.node(m.Leader); err != nil {
		return nil, nil, err
	}
	name, _ := stream(ctx, t.js, patientStream, len(t.nodes))
	if name != m.Leader {
		leader, err = t.node(name)
		return leader, first, err
	}
	for _, n := range t.nodes {
		if n != first {
			leader = n
		}
	}
	if err := t.moveStream(ctx, t.nc, t.js, patientStream, leader.name); err != nil {
		return nil, nil, err
	}
	return leader, first, t.whole(ctx)
}

// whole waits until nothing is missing; then the writers are at work. A replica that stays stuck is helped by a restart of its
// server, which is counted: nobody can measure a cluster that does not recover.
func (t *patient) whole(ctx context.Context) error {
	t.w.rest.Store(int64(atEase))
	defer t.w.rest.Store(int64(atWork))
	for {
		err := t.wholeWithin(ctx, 2*time.Minute)
		if err == nil || ctx.Err() != nil || t.nursed >= 10 {
			return err
		}
		leader, _ := stream(ctx, t.js, patientStream, len(t.nodes))
		for _, n := range t.nodes {
			if n.name == leader {
				continue
			}
			slog.Warn("restarted: it does not recover", "bus", t.label, "node", n.name, "reason", err)
			n.stop()
			if err := n.start(); err != nil {
				return err
			}
			t.nursed++
			if t.wholeWithin(ctx, 30*time.Second) == nil {
				return nil
			}
		}
	}
}

// wholeWithin asks three witnesses, the meta leader, the stream's leader and each member itself, until they agree ten times in a row.
func (t *patient) wholeWithin(ctx context.Context, limit time.Duration) error {
	inARow, missing := 0, ""
	err := until(ctx, t.label+" whole", limit, 200*time.Millisecond, func() bool {
		if missing = t.missing(ctx); missing != "" {
			inARow = 0
			return false
		}
		inARow++
		return inARow >= 10
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, missing)
	}
	return nil
}

// missing says who is not content, empty when all are.
func (t *patient) missing(ctx context.Context) string {
	if m, err := meta(t.sys); err != nil || !m.whole(len(t.nodes)) {
		return fmt.Sprintf("the meta group: %+v %v", m, err)
	}
	if leader, whole := stream(ctx, t.js, patientStream, len(t.nodes)); !whole {
		return fmt.Sprintf("the leader of the stream, %q", leader)
	}
	if !t.healthy() {
		return "a member of the stream"
	}
	return ""
}

// healthy asks every member about its own replica of the stream.
func (t *patient) healthy() bool {
	inbox := t.sys.NewInbox()
	sub, err := t.sys.SubscribeSync(inbox)
	if err != nil {
		return false
	}
	defer sub.Unsubscribe()
	body := fmt.Sprintf(`{"account":%q,"stream":%q}`, accountData, patientStream)
	if t.sys.PublishRequest("$SYS.REQ.SERVER.PING.HEALTHZ", inbox, []byte(body)) != nil {
		return false
	}
	for range t.nodes {
		m, err := sub.NextMsg(500 * time.Millisecond)
		if err != nil {
			return false
		}
		var r struct {
			Data struct {
				StatusCode int `json:"status_code"`
			} `json:"data"`
		}
		if json.Unmarshal(m.Data, &r) != nil || r.Data.StatusCode != 200 {
			return false
		}
	}
	return true
}
