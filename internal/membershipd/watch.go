// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/embeddednats"
)

// answerLimit is how long the other servers have to answer; who does not is not in the picture.
const answerLimit = 700 * time.Millisecond

// raftAccounts are those that Raft groups belong to: the meta group to the system's, others to that of their stream.
var raftAccounts = []string{embeddednats.AccountSystem, embeddednats.AccountMembership, embeddednats.AccountHistory}

// watcher looks at one server and at what others say about the groups that it is in.
type watcher struct {
	server *embeddednats.Server
	system *nats.Conn
	now    func() time.Time
}

// newWatcher connects to the server's system account. Close it.
func newWatcher(s *embeddednats.Server, now func() time.Time) (*watcher, error) {
	nc, err := s.InProcess(embeddednats.AccountSystem)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded server's system account: %w", err)
	}
	return &watcher{server: s, system: nc, now: now}, nil
}

func (w *watcher) close() { w.system.Close() }

// look asks everybody. It takes at most answerLimit and the time of the local calls.
func (w *watcher) look(ctx context.Context) (picture, error) {
	ns := w.server.Unwrap()
	p := picture{Self: w.server.Name(), Others: map[string]map[string]groupWord{}, Own: map[string]groupWord{},
		Streams: map[string]string{}, OwnLast: map[string]uint64{}, LeaderLast: map[string]uint64{}, Strange: map[string]string{}}
	p.Cluster, _ = w.server.Tag(embeddednats.TagCluster)
	routes, err := ns.Routez(nil)
	if err != nil {
		return p, fmt.Errorf("list the routes: %w", err)
	}
	for _, r := range routes.Routes {
		if !slices.Contains(p.Routes, r.RemoteName) {
			p.Routes = append(p.Routes, r.RemoteName)
		}
	}
	slices.Sort(p.Routes)
	if len(p.Routes) > 0 {
		if err := w.askOthers(ctx, &p); err != nil {
			return p, err
		}
	}
	if err := w.lookAtSelf(ns, &p); err != nil {
		return p, err
	}
	h := ns.Healthz(nil)
	p.Healthy, p.Unhealthy = h.StatusCode == 200, h.Error
	p.Removed = w.server.Removed()
	p.At = w.now()
	return p, nil
}

// lookAtSelf fills what the node itself knows, without any message.
func (w *watcher) lookAtSelf(ns *server.Server, p *picture) error {
	var members []string
	p.MetaLeader, _, members, _ = w.server.Meta()
	p.Members = members
	info, err := ns.Jsz(&server.JSzOptions{Accounts: true, Streams: true, RaftGroups: true})
	if err != nil {
		return fmt.Errorf("list the own streams: %w", err)
	}
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			name := a.Name + " > " + s.Name
			if s.Cluster != nil && len(s.Cluster.Replicas) == 0 && s.Cluster.Leader == p.Self {
				p.Solo = append(p.Solo, name)
			}
			if s.RaftGroup != "" {
				p.Streams[s.RaftGroup], p.OwnLast[s.RaftGroup] = name, s.State.LastSeq
			}
		}
	}
	for _, account := range raftAccounts {
		groups := ns.Raftz(&server.RaftzOptions{AccountFilter: account})
		if groups == nil {
			continue
		}
		for g, r := range (*groups)[account] {
			word := groupWord{ID: r.ID, Leader: r.Leader, Leads: r.State == server.Leader.String(), Term: r.Term, Applied: r.Applied,
				CatchingUp: r.CatchingUp, Size: r.Size, Quorum: r.QuorumNeeded}
			for _, peer := range r.Peers {
				word.Peers = append(word.Peers, peer.Name)
			}
			slices.Sort(word.Peers)
			p.Own[g] = word
		}
	}
	return nil
}

