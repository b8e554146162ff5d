// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// A node that stops with more to do than it has time for still hears requests: none may end the process.
func TestARequestThatComesAfterTheEndIsRefused(t *testing.T) {
	r := newReads(2, 2)
	if !r.push(read{user: "a"}) {
		t.Error("the first request was refused")
	}
	r.close()
	if r.push(read{user: "b"}) {
		t.Error("a request was taken that nobody reads")
	}
	n := 0
	for range r.queue {
		n++
	}
	if n != 1 {
		t.Errorf("%d requests were left to the readers, want 1", n)
	}
}

// A service that takes no more requests may take them again at once: no handler of before may still be at work.
func TestLeavingWaitsForTheHandler(t *testing.T) {
	nc := natstest.MustFound(t, natstest.Options{}).MustConnect(t, embeddednats.AccountClients)
	s := &Service{cfg: Config{Clients: nc, AppendTimeout: time.Millisecond, Logger: natstest.Logger()}, pending: newPending(1), reads: newReads(1, 1)}
	at, release := make(chan struct{}), make(chan struct{})
	sub, err := nc.Subscribe("request", func(*nats.Msg) { close(at); <-release })
	if err == nil {
		err = nc.Publish("request", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-at
	left := make(chan struct{})
	go func() { s.leave([]*nats.Subscription{sub}); close(left) }()
	select {
	case <-left:
		t.Error("left while a request was worked at")
	case <-time.After(time.Second):
	}
	close(release)
	<-left
}
