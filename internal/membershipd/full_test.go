// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// mustVolume is a small volume of the test's own.
func mustVolume(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "volume")
	natstest.MustMount(t, dir, size)
	return dir
}

// mustFill takes space on the volume until so many bytes are left, and returns the file that takes it.
func mustFill(t *testing.T, dir string, left int64) string {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		v, err := embeddednats.VolumeSpace(dir)
		if err != nil {
			t.Fatal(err)
		}
		if v.Free <= left {
			return name
		}
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
}

// acknowledged are the messages that were acknowledged, by sequence.
type acknowledged map[uint64][]byte

// streamFull is the error code of a stream that is at its own limit.
const streamFull = 10077

// publish writes messages of a kilobyte, each under one id over its retries, until the stream says that it is full or one was not
// acknowledged within patience.
func (a acknowledged) publish(t *testing.T, js jetstream.JetStream, most int, patience time.Duration) (last error) {
	t.Helper()
	for i := range most {
		id := fmt.Sprintf("%d-%d", len(a), i)
		body := append(bytes.Repeat([]byte{'x'}, 1000), id...)
		end := time.Now().Add(patience)
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			ack, err := js.Publish(ctx, "full.x", body, jetstream.WithMsgID(id))
			cancel()
			if err == nil {
				a[ack.Sequence] = body
				break
			}
			var api *jetstream.APIError
			if last = err; errors.As(err, &api) && api.ErrorCode == streamFull || time.Now().After(end) {
				return last
			}
		}
	}
	return nil
}

func (a acknowledged) expectThere(t *testing.T, js jetstream.JetStream, stream string) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for seq, body := range a {
		var m *jetstream.RawStreamMsg
		// What is not there is told as that; any other error says only that nobody could be asked just now.
		natstest.Until(limit, func() bool {
			m, err = s.GetMsg(t.Context(), seq)
			return err == nil || errors.Is(err, jetstream.ErrMsgNotFound)
		})
		if err != nil || !bytes.Equal(m.Data, body) {
			if lost++; lost <= 3 {
				t.Errorf("message %d was acknowledged and reads %v", seq, err)
			}
		}
	}
	t.Logf("acknowledged %d, lost %d", len(a), lost)
}

func mustStream(t *testing.T, js jetstream.JetStream, c jetstream.StreamConfig) {
	t.Helper()
	c.Subjects = []string{c.Name + ".>"}
	var err error
	if !natstest.Until(limit, func() bool { _, err = js.CreateStream(t.Context(), c); return err == nil }) {
		t.Fatal(err)
	}
}

