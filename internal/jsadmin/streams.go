// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// samples is how often the leader is asked again about a member that lags, and between what lies between two questions.
	samples = 5
	between = 10 * time.Millisecond
)

// Stream is one stream as its leader and its members tell it.
type Stream struct {
	Account string
	Name    string
	// Replicas is how many are asked for.
	Replicas int
	// Leader is empty when the stream has none.
	Leader string
	// Members are the servers that have a replica now and those it is being moved to, the leader included, sorted by name.
	Members []Replica
	// Settled is true when the server has no change of members under way.
	Settled bool
	// Messages, First and Last are of the leader.
	Messages, First, Last uint64
}

// Replica is one member of a stream.
type Replica struct {
	Name string
	// Said is the leader's word: online, a full member, no lag. It speaks of the Raft log, so it comes too early.
	Said bool
	// Healthy is the member's own word: it has the stream and is not copying. It may be wrong for an instant while the member
	// can't catch up at all.
	Healthy bool
	// Messages is how many messages the member itself says that it has: it grows while the member copies.
	Messages uint64
}

// Current is true when both witnesses say that the replica is complete.
func (r Replica) Current() bool { return r.Said && r.Healthy }

// Has returns the stream's replica on a server.
func (s Stream) Has(server string) (Replica, bool) {
	for _, r := range s.Members {
		if r.Name == server {
			return r, true
		}
	}
	return Replica{}, false
}

// InSync is true when the stream has a leader and exactly the replicas that are asked for, all of them current.
func (s Stream) InSync() bool {
	return s.Leader != "" && s.Settled && len(s.Members) == s.Replicas &&
		!slices.ContainsFunc(s.Members, func(r Replica) bool { return !r.Current() })
}

// streamInfo is what is read of an answer about a stream.
type streamInfo struct {
	Config json.RawMessage `json:"config"`
	State  struct {
		Messages uint64 `json:"messages"`
		First    uint64 `json:"first_seq"`
		Last     uint64 `json:"last_seq"`
	} `json:"state"`
	Cluster struct {
		Leader   string           `json:"leader"`
		Replicas []peer           `json:"replicas"`
		Desired  *json.RawMessage `json:"desired"`
	} `json:"cluster"`
}

// desired is the change of members that is under way.
type desired struct {
	Replicas []peer `json:"replicas"`
}

// Streams returns all streams of all accounts, sorted: those that the meta leader names, and those that a server holds although the
// leader does not know them, as after a meta group has forgotten them. It fails with ErrForeignAccount when a server holds a stream of an account
// that Options.Accounts does not name, and when there is no meta leader to ask for the names. A stream that has no leader is
// returned with the members that the servers know of, none of them current; one that no answering server holds, with all members of
// the meta group that are silent, since any of them may have it.
func (a *Admin) Streams(ctx context.Context) ([]Stream, error) {
	seen, err := a.survey(ctx)
	if err != nil {
		return nil, err
	}
	var out []Stream
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, account := range a.opts.Accounts {
		names, err := a.streamNames(ctx, account)
		if err != nil {
			return nil, err
		}
		for _, name := range seen.with(account, names) {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				s := a.look(ctx, account, name, seen)
				mu.Lock()
				out = append(out, s)
				mu.Unlock()
			})
		}
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look at the streams: %w", err)
	}
	slices.SortFunc(out, func(x, y Stream) int {
		return cmp.Or(cmp.Compare(x.Account, y.Account), cmp.Compare(x.Name, y.Name))
	})
	return out, nil
}

// Stream returns one stream. It fails when the stream does not exist.
func (a *Admin) Stream(ctx context.Context, account, name string) (Stream, error) {
	seen, err := a.survey(ctx)
	if err != nil {
		return Stream{}, err
	}
	names, err := a.streamNames(ctx, account)
	if err != nil {
		return Stream{}, err
	}
	if !slices.Contains(names, name) {
		return Stream{}, fmt.Errorf("stream %s of account %s: %w", name, account, &APIError{Status: 404, Code: codeStreamNotFound, Description: "stream not found"})
	}
	return a.look(ctx, account, name, seen), nil
}

