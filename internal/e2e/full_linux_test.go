// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/natstest"
)

// TestFullStore fills a stream to its limit, and with it what the store may hold: that is told with an error that means it, the
// members go on as they are, and membership can still be changed.
func TestFullStore(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3, Extra: map[string]string{"store-max-bytes": "96MiB"}})
	c.mustForm(3)
	nc := c.mustConnect(account)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	ctx, cancel := contextFor(t, limit)
	defer cancel()
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "BIG", Subjects: []string{"big"}, Replicas: 3, MaxBytes: 4 << 20, Discard: jetstream.DiscardNew})
	must(t, err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "GREEDY", Subjects: []string{"greedy"}, Replicas: 3, MaxBytes: 1 << 30})
	if err == nil {
		t.Error("a stream may reserve more than the store holds")
	}
	before, err := js.Stream(ctx, "BIG")
	must(t, err)
	var full *jetstream.APIError
	for i := 0; full == nil; i++ {
		if _, err := js.Publish(ctx, "big", make([]byte, 256<<10)); err != nil && !errors.As(err, &full) && ctx.Err() != nil {
			t.Fatalf("after %d messages: %v", i, err)
		}
	}
	if full.ErrorCode != 10077 {
		t.Errorf("a full stream says %v", full)
	}
	after, err := js.Stream(ctx, "BIG")
	must(t, err)
	if was, is := before.CachedInfo().Cluster.Leader, after.CachedInfo().Cluster.Leader; was != is {
		t.Errorf("the leader of the full stream moved from %s to %s", was, is)
	}
	c.expectMembershipWrites(50)
	c.mustWrite(20)
	must(t, after.Purge(ctx))
	if _, err := js.Publish(ctx, "big", make([]byte, 256<<10)); err != nil {
		t.Errorf("a stream with space again: %v", err)
	}
	c.expectKept(3)
}

// expectMembershipWrites makes writes as small as those of membership.
func (c *cluster) expectMembershipWrites(n int) {
	c.t.Helper()
	nc := c.mustConnect("MEMBERSHIP")
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(c.t, err)
	for i := range n {
		c.within("a write of membership", func() string {
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
			defer cancel()
			kv, err := js.KeyValue(ctx, "UNIBUS_users")
			if err == nil {
				_, err = kv.Put(ctx, fmt.Sprint("user-", i%5), []byte(`{"revoked":true}`))
			}
			return problem(err)
		})
	}
}

// TestFullVolume takes the last byte of one member's volume: it says so and hands over, the others go on, and once there is space
// it is back by itself.
func TestFullVolume(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3, Extra: map[string]string{"store-max-bytes": "24MiB"}})
	p := c.Places[2]
	natstest.MustMount(t, p.Disk, "32m")
	t.Cleanup(p.Kill)
	c.bytes = 4 << 20
	c.mustForm(3)
	ballast := filepath.Join(p.Disk, "ballast")
	f, err := os.Create(ballast)
	must(t, err)
	chunk := make([]byte, 4<<10)
	for {
		if _, err := f.Write(chunk); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			break
		}
	}
	must(t, f.Close())
	c.within("the full volume is told", func() string {
		c.mustWrite(20) // whoever leads, writes go on
		status, body, err := p.Health(t.Context(), "/readyz")
		if err == nil && status == 503 && strings.Contains(body, "free some") {
			return ""
		}
		return fmt.Sprintf("%d %s %v", status, body, err)
	})
	if status, body, err := p.Health(t.Context(), "/livez"); err != nil || status != 200 {
		t.Errorf("out of space is no reason to be restarted: %d %s %v", status, body, err)
	}
	c.mustWrite(50)
	c.expectMembershipWrites(10)
	must(t, os.Remove(ballast))
	c.expectSettled(3)
	c.expectReady(p)
	c.expectKept(3)
}
