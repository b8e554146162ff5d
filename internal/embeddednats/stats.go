// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Stats is a snapshot of what is worth measuring.
type Stats struct {
	Server    ServerStats
	JetStream JetStreamStats
	// Meta is the meta group; its Account is AccountSystem. nil without one.
	Meta *GroupStats
	// Streams are those that this server holds, sorted by account and name.
	Streams []StreamStats
}

// ServerStats counts since the server was started, but for what is now: Connections, Subscriptions,
// Routes and MemoryBytes.
type ServerStats struct {
	Version                                           string
	Started                                           time.Time
	Connections, Subscriptions, Routes                int
	TotalConnections                                  uint64
	SlowConsumers, InMsgs, OutMsgs, InBytes, OutBytes int64
	MemoryBytes                                       int64
}

// JetStreamStats is what the store holds.
type JetStreamStats struct {
	Enabled                                      bool
	StoreBytes, StoreLimitBytes, ReservedBytes   uint64
	Streams, Consumers                           int
	StreamsLed, ConsumersLed                     int
	Messages, Bytes, APIRequests, APIErrors, API uint64 // API is the requests in flight
}

// GroupStats is a Raft group.
type GroupStats struct {
	Account string
	Leader  string // server name, empty if there is none
	Led     bool   // by this server
	Size    int
	// Term grows with each election, won or not: two readings that differ tell of one.
	Term     uint64
	Replicas []Replica // known to the leader alone
}

// StreamStats is a stream, and its Raft group if it has replicas.
type StreamStats struct {
	Name                               string
	Messages, Bytes, FirstSeq, LastSeq uint64
	Wanted                             int // replicas that its configuration asks for
	Group                              GroupStats
}

// Stats returns a snapshot for metrics.
func (s *Server) Stats() (Stats, error) {
	v, err := s.ns.Varz(nil)
	if err != nil {
		return Stats{}, fmt.Errorf("stats of %s: %w", s.cfg.ServerName, err)
	}
	i, err := s.ns.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Config: true, RaftGroups: true})
	if err != nil {
		return Stats{}, fmt.Errorf("stats of %s: %w", s.cfg.ServerName, err)
	}
	out := Stats{
		Server: ServerStats{
			Version: v.Version, Started: v.Start, Connections: v.Connections, Subscriptions: int(v.Subscriptions),
			Routes: v.Routes, TotalConnections: v.TotalConnections, SlowConsumers: v.SlowConsumers,
			InMsgs: v.InMsgs, OutMsgs: v.OutMsgs, InBytes: v.InBytes, OutBytes: v.OutBytes, MemoryBytes: v.Mem,
		},
		JetStream: JetStreamStats{
			Enabled: !i.Disabled, StoreBytes: i.Store, ReservedBytes: i.ReservedStore,
			Streams: i.Streams, Consumers: i.Consumers, StreamsLed: i.StreamsLeader, ConsumersLed: i.ConsumersLeader,
			Messages: i.Messages, Bytes: i.Bytes, APIRequests: i.API.Total, APIErrors: i.API.Errors, API: i.API.Inflight,
		},
	}
	if i.Disabled {
		return out, nil
	}
	out.JetStream.StoreLimitBytes = uint64(max(i.Config.MaxStore, 0))
	raft := s.raftGroups()
	if m := i.Meta; m != nil {
		out.Meta = &GroupStats{
			Account: AccountSystem, Leader: m.Leader, Led: m.Leader == s.cfg.ServerName, Size: m.Size,
			Term: raft["_meta_"].Term, Replicas: replicas(m.Replicas),
		}
	}
	for _, a := range i.AccountDetails {
		for n := range a.Streams {
			out.Streams = append(out.Streams, s.stream(a.Name, &a.Streams[n], raft[a.Streams[n].RaftGroup].Term))
		}
	}
	slices.SortFunc(out.Streams, func(a, b StreamStats) int {
		return strings.Compare(a.Group.Account+"\x00"+a.Name, b.Group.Account+"\x00"+b.Name)
	})
	return out, nil
}

func (s *Server) stream(account string, d *server.StreamDetail, term uint64) StreamStats {
	st := StreamStats{
		Name: d.Name, Messages: d.State.Msgs, Bytes: d.State.Bytes, FirstSeq: d.State.FirstSeq, LastSeq: d.State.LastSeq,
		Group: GroupStats{Account: account, Size: 1, Term: term},
	}
	if d.Config != nil {
		st.Wanted = d.Config.Replicas
	}
	if c := d.Cluster; c != nil {
		st.Group.Leader, st.Group.Led = c.Leader, c.Leader == s.cfg.ServerName
		st.Group.Size, st.Group.Replicas = 1+len(c.Replicas), replicas(c.Replicas)
	}
	return st
}
