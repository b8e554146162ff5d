// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// rawConfig is a stream's configuration as the server tells it.
func rawConfig(t *testing.T, a *Admin, account, stream string) map[string]any {
	t.Helper()
	var i streamInfo
	must(t, a.ask(t.Context(), account, "$JS.API.STREAM.INFO."+stream, nil, &i))
	var cfg map[string]any
	must(t, json.Unmarshal(i.Config, &cfg))
	return cfg
}

func TestSetReplicasChangesNothingElse(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s.>"}, Replicas: 1, MaxBytes: 1 << 20, MaxMsgsPerSubject: 7, MaxAge: time.Hour, Duplicates: time.Minute,
		DenyPurge: true, AllowDirect: true, AllowMsgTTL: true, Discard: jetstream.DiscardNew, Compression: jetstream.S2Compression,
		Metadata: map[string]string{"purpose": "test"}, RePublish: &jetstream.RePublish{Source: "s.>", Destination: "log.>"},
	})
	mustPublish(t, js, "s.a", 5)
	before := rawConfig(t, a, "HISTORY", "S")
	for _, n := range []int{3, 1} {
		must(t, a.SetReplicas(t.Context(), "HISTORY", "S", n))
		s := l.mustInSync(a, "HISTORY", "S", n)
		if s.Messages != 5 || s.Last != 5 {
			t.Fatalf("stream after raising: %+v", s)
		}
		after := rawConfig(t, a, "HISTORY", "S")
		before["num_replicas"] = float64(n)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("configuration with %d replicas:\n%s", n, diff)
		}
		must(t, a.SetReplicas(t.Context(), "HISTORY", "S", n)) // again: nothing to do
	}
}

func TestMoveStreamLeader(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 3})
	l.mustStream(js, jetstream.StreamConfig{Name: "R1", Subjects: []string{"r.>"}, Replicas: 1})
	s := l.mustInSync(a, "HISTORY", "S", 3)
	to := s.Members[slices.IndexFunc(s.Members, func(r Replica) bool { return r.Name != s.Leader })].Name
	must(t, a.MoveStreamLeader(t.Context(), "HISTORY", "S", to))
	l.within("leadership at "+to, func() bool {
		s, err := a.Stream(t.Context(), "HISTORY", "S")
		return err == nil && s.Leader == to
	})
	one := l.mustInSync(a, "HISTORY", "R1", 1)
	other := l.names[slices.IndexFunc(l.names, func(n string) bool { return n != one.Leader })]
	expectError(t, a.MoveStreamLeader(t.Context(), "HISTORY", "R1", other), ErrNotInSync)
}

// A plain removal throws the replicas of the removed server away, so the server has to be empty first.
func TestRemovePeerAfterItsReplicasMoved(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 1})
	l.mustStream(js, jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}, Replicas: 3})
	mustPublish(t, js, "s.a", 50)
	s := l.mustInSync(a, "HISTORY", "S", 1)
	l.mustInSync(a, "HISTORY", "T", 3)
	leaver := s.Leader

	expectError(t, a.RemovePeer(t.Context(), leaver, false), ErrHoldsReplicas)
	expectError(t, a.MoveReplica(t.Context(), "HISTORY", "T", leaver), ErrNoPlace)
	must(t, a.MoveReplica(t.Context(), "HISTORY", "S", leaver))
	l.within("S is elsewhere", func() bool {
		s, err := a.Stream(t.Context(), "HISTORY", "S")
		_, there := s.Has(leaver)
		return err == nil && s.InSync() && !there
	})
	must(t, a.MoveReplica(t.Context(), "HISTORY", "S", leaver)) // nothing to move any more
	must(t, a.SetReplicas(t.Context(), "HISTORY", "T", 1))
	l.within("T is elsewhere", func() bool {
		s, err := a.Stream(t.Context(), "HISTORY", "T")
		if _, there := s.Has(leaver); err == nil && s.InSync() && there {
			_ = a.MoveReplica(t.Context(), "HISTORY", "T", leaver) // lowering keeps the leader, whoever it is
		} else if err == nil && s.InSync() {
			return true
		}
		return false
	})
	l.within("removal", func() bool { return a.RemovePeer(t.Context(), leaver, false) == nil })
	m, err := a.Meta(t.Context())
	must(t, err)
	if _, there := m.Has(leaver); there || len(m.Members) != 2 {
		t.Fatalf("members after the removal: %+v", m.Members)
	}
	must(t, a.RemovePeer(t.Context(), leaver, false)) // again: nothing to do
	if s := l.mustInSync(a, "HISTORY", "S", 1); s.Messages != 50 {
		t.Fatalf("%d messages are left of 50", s.Messages)
	}
}

