// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Meta is this server's own view of the meta group, which needs neither a leader nor a connection; ok
// is false if it has none. Members are server names, sorted; one that this server has not met since
// its start is told by its id, for which PeerID serves. A server that was removed is not among them.
func (s *Server) Meta() (leader string, size int, members []string, ok bool) {
	i, err := s.ns.Jsz(nil)
	if err != nil || i.Meta == nil {
		return "", 0, nil, false
	}
	for _, r := range i.Meta.Replicas {
		members = append(members, nameOf(r))
	}
	if i.Meta.Leader != "" {
		members = append(members, i.Meta.Leader)
	}
	if !s.Removed() {
		members = append(members, s.cfg.ServerName)
	}
	slices.Sort(members)
	return i.Meta.Leader, i.Meta.Size, slices.Compact(members), true
}

// PeerID returns the id that a server of this name has in Raft groups.
func PeerID(name string) string {
	const alphabet, length = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 8
	sum := sha256.Sum256([]byte(name))
	for i := range length {
		sum[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(sum[:length])
}

// Alone says whether the meta group that a store was last part of had no other member than the named server, without opening the
// store. It reads the file that nats-server keeps its peers in (peerState of raft.go: the group's size and the number of its
// members, each in 32 bits, little-endian; then their ids). Of a file that can't be read or is another, it says no. So it does of a
// joiner that no leader has spoken to yet: it knows itself only, but of a group of more.
func Alone(peers, name string) bool {
	b, err := os.ReadFile(peers)
	if err != nil || len(b) < 8 {
		return false
	}
	size, known := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	return size == 1 && known == 1 && bytes.HasPrefix(b[8:], []byte(PeerID(name)))
}

// Removed says whether the server was removed from the meta group since it was started. It then runs
// without JetStream until it is stopped; its name must not be used again.
func (s *Server) Removed() bool {
	if s.removed.Load() {
		return true
	}
	if !s.cfg.JetStream || s.cfg.Cluster == nil || s.stopping.Load() || s.ns.JetStreamEnabled() {
		return false
	}
	_, err := os.Stat(metaFolder(s.cfg.StoreDir)) // a server that was removed deletes it, one that can't write keeps it
	return os.IsNotExist(err)
}

// MetaHealthy says whether this server's meta group is usable: the thing to wait for before a bucket is opened.
func (s *Server) MetaHealthy() (ok bool, reason string) {
	return s.health(&server.HealthzOptions{JSMetaOnly: true})
}

func (s *Server) health(o *server.HealthzOptions) (bool, string) {
	h := s.ns.Healthz(o)
	return h.StatusCode == 200, h.Error
}

// ErrNoMetaLeader means that no server said it leads the meta group.
var ErrNoMetaLeader = errors.New("no server answers as the leader of the meta group")

// MetaGroup is the meta group as its leader sees it.
type MetaGroup struct {
	Leader   ServerInfo
	Size     int
	Replicas []Replica
}

// Replica is a member of a Raft group other than the leader, as the leader sees it.
type Replica struct {
	Name    string // or the id, if nobody has met it yet
	Peer    string // its id in Raft groups, PeerID(Name)
	Current bool
	Offline bool
	Active  time.Duration // since it was last heard of
	Lag     uint64
}

// unknown begins what nats-server says in place of the name of a server that it has not met yet.
const unknown = "Server name unknown"

// nameOf is the server's name, or its id if this server has not met it yet.
func nameOf(p *server.PeerInfo) string {
	if p.Name == "" || strings.HasPrefix(p.Name, unknown) {
		return p.Peer
	}
	return p.Name
}

func replicas(in []*server.PeerInfo) []Replica {
	var out []Replica
	for _, r := range in {
		out = append(out, Replica{Name: nameOf(r), Peer: r.Peer, Current: r.Current, Offline: r.Offline, Active: r.Active, Lag: r.Lag})
	}
	return out
}

// MetaLeader asks all servers whether they lead the meta group. If none says so, all having answered or
// a second having passed, it returns ErrNoMetaLeader. A leader that a partition has cut off may say so
// for up to 20 s.
func (s *Server) MetaLeader(ctx context.Context) (MetaGroup, error) {
	var g *MetaGroup
	err := s.ask(ctx, "JSZ", map[string]any{}, func(a answer) bool { // leader_only would leave none unanswered for ever
		var i server.JSInfo
		if a.Error == nil && json.Unmarshal(a.Data, &i) == nil && i.Meta != nil && i.Meta.Leader == a.Server.Name {
			g = &MetaGroup{Leader: a.Server, Size: i.Meta.Size, Replicas: replicas(i.Meta.Replicas)}
		}
		return g != nil
	})
	switch {
	case g != nil:
		return *g, nil
	case err != nil:
		return MetaGroup{}, err
	}
	return MetaGroup{}, ErrNoMetaLeader
}

// moveLeader asks the leader of a group to hand over to the named server.
func (s *Server) moveLeader(ctx context.Context, account, subject, to string) error {
	return s.api(ctx, account, subject, map[string]any{"placement": map[string]string{"preferred": to}})
}

// removeServer takes a server out of the meta group.
func (s *Server) removeServer(ctx context.Context, name string) error {
	return s.api(ctx, AccountSystem, "$JS.API.SERVER.REMOVE", map[string]string{"peer": name})
}

// apiWait is short, since a request that meets no leader is dropped: callers try again.
const apiWait = 500 * time.Millisecond

// api sends a request of the JetStream API. Nobody answers while the group has no leader.
func (s *Server) api(ctx context.Context, account, subject string, body any) error {
	nc, err := s.own(account)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, payload)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	var r server.ApiResponse
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if r.Error != nil {
		return fmt.Errorf("%s: %w", subject, r.Error)
	}
	return nil
}
