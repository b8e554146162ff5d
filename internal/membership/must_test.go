// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

var buckets = []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers}

// mustKey makes a user's public nkey, and the form in which records know it.
func mustKey(t testing.TB) (key, hex string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if key, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	if hex, err = v1.UserHex(key); err != nil {
		t.Fatal(err)
	}
	return key, hex
}

func mustJetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// mustBuckets makes the membership buckets, of that many bytes each.
func mustBuckets(t testing.TB, node *natstest.Node, replicas int, size int64) jetstream.JetStream {
	t.Helper()
	js := mustJetStream(t, node.MustConnect(t, embeddednats.AccountMembership))
	for _, name := range buckets {
		natstest.Within(t, natstest.Patience, "bucket "+name, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: replicas, MaxBytes: size})
			return err == nil
		})
	}
	return js
}

// mustOne starts a node with the buckets.
func mustOne(t testing.TB) (*natstest.Node, jetstream.JetStream) {
	t.Helper()
	node := natstest.MustFound(t, natstest.Options{})
	return node, mustBuckets(t, node, 1, 4<<20)
}

func mustStore(t testing.TB, js jetstream.JetStream, c StoreConfig) *Store {
	t.Helper()
	s, err := NewStore(js, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustUser(t testing.TB, s *Store, name string) (key, hex string) {
	t.Helper()
	key, hex = mustKey(t)
	must(t)(s.CreateUser(t.Context(), v1.User{Name: name, Key: key}))
	return key, hex
}

func mustRoom(t testing.TB, s *Store, name string) v1.Room {
	t.Helper()
	return must(t)(s.CreateRoom(t.Context(), name, "")).(Record[v1.Room]).Value
}

// must returns a function that ends the test on an error.
func must(t testing.TB) func(any, error) any {
	return func(v any, err error) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func expectErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// live are the keys of a bucket that are not removed, the heartbeat left out.
func live(t testing.TB, s *Store, bucket string) (keys []string) {
	t.Helper()
	all := must(t)(s.keys(t.Context(), bucket, ">")).([]string)
	for _, key := range all {
		if e := must(t)(s.get(t.Context(), bucket, key)).(entry); e.live && key != v1.HeartbeatKey {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
