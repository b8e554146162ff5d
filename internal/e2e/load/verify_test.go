// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/natstest"
)

// TestWhole: what was not read from is not passed over.
func TestWhole(t *testing.T) {
	for _, c := range []struct {
		v     Verdict
		whole bool
	}{
		{Verdict{Replicas: []string{"a", "b", "c"}}, true},
		{Verdict{Replicas: []string{"a", "b"}}, false},
		{Verdict{Replicas: []string{"a", "b", "c", "d"}}, false},
		{Verdict{Replicas: []string{"a", "b", "c"}, Offline: []string{"d"}}, false},
	} {
		if err := c.v.Whole(3); (err == nil) != c.whole {
			t.Errorf("%+v: %v, whole %v is wanted", c.v, err, c.whole)
		}
	}
}

// TestNoAnswerIsNoVerdict: where nobody answers a repeated reading, a miss is neither a loss nor a lagging reading.
func TestNoAnswerIsNoVerdict(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	natstest.Within(t, time.Minute, "the server takes clients", func() bool { return s.ReadyForConnections(time.Second) })
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	misses := []Miss{{Stream: "S", ID: "w0.1", Seq: 7, Readings: 1}}
	if err := reread(ctx, nc, Stream{Name: "S"}, misses); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody answered: %v", err)
	}
	if misses[0].Lost || misses[0].Readings != 1 {
		t.Errorf("nobody answered: %+v", misses[0])
	}
}
