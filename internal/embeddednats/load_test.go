// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// 5,000 connections opened and dropped, half of them in the middle of the handshake, while a client
// that was there before goes on.
func TestConnectionsOpenedAndDropped(t *testing.T) {
	n := natstest.MustFound(t, natstest.Options{})
	js := n.MustStream(t, "S", 1)
	client := mustDial(t, n)
	var reconnects atomic.Int64
	client.SetReconnectHandler(func(*nats.Conn) { reconnects.Add(1) })
	u, err := url.Parse(n.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	const all, workers = 5000, 50
	var wg sync.WaitGroup
	var failed atomic.Int64
	for w := range workers {
		wg.Go(func() {
			for i := range all / workers {
				c, err := net.DialTimeout("tcp", u.Host, 30*time.Second)
				if err != nil {
					failed.Add(1)
					continue
				}
				if (w+i)%2 == 0 {
					_, _ = c.Write([]byte("CONNECT {\"verb")) // it may be dropped before: no matter
				}
				c.Close()
			}
		})
	}
	published := uint64(0)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		mustPublish(t, js, "S.a")
		if err := client.FlushTimeout(30 * time.Second); err != nil {
			t.Fatalf("a client that was there before: %v", err)
		}
		published++
	}
	if failed.Load() > 0 || reconnects.Load() > 0 {
		t.Errorf("%d of %d connections were not accepted, the old client was dropped %d times", failed.Load(), all, reconnects.Load())
	}
	expectMessages(t, n, "S", published)
	natstest.Within(t, natstest.Patience, "all dropped connections forgotten", func() bool {
		return n.Unwrap().NumClients() <= 4 // this test's, and the in-process ones
	})
}

// A full volume is told, by StoreFailed, and a new start after space was made brings all back.
func TestFullVolumeIsTold(t *testing.T) {
	dir := t.TempDir()
	natstest.MustMount(t, dir, "24m")
	n := natstest.MustFound(t, natstest.Options{Dir: dir})
	js := n.MustStream(t, "S", 1)
	if err := n.StoreError(); err != nil {
		t.Fatalf("an empty volume: %v", err)
	}
	acknowledged := uint64(0)
	payload := make([]byte, 256<<10)
	for failed := false; !failed; {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if _, err := js.Publish(ctx, "S.a", payload); err == nil {
			acknowledged++
		}
		cancel()
		select {
		case <-n.StoreFailed():
			failed = true
		default:
		}
	}
	if err := n.StoreError(); !errors.Is(err, embeddednats.ErrStore) {
		t.Fatalf("a full volume: %v", err)
	}
	n.Stop()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=96m"); err != nil {
		t.Fatal(err)
	}
	n = natstest.MustStart(t, embeddednats.Resume, n.Config)
	js = n.MustJetStream(t)
	natstest.Within(t, natstest.Patience, "a write after space was made", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "S.b", nil, jetstream.WithMsgID("after"))
		return err == nil
	})
	if have := messages(t, n, "S"); have < acknowledged+1 { // what was not acknowledged may be there as well
		t.Fatalf("%d messages, and %d were acknowledged", have, acknowledged+1)
	}
	if err := n.StoreError(); err != nil {
		t.Fatalf("after space was made: %v", err)
	}
}