// raftAnswer is what a server answers to RAFTZ, as far as it is read. The server's own type can't be decoded: it holds an error.
type raftAnswer struct {
	Server embeddednats.ServerInfo `json:"server"`
	Data   map[string]map[string]struct {
		ID         string `json:"id"`
		Leader     string `json:"leader"`
		State      string `json:"state"`
		Size       int    `json:"size"`
		Quorum     int    `json:"quorum_needed"`
		Term       uint64 `json:"term"`
		Applied    uint64 `json:"applied"`
		CatchingUp bool   `json:"catching_up"`
	} `json:"data"`
}

// streamAnswer is what a server answers to JSZ about the streams that it leads.
type streamAnswer struct {
	Server struct {
		Name string `json:"name"`
	} `json:"server"`
	Data server.JSInfo `json:"data"`
}

// askOthers asks all servers for their Raft groups and for the streams that they lead, both at once.
func (w *watcher) askOthers(ctx context.Context, p *picture) error {
	inbox := w.system.NewInbox()
	sub, err := w.system.SubscribeSync(inbox + ".*")
	if err != nil {
		return fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails only when the connection is closed
	for _, account := range raftAccounts {
		body := fmt.Appendf(nil, `{"account":%q}`, account)
		if err := w.system.PublishRequest("$SYS.REQ.SERVER.PING.RAFTZ", inbox+".raft", body); err != nil {
			return fmt.Errorf("ask for Raft groups: %w", err)
		}
	}
	body := []byte(`{"accounts":true,"streams":true,"raft":true,"stream_leader_only":true}`)
	if err := w.system.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox+".streams", body); err != nil {
		return fmt.Errorf("ask for streams: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for missing := (len(raftAccounts) + 1) * (len(p.Routes) + 1); missing > 0; missing-- {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil // those who did not answer are missing in the picture
		}
		if m.Subject == inbox+".raft" {
			p.addGroups(m.Data)
		} else {
			p.addStreams(m.Data)
		}
	}
	return nil
}

func (p *picture) addGroups(data []byte) {
	var a raftAnswer
	if json.Unmarshal(data, &a) != nil || a.Server.Name == p.Self {
		return
	}
	words := p.Others[a.Server.Name]
	if words == nil {
		words = map[string]groupWord{}
		p.Others[a.Server.Name] = words
	}
	own := embeddednats.RaftTimersInForce().String()
	if t, ok := a.Server.Tag(embeddednats.TagTimers); ok && t != own && len(a.Data) > 0 {
		p.Strange[a.Server.Name] = fmt.Sprintf("%s goes by raft timers %s, this node by %s: elections without a cause will come; "+
			"start all nodes with the same --raft-timers", a.Server.Name, t, own)
	}
	if id, ok := a.Server.Tag(embeddednats.TagCluster); ok && p.Cluster != "" && id != p.Cluster {
		p.Strange[a.Server.Name] = fmt.Sprintf("%s, which routes lead to, is of the cluster with id %s, this node of %s: two clusters were founded; "+
			"keep one, and stop the other or take the routes between them away", a.Server.Name, id, p.Cluster)
	}
	for _, byName := range a.Data {
		for g, r := range byName {
			words[g] = groupWord{ID: r.ID, Leader: r.Leader, Leads: r.State == server.Leader.String(), Term: r.Term, Applied: r.Applied,
				CatchingUp: r.CatchingUp, Size: r.Size, Quorum: r.Quorum}
		}
	}
}

func (p *picture) addStreams(data []byte) {
	var a streamAnswer
	if json.Unmarshal(data, &a) != nil || a.Server.Name == p.Self {
		return
	}
	for _, account := range a.Data.AccountDetails {
		for _, s := range account.Streams {
			if s.RaftGroup == "" {
				continue
			}
			p.LeaderLast[s.RaftGroup] = max(p.LeaderLast[s.RaftGroup], s.State.LastSeq)
			p.Streams[s.RaftGroup] = account.Name + " > " + s.Name
		}
	}
}