func (n *testNode) mustMetrics(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(n.httpURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFullVolumeIsToldAndRecoveredFrom(t *testing.T) {
	dir := mustVolume(t, "24m")
	n := mustRun(t, planFor(t, "n0", dir, func(p *plan) { p.server.Limits.StoreBytes = 0 }))
	mustBecome(t, "/readyz", 200, n)
	js := mustJetStream(t, n.mustConnect(t, embeddednats.AccountHistory))
	mustStream(t, js, jetstream.StreamConfig{Name: "full", MaxBytes: 8 << 20, Discard: jetstream.DiscardNew})
	ledger := acknowledged{}
	if err := ledger.publish(t, js, 200, limit); err != nil {
		t.Fatal(err)
	}
	ballast := mustFill(t, dir, 1<<20)
	if err := ledger.publish(t, js, 20_000, 3*time.Second); err == nil {
		t.Fatal("the volume never got full")
	}
	mustBecome(t, "/readyz", 503, n)
	mustBecome(t, "/healthz", 503, n)
	mustBecome(t, "/livez", 200, n)
	if _, a := n.get("/readyz"); !strings.Contains(a.Reason, "free some, or enlarge") {
		t.Errorf("the reason is %q, want one with the remedy", a.Reason)
	}
	if m := n.mustMetrics(t); !strings.Contains(m, `unibus_repairs_total{cause="store-error"} 1`) || !strings.Contains(m, "unibus_node_ready 0") {
		t.Errorf("the metrics don't tell:\n%s", m)
	}
	wait(t, 2*time.Second) // it must not start again before there is space
	mustBecome(t, "/readyz", 503, n)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	mustBecome(t, "/readyz", 200, n)
	t.Logf("ready %v after space was freed", time.Since(freed).Round(time.Millisecond))
	js = mustJetStream(t, n.mustConnect(t, embeddednats.AccountHistory))
	ledger.expectThere(t, js, "full")
	if err := ledger.publish(t, js, 100, limit); err != nil {
		t.Errorf("writes after the recovery: %v", err)
	}
	ledger.expectThere(t, js, "full")
}

// One node of three with a full volume hands over and comes back; the others never stop.
func TestFullVolumeOfOneOfThree(t *testing.T) {
	dir := mustVolume(t, "32m")
	names := []string{"n0", "n1", "n2"}
	nodes := mustBootstrap(t, names, func(i int, p *plan) {
		p.server.Limits.StoreBytes = 24 << 20
		if i == 0 {
			p.formation.StoreDir = dir
		}
	})
	mustBecome(t, "/readyz", 200, nodes...)
	js := mustJetStream(t, nodes[1].mustConnect(t, embeddednats.AccountHistory))
	mustStream(t, js, jetstream.StreamConfig{Name: "full", Replicas: 3, MaxBytes: 12 << 20, Discard: jetstream.DiscardOld})
	mustLead(t, nodes[0], js, "full")
	ledger := acknowledged{}
	if err := ledger.publish(t, js, 200, limit); err != nil {
		t.Fatal(err)
	}
	ballast := mustFill(t, dir, 1<<20)
	if err := ledger.publish(t, js, 3000, limit); err != nil {
		t.Fatalf("writes stopped: %v", err)
	}
	mustBecome(t, "/readyz", 503, nodes[0])
	mustBecome(t, "/livez", 200, nodes[0])
	mustBecome(t, "/readyz", 200, nodes[1], nodes[2])
	s, err := js.Stream(t.Context(), "full")
	if err != nil {
		t.Fatal(err)
	}
	if leader := s.CachedInfo().Cluster.Leader; leader == "n0" {
		t.Error("the node with the full volume leads the stream still")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustBecome(t, "/readyz", 200, nodes...)
	mustBecome(t, "/safe-to-restart", 200, nodes...)
	mustLead(t, nodes[0], js, "full") // what it holds is read from it
	ledger.expectThere(t, js, "full")
}

// mustLead moves the leader of a stream to a node.
func mustLead(t *testing.T, n *testNode, js jetstream.JetStream, stream string) {
	t.Helper()
	natstest.Within(t, limit, n.name+" leads", func() bool {
		s, err := js.Stream(t.Context(), stream)
		if err == nil && s.CachedInfo().Cluster.Leader == n.name {
			return true
		}
		body := fmt.Sprintf(`{"placement":{"preferred":%q}}`, n.name)
		// It is refused or unanswered while an election runs, and asked again.
		_, _ = js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, []byte(body), time.Second)
		wait(t, 200*time.Millisecond)
		return false
	})
}

// At the store's limit the history refuses and membership goes on: the buckets reserve their space.
func TestMembershipGoesOnAtTheStoreLimit(t *testing.T) {
	const store = 16 << 20
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, func(_ int, p *plan) { p.server.Limits.StoreBytes = store })
	mustBecome(t, "/readyz", 200, nodes...)
	js := mustJetStream(t, nodes[1].mustConnect(t, embeddednats.AccountHistory))
	// All that the buckets, and the small one that the nodes agreed in, leave.
	most := int64(store) - 3*bucketBytes(store) - 1<<20
	mustStream(t, js, jetstream.StreamConfig{Name: "full", Replicas: 3, MaxBytes: most, Discard: jetstream.DiscardNew})
	ledger := acknowledged{}
	err := ledger.publish(t, js, 20_000, limit)
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != streamFull {
		t.Fatalf("the full stream says %v, want error 10077", err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "more", Subjects: []string{"more"}, Replicas: 3, MaxBytes: 8 << 20}); err == nil {
		t.Error("a stream that does not fit was made")
	}
	kv, err := mustJetStream(t, nodes[2].mustConnect(t, embeddednats.AccountMembership)).KeyValue(t.Context(), v1.BucketUsers)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, err := kv.Put(t.Context(), fmt.Sprint("user", i), bytes.Repeat([]byte{'u'}, 300)); err != nil {
			t.Fatalf("user %d at the store's limit: %v", i, err)
		}
	}
	mustBecome(t, "/healthz", 200, nodes...)
	ledger.expectThere(t, js, "full")
}
