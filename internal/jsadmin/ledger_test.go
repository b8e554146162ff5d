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
	// Full, so that every write drops a message, also while the ledger reads.
	l.mustStream(js, jetstream.StreamConfig{Name: "FULL", Subjects: []string{"full.>"}, Replicas: 1, MaxMsgs: 1200})
	mustPublish(t, js, "full.a", 1200)
	mustPublish(t, js, "log.a", 1200)
	mustPublish(t, js, "kv.fixed", 1)
	mustPublish(t, js, "kv.c", 1)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, subject := range []string{"log.b", "kv.b", "full.b"} {
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

// A marker of a removal that was purged is no loss, and a record is.
func TestCompareTellsMarkersFromRecords(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	var kv jetstream.KeyValue
	l.within("the bucket", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "B"})
		return err == nil
	})
	for _, key := range []string{"there", "record", "deleted", "purged"} {
		_, err := kv.PutString(t.Context(), key, "x")
		must(t, err)
	}
	must(t, kv.Delete(t.Context(), "deleted"))
	must(t, kv.Purge(t.Context(), "purged"))
	s, err := js.Stream(t.Context(), "KV_B")
	must(t, err)
	for _, step := range []struct {
		purge             []string
		kept, drops, lost uint64
	}{{[]string{"deleted", "purged"}, 2, 2, 0}, {[]string{"record"}, 1, 0, 1}} {
		before, err := a.Ledger(t.Context(), LedgerOptions{})
		must(t, err)
		for _, key := range step.purge {
			must(t, s.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.B."+key)))
		}
		after, err := a.Ledger(t.Context(), LedgerOptions{})
		must(t, err)
		got := Compare(before, after)
		if len(got) != 1 || got[0].Kept != step.kept || got[0].Dropped != step.drops || got[0].Lost != step.lost || (got[0].Problem == "") != (step.lost == 0) {
			t.Errorf("%v purged: %+v", step.purge, got)
		}
	}
}

// What the limits take while the messages are read is not lost, and what they can't have taken is.
func TestCompareExplainsWhatWentWhileReading(t *testing.T) {
	is := func(seq uint64, subject string) mark { return mark{seq: seq, subject: subjectSum(subject)} }
	before := LedgerEntry{Account: "A", Stream: "S", Messages: 2, First: 1, Last: 2, Digest: "read", marks: []mark{is(1, "a"), is(2, "b")}}
	for _, c := range []struct {
		name  string
		after LedgerEntry
		lost  uint64
	}{
		{"taken by the limit meanwhile", LedgerEntry{First: 1, Last: 9, oldest: 3, limits: limits{MaxMessages: 7}}, 0},
		{"not as old as that", LedgerEntry{First: 1, Last: 9, oldest: 2, limits: limits{MaxMessages: 7}}, 1},
		{"written again meanwhile", LedgerEntry{First: 1, Last: 9, oldest: 9, limits: limits{PerSubject: 1}, later: [][8]byte{subjectSum("a"), subjectSum("b")}}, 0},
		{"one of them not", LedgerEntry{First: 1, Last: 9, oldest: 9, limits: limits{PerSubject: 1}, later: [][8]byte{subjectSum("a")}}, 1},
	} {
		c.after.Account, c.after.Stream, c.after.Digest, c.after.limits.Retention = "A", "S", "read", "limits"
		if got := Compare([]LedgerEntry{before}, []LedgerEntry{c.after}); got[0].Lost != c.lost {
			t.Errorf("%s: %d lost, want %d", c.name, got[0].Lost, c.lost)
		}
	}
}

// TestLedgerWhileAConsumerIsAway: nodes have ephemeral consumers, of which one that was on a node that is gone can't answer.
func TestLedgerWhileAConsumerIsAway(t *testing.T) {
	l := mustCluster(t, 3, true)
	js := l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log.>"}, Replicas: 3})
	mustPublish(t, js, "log.a", 10)
	l.within("a consumer on n2", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := js.CreateConsumer(ctx, "LOG", jetstream.ConsumerConfig{InactiveThreshold: time.Hour, MemoryStorage: true, Replicas: 1})
		return err == nil && c.CachedInfo().Cluster.Leader == "n2"
	})
	_, err := js.CreateConsumer(t.Context(), "LOG", jetstream.ConsumerConfig{Durable: "kept", Replicas: 3})
	must(t, err)
	l.cut("n2") // a server that stops in order hands its consumers on
	a := l.mustAdmin("n0", "n1")
	l.within("a leader", func() bool {
		m, err := a.Meta(t.Context())
		return err == nil && m.Leader != "" && m.Leader != "n2"
	})
	var got []LedgerEntry
	l.within("a leader of the stream", func() bool {
		s, err := a.Stream(t.Context(), "HISTORY", "LOG")
		return err == nil && s.Leader != "" && s.Leader != "n2"
	})
	l.within("a leader of the durable consumer, which is a group of its own", func() bool {
		got, err = a.Ledger(t.Context(), LedgerOptions{})
		if err != nil || len(got) != 1 || got[0].Messages != 10 {
			t.Fatalf("ledger %+v: %v", got, err)
		}
		_, ok := got[0].Consumers["kept"]
		return ok
	})
	if len(got[0].Consumers) != 1 {
		t.Errorf("consumers %v, want the durable one only", got[0].Consumers)
	}
}
