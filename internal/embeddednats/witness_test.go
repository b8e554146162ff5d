// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// wellCluster is a cluster of three that lead, in turn, the meta group and a stream.
func wellCluster() sample {
	peers := func(names ...string) (p []*server.PeerInfo) {
		for _, n := range names {
			p = append(p, &server.PeerInfo{Name: n, Peer: PeerID(n), Current: true})
		}
		return p
	}
	o := sample{stores: map[string]*server.JSInfo{}, unwell: map[string]string{}}
	others := map[string][]string{"n0": {"n1", "n2"}, "n1": {"n0", "n2"}, "n2": {"n0", "n1"}}
	for n, r := range others {
		o.unwell[n] = ""
		o.stores[n] = &server.JSInfo{
			Meta: &server.MetaClusterInfo{Leader: "n0", Size: 3, Replicas: peers(r...)},
			AccountDetails: []*server.AccountDetail{{Name: "HISTORY", Streams: []server.StreamDetail{
				{
					Name: "S", Config: &server.StreamConfig{Name: "S", Replicas: 3}, State: server.StreamState{LastSeq: 100},
					Cluster: &server.ClusterInfo{Leader: "n1", Replicas: peers(r...)},
				},
			}}},
		}
	}
	o.stores["n2"].AccountDetails[0].Streams = append(o.stores["n2"].AccountDetails[0].Streams, server.StreamDetail{
		Name: "ONE", Config: &server.StreamConfig{Name: "ONE", Replicas: 1}, Cluster: &server.ClusterInfo{Leader: "n2"},
	})
	return o
}

func (o sample) stream(on string) *server.StreamDetail {
	return &o.stores[on].AccountDetails[0].Streams[0]
}

func TestWitnesses(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(now, before sample)
		against string // a part of what speaks against a restart, none if empty
	}{
		{name: "well", change: func(_, _ sample) {}},
		{name: "no meta leader", change: func(o, _ sample) {
			for _, i := range o.stores {
				i.Meta.Leader = ""
			}
		}, against: "meta group has no leader"},
		{name: "two meta leaders", change: func(o, _ sample) { o.stores["n2"].Meta.Leader = "n2" }, against: "both"},
		{name: "a ghost in the meta group", change: func(o, _ sample) { o.stores["n0"].Meta.Size = 4 }, against: "has 4 members"},
		{name: "a meta peer offline", change: func(o, _ sample) { o.stores["n0"].Meta.Replicas[1].Offline = true },
			against: "n2 is not current in the meta group"},
		{name: "a meta peer behind", change: func(o, _ sample) { o.stores["n0"].Meta.Replicas[0].Current = false },
			against: "n1 is not current in the meta group"},
		{name: "a silent peer", change: func(o, _ sample) { delete(o.stores, "n2"); delete(o.unwell, "n2") },
			against: "n2 does not tell"},
		{name: "its own word against it", change: func(o, _ sample) { o.unwell["n2"] = "503 not current" },
			against: "503 not current"},
		{name: "another's word against it", change: func(o, _ sample) { o.unwell["n1"] = "503 not current" }, against: "503"},
		{name: "no stream leader", change: func(o, _ sample) {
			for n := range o.stores {
				o.stream(n).Cluster.Leader = ""
			}
		}, against: "S has no leader"},
		{name: "two stream leaders", change: func(o, _ sample) { o.stream("n2").Cluster.Leader = "n2" }, against: "both"},
		{name: "the leader's word against it", change: func(o, _ sample) {
			o.stream("n1").Cluster.Replicas[1].Current = false
		}, against: "S is not current on n2"},
		{name: "too few replicas", change: func(o, _ sample) {
			o.stream("n1").Cluster.Replicas = o.stream("n1").Cluster.Replicas[:1]
		}, against: "wants 3 replicas, and has 2"},
		{name: "current by the leader's word, and nothing there", change: func(o, _ sample) {
			o.stores["n2"].AccountDetails = nil
		}, against: "S is not there yet on n2"},
		{name: "lag of a moment under writes", change: func(o, before sample) {
			lags(o, 7, 95)
			before.stream("n1").State.LastSeq = 90
		}},
		{name: "lag that stays", change: func(o, before sample) {
			lags(o, 7, 95)
			before.stream("n1").State.LastSeq = 99
		}, against: "S on n2 lags by 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now, before := wellCluster(), wellCluster()
			c.change(now, before)
			got := now.unsafe(before)
			if (got == "") != (c.against == "") || !strings.Contains(got, c.against) {
				t.Errorf("against a restart: %q, want %q", got, c.against)
			}
		})
	}
}

// lags makes n2 lag in the leader's eyes, and have less in its own.
func lags(o sample, by, last uint64) {
	r := o.stream("n1").Cluster.Replicas[1]
	r.Current, r.Lag = false, by
	o.stream("n2").State.LastSeq = last
}

func TestPeerIDIsTheServers(t *testing.T) {
	ns, err := server.NewServer(&server.Options{ServerName: "n0", NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := PeerID("n0"), ns.NodeName(); got != want {
		t.Fatalf("the id of n0 is %q, nats-server says %q", got, want)
	}
}

func TestComplaints(t *testing.T) {
	for m, want := range map[string]bool{
		"JetStream out of resources, will be DISABLED":                                                     true,
		"RAFT [6DVFpukC - S-R3F-x] Critical write error: write /x/1.blk: no space left on device":          true,
		"JetStream failed to store a msg on stream 'A > S': write 2.blk: input/output error":               true,
		"JetStream stream 'A > S' is not current: stream write error: read-only file system":               true,
		"JetStream resource limits exceeded for server":                                                    false,
		"Error trying to connect to route (attempt 1): dial tcp 127.0.0.1:1: connect: connection refused":  false,
		"JetStream being DISABLED, our server was removed from the cluster":                                false,
		"JetStream cluster no metadata leader":                                                             false,
		"Healthcheck failed: \"JetStream has not established contact with a meta leader\"":                 false,
		"RAFT [6DVFpukC - _meta_] Resource not found: open /x/peers.idx: no such file or directory":        false,
		"Catchup for stream 'A > S' errored, will retry: stream skipped: too many retries":                 false,
		"File system permission denied while writing, disabling JetStream":                                 true,
		"JetStream out of File resources, will be DISABLED":                                                true,
		"JetStream meta layer write error: mkdir /x/msgs: no space left on device":                         true,
		"File system permission denied when flushing stream state, disabling JetStream: permission denied": true,
	} {
		if got := complains(m); got != want {
			t.Errorf("a complaint about the store: %v: %s", got, m)
		}
	}
}
