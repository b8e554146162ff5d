// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Two ledgers are comparable although the streams are written to, raised and lowered between and during them.
func TestLedgerUnderWriters(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log.>"}, Replicas: 1})
	l.mustStream(js, jetstream.StreamConfig{Name: "KV", Subjects: []string{"kv.>"}, Replicas: 1, MaxMsgsPerSubject: 1})
	mustPublish(t, js, "log.a", 1200)
	mustPublish(t, js, "kv.fixed", 1)
	mustPublish(t, js, "kv.c", 1)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, subject := range []string{"log.b", "kv.b"} {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				one, done := context.WithTimeout(ctx, time.Second)
				m := nats.NewMsg(subject)
				m.Data, m.Header = fmt.Append(nil, i), nats.Header{"Index": {fmt.Sprint(i)}}
				_, _ = js.PublishMsg(one, m) // lost attempts don't matter: the ledger reads what is there
				done()
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	before, err := a.Ledger(t.Context(), LedgerOptions{})
	must(t, err)
	mustPublish(t, js, "kv.c", 2) // the second takes the place of the first
	for _, n := range []int{3, 1} {
		for _, s := range []string{"LOG", "KV"} {
			must(t, a.SetReplicas(t.Context(), "HISTORY", s, n))
		}
		for _, s := range []string{"LOG", "KV"} {
			l.within("replicas of "+s, func() bool { // writers go on, so a sample may catch one in flight
				got, err := a.Stream(t.Context(), "HISTORY", s)
				return err == nil && got.InSync() && got.Replicas == n
			})
		}
	}
	after, err := a.Ledger(t.Context(), LedgerOptions{})
	must(t, err)
	for _, c := range Compare(before, after) {
		if c.Problem != "" || c.Lost+c.Changed > 0 {
			t.Errorf("%s: %+v", c.Stream, c)
		}
		if c.Stream == "LOG" && (c.DigestUpTo != c.Before.Digest || c.After.Last <= c.Before.Last || c.Kept != c.Before.Messages) {
			t.Errorf("LOG: digest up to %d is %s, was %s; last %d; kept %d of %d", c.Before.Last, c.DigestUpTo, c.Before.Digest, c.After.Last, c.Kept, c.Before.Messages)
		}
		if c.Stream == "KV" && (c.Dropped == 0 || c.Kept == 0) {
			t.Errorf("KV: %d kept, %d dropped: nothing was overwritten", c.Kept, c.Dropped)
		}
	}
}

func TestCompareTellsWhatIsMissing(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log.>"}, Replicas: 1})
	l.mustStream(js, jetstream.StreamConfig{Name: "GONE", Subjects: []string{"gone.>"}, Replicas: 1})
	mustPublish(t, js, "log.a", 20)
	mustPublish(t, js, "gone.a", 3)
	s, err := js.Stream(t.Context(), "LOG")
	must(t, err)
	c, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "D", AckPolicy: jetstream.AckExplicitPolicy})
	must(t, err)
	m, err := c.Next()
	must(t, err)
	must(t, m.DoubleAck(t.Context()))

	before, err := a.Ledger(t.Context(), LedgerOptions{})
	must(t, err)
	if got := before[1].Consumers["D"]; got != 1 {
		t.Fatalf("ack floor of D is %d, want 1", got)
	}
	must(t, s.DeleteMsg(t.Context(), 7))
	must(t, s.DeleteConsumer(t.Context(), "D"))
	must(t, js.DeleteStream(t.Context(), "GONE"))
	after, err := a.Ledger(t.Context(), LedgerOptions{})
	must(t, err)
	got := Compare(before, after)
	if len(got) != 2 || got[0].Stream != "GONE" || got[0].Lost != 3 || got[0].Problem == "" {
		t.Errorf("the deleted stream: %+v", got[0])
	}
	if got[1].Lost != 1 || got[1].Kept != 19 || got[1].Problem == "" || got[1].DigestUpTo == before[1].Digest {
		t.Errorf("the deleted message: %+v", got[1])
	}
}
