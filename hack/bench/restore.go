// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// restore has a lone stock server become three as whoever runs one must: everybody stops writing, since what is written after the backup is lost; the
// streams are backed up, three new servers are started, and the streams are restored there with three replicas. No time is counted for
// what people and Kubernetes do in between.
func (p *program) restore(ctx context.Context) (*growResult, error) {
	lone, err := newStock(p.shop, "restore-1", 1)
	if err != nil {
		return nil, err
	}
	defer lone.end()
	if _, err := p.cold(ctx, lone); err != nil {
		return nil, err
	}
	r := &growResult{Keys: p.keys}
	w, err := r.load(ctx, lone)
	if err != nil {
		return nil, err
	}
	r.begin = time.Now()
	w.halt()
	last, dir := w.acks[len(w.acks)-1], filepath.Join(p.shop.dir, "backup")
	if err := p.nats(ctx, lone, "backup", "account", dir, "--force"); err != nil {
		return nil, err
	}
	lone.nodes[0].stop()

	three, err := newStock(p.shop, "restore-3", 3)
	if err != nil {
		return nil, err
	}
	defer three.end()
	if err := three.start(); err != nil {
		return nil, err
	}
	if err := p.restoreAll(ctx, three, dir); err != nil {
		return nil, err
	}
	again, err := startWriters(ctx, three, patientStream, 4, 2*time.Millisecond)
	if err != nil {
		return nil, err
	}
	defer again.halt()
	nc, js, err := three.jetStream()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	err = until(ctx, "writes, and three replicas of all", time.Minute, 10*time.Millisecond, func() bool {
		_, ledger := stream(ctx, js, patientStream, 3)
		_, keys := stream(ctx, js, "KV_"+bucket, 3)
		return ledger && keys && len(again.since(time.Time{})) > 0
	})
	if err != nil {
		return nil, err
	}
	r.Seconds = time.Since(r.begin).Seconds()
	r.LongestGap = again.since(time.Time{})[0].Sub(last).Seconds()
	again.halt()
	r.Acknowledged = len(again.ids)
	return r, r.look(ctx, three, append(w.ids, again.ids...))
}

// restoreAll restores all streams of a backup, once there is a meta leader. Who sends a backup to a server that has not heard yet whom the others listen
// for is told that nobody does, has to remove what there is of the stream, and to begin anew.
func (p *program) restoreAll(ctx context.Context, b *bus, dir string) error {
	err := until(ctx, "a meta group of three", time.Minute, 10*time.Millisecond, func() bool {
		sys, err := b.connect(accountSystem)
		if err != nil {
			return false
		}
		defer sys.Close()
		m, err := meta(sys)
		return err == nil && m.whole(len(b.nodes))
	})
	if err != nil {
		return err
	}
	streams, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, s := range streams {
		var last error
		err := until(ctx, "a restore", time.Minute, 10*time.Millisecond, func() bool {
			last = p.nats(ctx, b, "backup", "restore", "stream", filepath.Join(dir, s.Name()), "--replicas", "3", "--no-progress")
			if last != nil {
				slog.Info("a restore is begun anew", "stream", s.Name(), "error", last)
				_ = p.nats(ctx, b, "stream", "rm", "--force", s.Name()) // there may be nothing
			}
			return last == nil
		})
		if err != nil {
			return errors.Join(err, last)
		}
	}
	return nil
}

// nats runs the command line of NATS as it comes.
func (p *program) nats(ctx context.Context, b *bus, args ...string) error {
	cmd := exec.CommandContext(ctx, p.natsCLI, append([]string{"--server", b.nodes[0].url, "--nkey", p.shop.keys[accountData].file, "--tlsca", p.shop.files.CA}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nats %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
