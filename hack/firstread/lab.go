// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/e2e/load"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// lab is a cluster in this process: its founder first, joiners later.
type lab struct {
	dir      string
	configs  []embeddednats.ServerConfig
	servers  []*embeddednats.Server
	sys, app *nats.Conn
	ledger   *load.Ledger
	written  int
}

func newLab(ctx context.Context) (*lab, error) {
	dir, err := os.MkdirTemp("", "firstread-")
	if err != nil {
		return nil, fmt.Errorf("folder of the cluster: %w", err)
	}
	l := &lab{dir: dir, ledger: load.NewLedger()}
	var routes []*url.URL
	var ports [3][2]int
	for i := range ports {
		for k := range ports[i] {
			if ports[i][k], err = natstest.FreePort(); err != nil {
				return nil, errors.Join(err, l.close())
			}
		}
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i][1])})
	}
	for i, p := range ports {
		l.configs = append(l.configs, embeddednats.ServerConfig{
			ServerName: fmt.Sprintf("lab-%d-1", i), Port: p[0], StoreDir: filepath.Join(dir, fmt.Sprint(i)), JetStream: true,
			Cluster: &embeddednats.ClusterConfig{Name: "lab", Port: p[1], Routes: routes},
		})
	}
	s, err := embeddednats.Found(ctx, l.configs[0])
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	l.servers = append(l.servers, s)
	if l.app, err = l.connect(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if err := l.until(ctx, "the bucket", func() string { return problem(bucket.Create(ctx, l.app, 1, 64<<20)) }); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) close() error {
	if l.app != nil {
		l.app.Close()
	}
	for _, s := range l.servers {
		s.Stop()
	}
	return os.RemoveAll(l.dir)
}

func (l *lab) connect() (*nats.Conn, error) {
	var urls []string
	for _, c := range l.configs {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", c.Port))
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return nc, nil
}

func (l *lab) write() (*load.Writers, error) {
	w, err := load.Start(load.WriterConfig{Ledger: l.ledger, Stream: bucket, Count: 8, First: l.written, Pause: 4 * time.Millisecond, Connect: l.connect})
	l.written += 8 // writers that come later have names of their own
	return w, err
}

// few says that fewer than n writes are acknowledged.
func (l *lab) few(n int) string {
	if a := l.ledger.Acknowledged(); a < n {
		return fmt.Sprintf("%d of %d", a, n)
	}
	return ""
}

// restart stops the founder under its writers and starts it again, alone.
func (l *lab) restart(ctx context.Context, abrupt bool) error {
	if abrupt {
		l.servers[0].Stop()
	} else if err := l.servers[0].Shutdown(ctx); err != nil {
		return fmt.Errorf("stop the founder: %w", err)
	}
	s, err := embeddednats.Resume(ctx, l.configs[0])
	if err != nil {
		return fmt.Errorf("resume the founder: %w", err)
	}
	l.servers[0] = s
	return nil
}

// grow starts two joiners and raises the bucket, and returns when all is in sync.
func (l *lab) grow(ctx context.Context) error {
	for _, c := range l.configs[1:] {
		s, err := embeddednats.Join(ctx, c)
		if err != nil {
			return fmt.Errorf("start a joiner: %w", err)
		}
		l.servers = append(l.servers, s)
	}
	sys, err := l.servers[0].InProcess(embeddednats.AccountSystem)
	if err != nil {
		return fmt.Errorf("administer the cluster: %w", err)
	}
	l.sys = sys
	if err := l.until(ctx, "three members", func() string { return load.Unsettled(sys, l.app, "", nil, 3) }); err != nil {
		return err
	}
	if err := l.until(ctx, "three replicas", func() string { return problem(l.raise(ctx)) }); err != nil {
		return err
	}
	return l.until(ctx, "all in sync", func() string {
		return load.Unsettled(sys, l.app, embeddednats.AccountHistory, []load.Stream{bucket}, 3)
	})
}

func (l *lab) raise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	js, err := jetstream.New(l.app)
	if err != nil {
		return fmt.Errorf("JetStream context: %w", err)
	}
	s, err := js.Stream(ctx, bucket.Name)
	if err != nil {
		return fmt.Errorf("look at %s: %w", bucket.Name, err)
	}
	c := s.CachedInfo().Config
	c.Replicas = 3
	if _, err = js.UpdateStream(ctx, c); err != nil {
		return fmt.Errorf("raise %s: %w", bucket.Name, err)
	}
	return nil
}

// until polls until nothing is wrong any more, or says what was wrong last.
func (l *lab) until(ctx context.Context, what string, wrong func() string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		w := wrong()
		if w == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %s: %w", what, w, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
