// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Accounts that both kinds of servers have.
const (
	accountSystem = "SYS"
	accountData   = "HISTORY"
)

// bus is a cluster of one kind of servers with what a client needs to use it. All measuring is done on a bus; nothing
// but its construction knows which kind it is.
type bus struct {
	label string
	nodes []*node
	login func(account string) []nats.Option
}

// connect connects to one of the given nodes, of all of them when none is given.
func (b *bus) connect(account string, nodes ...*node) (*nats.Conn, error) {
	if len(nodes) == 0 {
		nodes = b.nodes
	}
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.url)
	}
	opts := append(b.login(account), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.IgnoreDiscoveredServers(),
		nats.Timeout(2*time.Second), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	nc, err := nats.Connect(strings.Join(urls, ","), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s as %s: %w", b.label, account, err)
	}
	return nc, nil
}

// jetStream is connect for streams, with attempts that end after wait.
func (b *bus) jetStream(nodes ...*node) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := b.connect(accountData, nodes...)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

func (b *bus) start() error {
	for _, n := range b.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

// end kills all that runs.
func (b *bus) end() {
	for _, n := range b.nodes {
		n.kill()
	}
}

func (b *bus) node(name string) (*node, error) {
	i := slices.IndexFunc(b.nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		return nil, fmt.Errorf("%s has no node %q", b.label, name)
	}
	return b.nodes[i], nil
}

// metaGroup is the JetStream meta group as its leader sees it.
type metaGroup struct {
	Leader   string `json:"leader"`
	Size     int    `json:"cluster_size"`
	Replicas []struct {
		Name    string `json:"name"`
		Current bool   `json:"current"`
		Offline bool   `json:"offline"`
		Lag     uint64 `json:"lag"`
	} `json:"replicas"`
}

func (m metaGroup) whole(size int) bool {
	for _, r := range m.Replicas {
		if !r.Current || r.Offline || r.Lag > 0 {
			return false
		}
	}
	return m.Leader != "" && m.Size == size
}

// meta asks all servers; only the meta leader answers.
func meta(sys *nats.Conn) (metaGroup, error) {
	m, err := sys.Request("$SYS.REQ.SERVER.PING.JSZ", []byte(`{"leader_only":true}`), 250*time.Millisecond)
	if err != nil {
		return metaGroup{}, err
	}
	var r struct {
		Data struct {
			Meta metaGroup `json:"meta_cluster"`
		} `json:"data"`
	}
	err = json.Unmarshal(m.Data, &r)
	return r.Data.Meta, err
}

// stream returns the leader of a stream, and whether all its replicas are current.
func stream(ctx context.Context, js jetstream.JetStream, name string, replicas int) (leader string, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	s, err := js.Stream(ctx, name)
	if err != nil || s.CachedInfo().Cluster == nil {
		return "", false
	}
	c := s.CachedInfo().Cluster
	whole = c.Leader != "" && len(c.Replicas) == replicas-1
	for _, r := range c.Replicas {
		whole = whole && r.Current && !r.Offline && r.Lag < publishWindow // writers are at work meanwhile
	}
	return c.Leader, whole
}

// api sends a JetStream administration request and returns the error of its answer.
func api(nc *nats.Conn, subject, body string) error {
	m, err := nc.Request(subject, []byte(body), time.Second)
	if err != nil {
		return err
	}
	var r struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return err
	}
	if r.Error != nil {
		return r.Error
	}
	return nil
}

// moveStream moves the leader of a stream to a node, in as many attempts as it needs.
func (b *bus) moveStream(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, name, to string) error {
	return until(ctx, fmt.Sprintf("%s: leader of %s on %s", b.label, name, to), time.Minute, 250*time.Millisecond, func() bool {
		leader, _ := stream(ctx, js, name, len(b.nodes))
		if leader == to {
			return true
		}
		_ = api(nc, "$JS.API.STREAM.LEADER.STEPDOWN."+name, fmt.Sprintf(`{"placement":{"preferred":%q}}`, to)) // asked again
		return false
	})
}

// usable waits until a stream can be made, and makes it.
func (b *bus) usable(ctx context.Context, limit time.Duration, js jetstream.JetStream, config jetstream.StreamConfig) error {
	var last error
	err := until(ctx, "a stream on "+b.label, limit, 20*time.Millisecond, func() bool {
		// Short attempts: one that is sent before there is a meta leader is never answered.
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		_, last = js.CreateOrUpdateStream(ctx, config)
		return last == nil
	})
	return errors.Join(err, last)
}
