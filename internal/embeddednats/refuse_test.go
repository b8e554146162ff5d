// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

func TestPortInUseIsToldAtOnce(t *testing.T) {
	for flag, set := range map[string]func(*embeddednats.ServerConfig, int){
		"--port":         func(c *embeddednats.ServerConfig, port int) { c.Port = port },
		"--cluster-port": func(c *embeddednats.ServerConfig, port int) { c.Cluster.Port = port },
	} {
		t.Run(flag, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port := l.Addr().(*net.TCPAddr).Port
			cfg := natstest.MustConfigs(t, 1, natstest.Options{})[0]
			set(&cfg, port)
			s, err := embeddednats.Found(context.Background(), cfg)
			if err == nil {
				s.Stop()
			}
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), fmt.Sprintf("%s %d of 127.0.0.1", flag, port)) {
				t.Fatalf("a port in use: %v", err)
			}
			if _, err := os.Stat(filepath.Join(cfg.StoreDir, "jetstream")); !os.IsNotExist(err) {
				t.Fatalf("the store was touched: %v", err)
			}
		})
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*embeddednats.ServerConfig)
		want   string
	}{
		{"open off loopback", func(c *embeddednats.ServerConfig) { c.Host = "0.0.0.0" }, "--bind"},
		{"open cluster off loopback", func(c *embeddednats.ServerConfig) { c.Cluster.Host = "0.0.0.0" }, "route secret"},
		{"cluster off loopback without TLS", func(c *embeddednats.ServerConfig) {
			c.Cluster.Host, c.Cluster.Password = "0.0.0.0", "s3cret"
		}, "mutual route TLS"},
		{"another secret without a first", func(c *embeddednats.ServerConfig) { c.Cluster.Also = func() []string { return nil } }, "route secret"},
		{"no name", func(c *embeddednats.ServerConfig) { c.ServerName = "" }, "--server-name"},
		{"no cluster name", func(c *embeddednats.ServerConfig) { c.Cluster.Name = "" }, "--cluster-name"},
		{"no folder", func(c *embeddednats.ServerConfig) { c.StoreDir = "" }, "--store-dir"},
		{"timers", func(c *embeddednats.ServerConfig) { c.Timers.Heartbeat = time.Hour }, "raft timers"},
		{"no cluster", func(c *embeddednats.ServerConfig) { c.Cluster = nil }, "cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := natstest.MustConfigs(t, 1, natstest.Options{})[0]
			c.change(&cfg)
			for name, start := range map[string]natstest.Starter{"Found": embeddednats.Found, "Resume": embeddednats.Resume} {
				s, err := start(context.Background(), cfg)
				if err == nil {
					s.Stop()
					t.Fatalf("%s took it", name)
				}
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v, want %q in it", name, err, c.want)
				}
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cfg := natstest.MustConfigs(t, 1, natstest.Options{})[0]
	if s, err := embeddednats.Found(ctx, cfg); !errors.Is(err, context.Canceled) {
		if err == nil {
			s.Stop()
		}
		t.Fatalf("founding with a context that has ended: %v", err)
	}
}
