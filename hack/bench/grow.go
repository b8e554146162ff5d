// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"
)

// bucket is what is filled before a growth.
const bucket = "KEYS"

// growResult tells how a cluster grew from one to three under writes.
type growResult struct {
	Keys         int     `json:"keys"`    // in a bucket, before
	Seconds      float64 `json:"seconds"` // until the command was done
	LongestGap   float64 `json:"longestGap"`
	Acknowledged int     `json:"acknowledged"` // writes, meanwhile
	Missing      int     `json:"missing"`      // of those and of the keys

	acks       []time.Time
	begin, end time.Time
	said       []mark // lines of the command, with the time since begin
}

// grow lets the command line make one node, fills it, and lets it grow to three while writers are at work.
func (p *program) grow(ctx context.Context) (*growResult, error) {
	p.grown++
	dir := filepath.Join(p.shop.dir, fmt.Sprint("grow-", p.grown))
	if _, err := p.cluster(ctx, "create", "--dir", dir); err != nil {
		return nil, err
	}
	defer func() { _, _ = p.cluster(context.WithoutCancel(ctx), "stop", "--dir", dir) }() // its folder goes anyway
	b, err := laptop(dir)
	if err != nil {
		return nil, err
	}
	r := &growResult{Keys: p.keys}
	w, err := r.load(ctx, b)
	if err != nil {
		return nil, err
	}
	defer w.halt()
	r.begin = time.Now()
	if r.said, err = p.cluster(ctx, "grow", "--dir", dir, "--replicas", "3", "--yes"); err != nil {
		return nil, err
	}
	r.end = time.Now()
	pause(ctx, 2*time.Second)
	r.Seconds, r.LongestGap = r.end.Sub(r.begin).Seconds(), w.gap(r.begin).Seconds()
	w.halt()
	r.acks = w.since(time.Time{})
	r.Acknowledged = len(w.since(r.begin))
	return r, r.look(ctx, b, w.ids)
}

// load fills a bucket, and starts writers to a stream.
func (r *growResult) load(ctx context.Context, b *bus) (*writers, error) {
	nc, js, err := b.jetStream()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if err := fill(ctx, js, r.Keys); err != nil {
		return nil, err
	}
	config := jetstream.StreamConfig{Name: patientStream, Subjects: []string{patientStream + ".>"}, MaxBytes: 1 << 30}
	if err := b.usable(ctx, time.Minute, js, config); err != nil {
		return nil, err
	}
	w, err := startWriters(ctx, b, patientStream, 4, 2*time.Millisecond)
	if err == nil {
		pause(ctx, 2*time.Second)
	}
	return w, err
}

// fill makes a bucket with so many keys.
func fill(ctx context.Context, js jetstream.JetStream, keys int) error {
	if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, MaxBytes: 1 << 28}); err != nil {
		return err
	}
	for i := range keys {
		if _, err := js.PublishAsync(fmt.Sprintf("$KV.%s.k%d", bucket, i), payload, patience); err != nil {
			return err
		}
	}
	return published(ctx, js)
}

// look counts what is missing afterwards: of the writes that were acknowledged, by their ids, and of the keys.
func (r *growResult) look(ctx context.Context, b *bus, acknowledged []string) error {
	nc, js, err := b.jetStream()
	if err != nil {
		return err
	}
	defer nc.Close()
	s, err := js.Stream(ctx, patientStream)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("read message %d back: %w", seq, err)
		}
		if err == nil {
			there[m.Header.Get(jetstream.MsgIDHeader)] = true
		}
	}
	for _, id := range acknowledged {
		if !there[id] {
			r.Missing++
		}
	}
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	state, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	r.Missing += max(0, r.Keys-int(state.Values()))
	return nil
}

// cluster runs a command of unibus and returns what it said when.
func (p *program) cluster(ctx context.Context, args ...string) (said []mark, err error) {
	begin := time.Now()
	cmd := exec.CommandContext(ctx, p.shop.unibus, append([]string{"cluster"}, args...)...)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			said = append(said, mark{time.Since(begin), lines.Text()})
		}
	})
	err = cmd.Wait()
	reading.Wait()
	if err != nil {
		var text strings.Builder
		for _, m := range said {
			fmt.Fprintln(&text, m.text)
		}
		return nil, fmt.Errorf("unibus cluster %s: %w\n%s", strings.Join(args, " "), err, text.String())
	}
	return said, nil
}

// laptop is the bus whose folder the command line keeps.
func laptop(dir string) (*bus, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cluster.yaml"))
	if err != nil {
		return nil, err
	}
	var inventory struct {
		Places []struct {
			Client string `yaml:"client"`
		} `yaml:"places"`
	}
	if err := yaml.Unmarshal(text, &inventory); err != nil {
		return nil, err
	}
	option, err := nats.NkeyOptionFromSeed(filepath.Join(dir, "operator.nk"))
	if err != nil {
		return nil, err
	}
	b := &bus{label: "ours", login: func(account string) []nats.Option { return []nats.Option{option, nats.UserInfo(account, "")} }}
	for _, place := range inventory.Places {
		if place.Client != "" {
			b.nodes = append(b.nodes, &node{url: place.Client})
		}
	}
	if len(b.nodes) == 0 {
		return nil, fmt.Errorf("no node of %s has told where clients connect", dir)
	}
	return b, nil
}
