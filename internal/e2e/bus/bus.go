// SPDX-License-Identifier: Apache-2.0

// Package bus runs a cluster of membershipd processes on this machine, over mutual TLS, and the unibus command that forms
// and scales it. It is for tests and the programs in hack only.
package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/e2e/cut"
	"github.com/unibus/unibus/internal/e2e/proc"
)

// Config says what is made.
type Config struct {
	// Dir gets everything: disks, certificates, logs, the record. It must exist.
	Dir string
	Bin proc.Binaries
	// Places is how many nodes may ever run.
	Places int
	// Doors lets the nodes reach each other through doors that can be cut; nil for none.
	Doors *cut.Network
	// Hosts are where the places are, in their order; without them all are on 127.0.0.1.
	Hosts []Host
	// Extra are settings of every node, as in a configuration file.
	Extra map[string]string
}

// Host is a network of its own on this machine.
type Host struct {
	// Address is the host's IP address.
	Address string
	// Enter is what is put before a command to run it there.
	Enter []string
}

// Bus is a cluster of processes. Its methods may be called by several goroutines.
type Bus struct {
	cfg      Config
	Places   []*Place
	clients  *tls.Config
	pki      *pki
	operator nkeys.KeyPair

	mu      sync.Mutex
	drivers []*proc.Process
	runs    int
}

// New makes certificates, keys and one configuration for each place. Nothing runs yet.
func New(ctx context.Context, c Config) (*Bus, error) {
	b := &Bus{cfg: c}
	var err error
	if b.pki, err = newPKI(c); err != nil {
		return nil, err
	}
	b.clients = b.pki.client()
	if err := b.init(ctx); err != nil {
		return nil, err
	}
	for i := range c.Places {
		p, err := b.newPlace(i)
		if err != nil {
			return nil, err
		}
		b.Places = append(b.Places, p)
	}
	return b, nil
}

// folder is where the command keeps its record and keys.
func (b *Bus) folder() string { return filepath.Join(b.cfg.Dir, "unibus") }

func (b *Bus) init(ctx context.Context) error {
	p, err := b.Drive(ctx, "init")
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("make keys: %w: %s", err, p.Output())
	}
	b.operator, err = b.key("operator.nk")
	return err
}

// key returns a key that the command made.
func (b *Bus) key(file string) (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(filepath.Join(b.folder(), file))
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	k, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", file, err)
	}
	return k, nil
}

// public returns the public half of a key that the command made.
func (b *Bus) public(file string) (string, error) {
	k, err := b.key(file)
	if err != nil {
		return "", err
	}
	return k.PublicKey()
}

// Drive starts `unibus cluster` with the arguments. What it says is in the log driver.log and in its Output.
func (b *Bus) Drive(_ context.Context, args ...string) (*proc.Process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs++
	p, err := proc.Start(proc.Command{
		Name: "unibus cluster " + strings.Join(args, " "), Path: b.cfg.Bin.Unibus,
		Args: append([]string{"cluster", "--dir", b.folder()}, args...),
		Log:  filepath.Join(b.cfg.Dir, fmt.Sprintf("driver-%03d.log", b.runs)),
	})
	if err != nil {
		return nil, err
	}
	b.drivers = slices.DeleteFunc(b.drivers, func(p *proc.Process) bool { return !p.Running() })
	b.drivers = append(b.drivers, p)
	return p, nil
}

// Run drives a change and returns when it is done; the error has what the command said.
func (b *Bus) Run(ctx context.Context, args ...string) error {
	p, err := b.Drive(ctx, args...)
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, last(p.Output(), 5))
	}
	return nil
}

func last(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], " | ")
}

// URLs are where clients connect, beginning with the given place.
func (b *Bus) URLs(first int) []string {
	var urls []string
	for i := range b.Places {
		urls = append(urls, b.Places[(first+i)%len(b.Places)].Client())
	}
	return urls
}

// Connect returns a connection of the operator to an account, by the first place that answers, the given one tried first.
func (b *Bus) Connect(account string, first int) (*nats.Conn, error) {
	pub, err := b.operator.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("operator key: %w", err)
	}
	nc, err := b.connect(first, nats.Nkey(pub, b.operator.Sign), nats.UserInfo(account, ""))
	if err != nil {
		return nil, fmt.Errorf("connect to account %s: %w", account, err)
	}
	return nc, nil
}

// ConnectUser returns a connection of a user, by the first place that answers, the given one tried first.
func (b *Bus) ConnectUser(key nkeys.KeyPair, first int, opts ...nats.Option) (*nats.Conn, error) {
	pub, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("key of a user: %w", err)
	}
	nc, err := b.connect(first, append(opts, nats.Nkey(pub, key.Sign))...)
	if err != nil {
		return nil, fmt.Errorf("connect as user %s: %w", pub, err)
	}
	return nc, nil
}

func (b *Bus) connect(first int, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(strings.Join(b.URLs(first), ","), append([]nats.Option{nats.Secure(b.clients), nats.DontRandomize(), nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.IgnoreDiscoveredServers(), nats.PingInterval(5 * time.Second),
		nats.IgnoreAuthErrorAbort(), nats.Timeout(2 * time.Second), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}, opts...)...)
}

// Running are the places whose process runs.
func (b *Bus) Running() []*Place {
	return slices.DeleteFunc(slices.Clone(b.Places), func(p *Place) bool { return !p.Running() })
}

// Named returns the place where the server name is, nil when no running node has it.
func (b *Bus) Named(ctx context.Context, name string) *Place {
	for _, p := range b.Running() {
		if s, err := p.Status(ctx); err == nil && s.ServerName == name {
			return p
		}
	}
	return nil
}

// Close kills everything that runs.
func (b *Bus) Close() {
	b.mu.Lock()
	for _, p := range b.drivers {
		p.Kill()
	}
	b.mu.Unlock()
	for _, p := range b.Places {
		p.Kill()
	}
}

var errRunning = errors.New("the node runs already")