// streamNames asks the meta leader, who also knows streams that have no leader.
func (a *Admin) streamNames(ctx context.Context, account string) ([]string, error) {
	var names []string
	for {
		var r struct {
			Total   int      `json:"total"`
			Streams []string `json:"streams"`
		}
		body := map[string]int{"offset": len(names)}
		if err := a.ask(ctx, account, "$JS.API.STREAM.NAMES", body, &r); err != nil {
			return nil, fmt.Errorf("list the streams of account %s: %w", account, err)
		}
		names = append(names, r.Streams...)
		if len(r.Streams) == 0 || len(names) >= r.Total {
			return names, nil
		}
	}
}

// look asks both witnesses about one stream.
func (a *Admin) look(ctx context.Context, account, name string, seen survey) Stream {
	s := Stream{Account: account, Name: name}
	i, err := a.info(ctx, account, name)
	if err != nil {
		known := seen.streams[streamKey{account, name}]
		s.Replicas = known.replicas
		for n := range known.members {
			s.Members = append(s.Members, Replica{Name: n})
		}
		if len(s.Members) == 0 { // none of those that answer has it
			for _, n := range seen.silent {
				s.Members = append(s.Members, Replica{Name: n})
			}
		}
		sortReplicas(s.Members)
		return s
	}
	var cfg struct {
		Replicas int `json:"num_replicas"`
	}
	_ = json.Unmarshal(i.Config, &cfg) // it came as JSON, and a missing field leaves 0, which is never in sync
	s.Replicas, s.Leader, s.Settled = cfg.Replicas, i.Cluster.Leader, i.Cluster.Desired == nil
	s.Messages, s.First, s.Last = i.State.Messages, i.State.First, i.State.Last
	s.Members = a.replicas(i)
	a.lookAgain(ctx, &s)
	healthy := a.healthy(ctx, account, name, s.Members, seen.alive)
	for k, m := range s.Members {
		s.Members[k].Healthy = healthy[m.Name]
		s.Members[k].Messages = seen.streams[streamKey{account, name}].members[m.Name]
	}
	return s
}

// lookAgain takes a few more samples of the leader's word about members that lag: writers that go on leave every member a few
// entries behind at most moments, and one that had everything at one of them keeps up.
func (a *Admin) lookAgain(ctx context.Context, s *Stream) {
	for range samples {
		behind := func(r Replica) bool { return !r.Said }
		if s.Leader == "" || !s.Settled || !slices.ContainsFunc(s.Members, behind) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(between):
		}
		i, err := a.info(ctx, s.Account, s.Name)
		if err != nil || i.Cluster.Leader != s.Leader || i.Cluster.Desired != nil {
			return
		}
		for _, r := range a.replicas(i) {
			if k := slices.IndexFunc(s.Members, func(m Replica) bool { return m.Name == r.Name }); k >= 0 && r.Said {
				s.Members[k].Said = true
			}
		}
	}
}

// info asks the stream's leader, or any member when the group has noticed that it has none. A stream without a leader stays silent
// until then, so this gives up early.
func (a *Admin) info(ctx context.Context, account, name string) (streamInfo, error) {
	var i streamInfo
	var err error
	for _, limit := range []time.Duration{firstAttempt, 2 * firstAttempt, 2 * firstAttempt} {
		if err = a.askOnce(ctx, limit, account, "$JS.API.STREAM.INFO."+name, nil, &i); err == nil || !again(err) {
			break
		}
	}
	if err != nil {
		return i, fmt.Errorf("ask for stream %s of account %s: %w", name, account, err)
	}
	return i, nil
}

// replicas lists the members that an answer tells of, with the leader's word.
func (a *Admin) replicas(i streamInfo) []Replica {
	var out []Replica
	has := func(n string) bool { return slices.ContainsFunc(out, func(r Replica) bool { return r.Name == n }) }
	if i.Cluster.Leader != "" {
		out = append(out, Replica{Name: i.Cluster.Leader, Said: true})
	}
	for _, p := range i.Cluster.Replicas {
		if n := a.nameOf(p); !has(n) {
			said := i.Cluster.Leader != "" && p.Current && !p.Offline && !p.Pending && p.Lag == 0
			out = append(out, Replica{Name: n, Said: said})
		}
	}
	if i.Cluster.Desired != nil {
		var d desired
		_ = json.Unmarshal(*i.Cluster.Desired, &d) // what can't be read is not settled all the same
		for _, p := range d.Replicas {
			if n := a.nameOf(p); !has(n) {
				out = append(out, Replica{Name: n})
			}
		}
	}
	sortReplicas(out)
	return out
}

func sortReplicas(r []Replica) {
	slices.SortFunc(r, func(x, y Replica) int { return cmp.Compare(x.Name, y.Name) })
}