func TestRemovePeerThatIsDead(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "ONE", Subjects: []string{"s.>"}, Replicas: 1})
	l.mustStream(js, jetstream.StreamConfig{Name: "THREE", Subjects: []string{"t.>"}, Replicas: 3})
	dead := l.mustInSync(a, "HISTORY", "ONE", 1).Leader
	l.mustInSync(a, "HISTORY", "THREE", 3)
	l.stop(dead)
	l.within("a leader of THREE", func() bool {
		s, err := a.Stream(t.Context(), "HISTORY", "THREE")
		return err == nil && s.Leader != "" && s.Leader != dead
	})
	expectError(t, a.RemovePeer(t.Context(), dead, false), ErrWouldLose) // ONE is only there
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	l.within("ONE deleted", func() bool { return js.DeleteStream(ctx, "ONE") == nil })
	l.within("the dead one removed", func() bool { return a.RemovePeer(t.Context(), dead, false) == nil })
	m, err := a.Meta(t.Context())
	must(t, err)
	if _, there := m.Has(dead); there {
		t.Fatalf("members after the removal: %+v", m.Members)
	}
}

// A retired server never comes back with what it has: its removal waits for no stream that is leaderless without it.
func TestRemovePeerThatIsRetired(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "ONE", Subjects: []string{"s.>"}, Replicas: 1})
	retired := l.mustInSync(a, "HISTORY", "ONE", 1).Leader
	expectError(t, a.RemovePeer(t.Context(), retired, true), ErrHoldsReplicas) // it runs still
	l.stop(retired)
	l.within("the retired one removed", func() bool { return a.RemovePeer(t.Context(), retired, true) == nil })
	m, err := a.Meta(t.Context())
	must(t, err)
	if _, there := m.Has(retired); there {
		t.Fatalf("members after the removal: %+v", m.Members)
	}
}

// A meta group that has forgotten a stream does not hide it: who holds it still tells.
func TestStreamsThatOnlyServersTellOf(t *testing.T) {
	s := survey{streams: map[streamKey]surveyed{{"HISTORY", "KNOWN"}: {}, {"HISTORY", "FORGOTTEN"}: {}, {"OTHER", "S"}: {}}}
	if got := s.with("HISTORY", []string{"KNOWN", "NEW"}); !slices.Equal(got, []string{"KNOWN", "NEW", "FORGOTTEN"}) {
		t.Errorf("streams of HISTORY: %v", got)
	}
}

// Servers that were all restarted know a member that did not come back by its id only.
func TestRemoveLostOfUnknownName(t *testing.T) {
	l := mustCluster(t, 3, false)
	for _, n := range l.names {
		l.stop(n)
	}
	l.start("n0")
	l.start("n1")
	a := l.mustAdmin()
	l.within("a leader", func() bool { _, err := a.Meta(t.Context()); return err == nil })
	m, err := a.Meta(t.Context())
	must(t, err)
	if p, ok := m.Has("n2"); !ok || p.Name != "n2" || p.Answered {
		t.Fatalf("n2 among %+v: %+v, %v", m.Members, p, ok)
	}
	expectError(t, a.RemoveLost(t.Context(), "n1"), ErrHoldsReplicas)
	l.within("n2 removed", func() bool { return a.RemoveLost(t.Context(), "n2") == nil })
	m, err = a.Meta(t.Context())
	must(t, err)
	if len(m.Members) != 2 {
		t.Fatalf("members after the removal: %+v", m.Members)
	}
}

func TestRescue(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 3})
	mustPublish(t, js, "s.a", 20)
	l.mustInSync(a, "HISTORY", "S", 3)
	if _, err := a.Rescue(t.Context(), 1); err == nil {
		t.Fatal("a group with a leader was rescued")
	}
	l.stop("n1")
	l.stop("n2")
	survivor := l.mustAdmin("n0")
	l.within("n0 lowers its quorum", func() bool { _, err := survivor.Rescue(t.Context(), 1); return err == nil })
	l.within("both removed", func() bool {
		return survivor.RemoveLost(t.Context(), "n1") == nil && survivor.RemoveLost(t.Context(), "n2") == nil
	})
	l.within("the stream back with all it had", func() bool {
		s, err := survivor.Stream(t.Context(), "HISTORY", "S")
		return err == nil && s.Leader == "n0" && s.Messages == 20
	})
}

func TestStreamsOfForeignAccounts(t *testing.T) {
	l := mustCluster(t, 3, false)
	a := l.mustAdmin()
	_, err := a.Streams(t.Context())
	must(t, err)
	l.mustStream(l.mustJS("OTHER"), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 1})
	l.within("the foreign stream is noticed", func() bool { _, err := a.Streams(t.Context()); return err != nil })
	_, err = a.Streams(t.Context())
	expectError(t, err, ErrForeignAccount)
}
