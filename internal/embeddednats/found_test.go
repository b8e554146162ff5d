// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

func TestFoundMakesAClusterOfOne(t *testing.T) {
	begin := time.Now()
	n := natstest.MustFound(t, natstest.Options{})
	founded := time.Since(begin)
	leader, size, members, ok := n.Meta()
	if !ok || leader != "n0" || size != 1 || len(members) != 1 {
		t.Fatalf("meta group: leader %q, size %d, members %v, %v", leader, size, members, ok)
	}
	js := n.MustStream(t, "S", 1)
	if _, err := js.Publish(context.Background(), "S.a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	t.Logf("founded after %v, a stream after %v", founded, time.Since(begin))
}

func TestResumeAlone(t *testing.T) {
	n := natstest.MustFound(t, natstest.Options{})
	js := n.MustStream(t, "S", 1)
	if _, err := js.Publish(context.Background(), "S.a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := n.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	n = natstest.MustStart(t, embeddednats.Resume, n.Config)
	natstest.Within(t, natstest.Patience, "a usable meta group", func() bool { ok, _ := n.MetaHealthy(); return ok })
	js = n.MustJetStream(t)
	var m *jetstream.RawStreamMsg
	natstest.Within(t, natstest.Patience, "what was written", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s, err := js.Stream(ctx, "S")
		if err != nil {
			return false
		}
		m, err = s.GetMsg(ctx, 1)
		return err == nil
	})
	t.Logf("usable %v after the start", time.Since(begin))
	if string(m.Data) != "kept" {
		t.Fatalf("read %q", m.Data)
	}
}
