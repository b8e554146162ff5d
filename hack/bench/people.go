// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"golang.org/x/sys/unix"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// accountMembership has the buckets of users, rooms and members.
const accountMembership = "MEMBERSHIP"

// person is a user. All processes of a run make the same one from its number.
type person struct {
	name string
	key  string
	hex  string
	pair nkeys.KeyPair
}

func newPerson(number int) (person, error) {
	seed := sha256.Sum256(fmt.Appendf(nil, "bench user %d", number))
	pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed[:])
	if err != nil {
		return person{}, err
	}
	p := person{name: fmt.Sprint("user-", number), pair: pair}
	if p.key, err = pair.PublicKey(); err != nil {
		return person{}, err
	}
	p.hex, err = v1.UserHex(p.key)
	return p, err
}

// handshake is how long a client waits for a connection, as the client library does.
const handshake = 5 * time.Second

// options are those of a person's connections, beside those for TLS.
func (p person) options() []nats.Option {
	return []nats.Option{nats.Nkey(p.key, p.pair.Sign), nats.CustomInboxPrefix(v1.InboxPrefix(p.key)), nats.IgnoreDiscoveredServers(),
		nats.Timeout(handshake), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
}

// comingBack is for who stays when a node sends everybody away, and has nothing sent later that could not be sent then.
var comingBack = []nats.Option{nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.ReconnectBufSize(-1), func(o *nats.Options) error {
	o.AllowReconnect = true
	return nil
}}

// from dials with an address of loopback that no other client has, as thousands of clients have their own. With one for all, the processors would be
// spent in the search for a port that is free.
func from(number int) *net.Dialer {
	late := func(_, _ string, c syscall.RawConn) error { // the port is chosen when it is known where to
		var set error
		err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) })
		return errors.Join(err, set)
	}
	return &net.Dialer{Timeout: handshake, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(number>>8), byte(number))}, Control: late}
}

// enter connects a person to one node, in a single attempt. The connection does not come back once it is lost, unless the options say so.
func (p *program) enter(who person, n *node, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(n.url, append(append(who.options(), nats.Secure(p.shop.clientTLS()), nats.NoReconnect()), opts...)...)
}

// await connects a person to each of the nodes, as soon as they know it.
func (p *program) await(ctx context.Context, who person, nodes []*node, opts ...nats.Option) (conns []*nats.Conn, err error) {
	for _, n := range nodes {
		var last error
		err := until(ctx, who.name+" is let in by "+n.name, time.Minute, 5*time.Millisecond, func() bool {
			var nc *nats.Conn
			if nc, last = p.enter(who, n, opts...); last == nil {
				conns = append(conns, nc)
			}
			return last == nil
		})
		if err != nil {
			return conns, fmt.Errorf("%w: %w", err, last)
		}
	}
	return conns, nil
}

// store is where users and rooms are written by the rules.
func (b *bus) store() (*nats.Conn, jetstream.JetStream, error) {
	nc, err := b.connect(accountMembership)
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

func newStore(js jetstream.JetStream) (*membership.Store, error) {
	return membership.NewStore(js, membership.StoreConfig{})
}

// unbounded is a history class without rates: what is measured is what the node can.
func unbounded(name string) v1.Class {
	c := membership.DefaultClass(name)
	c.MaxBytes, c.MaxMessagesPerRoom, c.PublisherRate, c.RoomRate = 256<<20, 1<<40, 0, 0
	return c
}

// roomName and roomID are those of a room by its number.
func roomName(number int) string { return fmt.Sprint("room-", number) }

func roomID(number int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "bench room %d", number))
	return base32.StdEncoding.EncodeToString(sum[:])[:v1.RoomIDSize]
}

// records writes what the buckets have for numbers from a first to before an end, past the Store, which would take ten round trips for each.
type records struct {
	js         jetstream.JetStream
	from, upto int
}

func (r records) users(ctx context.Context) error {
	return r.each(ctx, v1.BucketUsers, func(i int) (map[string]any, error) {
		p, err := newPerson(i)
		return map[string]any{
			v1.UserKey(p.hex): v1.User{Name: p.name, Key: p.key, Created: begun.UTC()}, v1.UserNameKey(p.name): v1.UserKey(p.hex),
		}, err
	})
}

func (r records) rooms(ctx context.Context, class string) error {
	return r.each(ctx, v1.BucketRooms, func(i int) (map[string]any, error) {
		return map[string]any{v1.RoomKey(roomName(i)): v1.Room{Name: roomName(i), ID: roomID(i), Class: class, Created: begun.UTC()}}, nil
	})
}

// members puts every user into the room of its own number.
func (r records) members(ctx context.Context) error {
	return r.each(ctx, v1.BucketMembers, func(i int) (map[string]any, error) {
		p, err := newPerson(i)
		return map[string]any{v1.MemberKey(roomID(i), p.hex): v1.Member{Role: v1.RoleMember, Created: begun.UTC()}}, err
	})
}

func (r records) each(ctx context.Context, bucket string, of func(i int) (map[string]any, error)) error {
	for i := r.from; i < r.upto; i++ {
		values, err := of(i)
		if err != nil {
			return err
		}
		for key, v := range values {
			b, plain := v.(string)
			data := []byte(b)
			if !plain {
				if data, err = json.Marshal(v); err != nil {
					return err
				}
			}
			if _, err := r.js.PublishAsync("$KV."+bucket+"."+key, data, patience); err != nil {
				return err
			}
		}
	}
	return published(ctx, r.js)
}

// populate makes so many users, and as many rooms of a class with one of them in each, on a bus that runs, and waits until every node
// knows the last of them.
func (p *program) populate(ctx context.Context, b *bus, class string, number int) error {
	nc, js, err := b.store()
	if err != nil {
		return err
	}
	defer nc.Close()
	s, err := newStore(js)
	if err != nil {
		return err
	}
	err = until(ctx, "a history class", time.Minute, 100*time.Millisecond, func() bool {
		_, err = s.PutClass(ctx, unbounded(class), 0)
		return err == nil
	})
	if err != nil {
		return err
	}
	err = until(ctx, "the class's stream", time.Minute, 100*time.Millisecond, func() bool {
		m, err := b.nodes[0].metrics(ctx)
		_, there := m[fmt.Sprintf("unibus_stream_last_sequence{account=%q,stream=%q}", accountData, v1.HistoryStream(class))]
		return err == nil && there
	})
	if err != nil {
		return err
	}
	r := records{js, 0, number}
	for _, do := range []func() error{func() error { return r.users(ctx) }, func() error { return r.rooms(ctx, class) }, func() error { return r.members(ctx) }} {
		if err := do(); err != nil {
			return err
		}
	}
	return p.known(ctx, b, number)
}

// known waits until every node knows so many of each, users, rooms and members by default.
func (p *program) known(ctx context.Context, b *bus, number int, of ...string) error {
	if len(of) == 0 {
		of = []string{"users", "rooms", "members"}
	}
	return until(ctx, fmt.Sprintf("%d %v known to %s", number, of, b.label), 2*time.Minute, 100*time.Millisecond, func() bool {
		for _, n := range b.nodes {
			m, err := n.metrics(ctx)
			if err != nil || m["unibus_directory_ready"] != 1 {
				return false
			}
			for _, what := range of {
				if m["unibus_directory_"+what] < float64(number) {
					return false
				}
			}
		}
		return true
	})
}
