// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

type streamKey struct{ account, name string }

// survey is what all servers say of themselves over the system account.
type survey struct {
	// alive are the servers that answered with JetStream on.
	alive map[string]bool
	// silent are the members of the meta group that did not.
	silent []string
	// streams are all streams that any of them holds.
	streams map[streamKey]surveyed
}

// surveyed is a stream as its members know it; it may be out of date.
type surveyed struct {
	replicas int
	// members have the number of messages that each says it has, 0 for one that others tell of.
	members map[string]uint64
}

// survey asks all servers what they hold, in every account: a stream nobody was told of is found as well.
func (a *Admin) survey(ctx context.Context) (survey, error) {
	s := survey{alive: map[string]bool{}, streams: map[streamKey]surveyed{}}
	var foreign string
	body := map[string]bool{"accounts": true, "streams": true, "config": true}
	members := map[string]bool{}
	err := a.gather(ctx, "$SYS.REQ.SERVER.PING.JSZ", body, lastAttempt, func(r answer) verdict {
		var d heldStreams
		if json.Unmarshal(r.Data, &d) != nil || d.Meta == nil {
			return waiting
		}
		s.alive[r.Server.Name] = true
		a.Know(nil, []string{r.Server.Name})
		members[r.Server.Name] = true
		for _, p := range d.Meta.Replicas {
			members[a.nameOf(p)] = true
		}
		for _, acc := range d.Accounts {
			if len(acc.Streams) > 0 && !slices.Contains(a.opts.Accounts, acc.Name) {
				foreign = acc.Name
			}
			for _, st := range acc.Streams {
				s.add(streamKey{acc.Name, st.Name}, r.Server.Name, st, a)
			}
		}
		if len(s.alive) < len(members) {
			return enough
		}
		return complete
	})
	if err != nil {
		return s, fmt.Errorf("ask all servers for their streams: %w", err)
	}
	for n := range members {
		if !s.alive[n] {
			s.silent = append(s.silent, n)
		}
	}
	if foreign != "" {
		return s, fmt.Errorf("%w: %s; name it among the accounts, or delete its streams", ErrForeignAccount, foreign)
	}
	return s, nil
}

// with returns the names of an account's streams together with those that any server holds.
func (s survey) with(account string, names []string) []string {
	all := slices.Clone(names)
	for key := range s.streams {
		if key.account == account && !slices.Contains(names, key.name) {
			all = append(all, key.name)
		}
	}
	return all
}

// heldStreams is what is read of one server's answer.
type heldStreams struct {
	Meta     *claim `json:"meta_cluster"`
	Accounts []struct {
		Name    string       `json:"name"`
		Streams []heldStream `json:"stream_detail"`
	} `json:"account_details"`
}

type heldStream struct {
	Name   string `json:"name"`
	Config struct {
		Replicas int `json:"num_replicas"`
	} `json:"config"`
	State struct {
		Messages uint64 `json:"messages"`
	} `json:"state"`
	Cluster struct {
		Replicas []peer `json:"replicas"`
	} `json:"cluster"`
}

func (s survey) add(key streamKey, server string, st heldStream, a *Admin) {
	k := s.streams[key]
	if k.members == nil {
		k.members = map[string]uint64{}
	}
	k.replicas = max(k.replicas, st.Config.Replicas)
	k.members[server] = st.State.Messages
	for _, p := range st.Cluster.Replicas {
		k.members[a.nameOf(p)] += 0
	}
	s.streams[key] = k
}

// healthy returns which of the members say themselves that they have the stream and are not copying it. Only those that are alive
// are waited for.
//
// Asked about one stream, a server also calls those of its consumers missing that are on other members alone, as every watcher's
// is. Asked about the whole account it leaves them out, but then says nothing about a stream that it was not told of yet. So who
// is troubled by nothing but consumers is asked both.
func (a *Admin) healthy(ctx context.Context, account, stream string, members []Replica, alive map[string]bool) map[string]bool {
	var ask []string
	for _, m := range members {
		if alive[m.Name] {
			ask = append(ask, m.Name)
		}
	}
	body := map[string]any{"account": account, "stream": stream, "details": true}
	ok, doubted := map[string]bool{}, []string(nil)
	for name, h := range a.health(ctx, body, ask) {
		switch {
		case h.StatusCode == 200:
			ok[name] = true
		case h.onlyConsumers():
			doubted = append(doubted, name)
		}
	}
	delete(body, "stream")
	for name, h := range a.health(ctx, body, doubted) {
		ok[name] = !h.troubles(stream)
	}
	return ok
}

// memberHealth is what a server says of its health.
type memberHealth struct {
	StatusCode int `json:"status_code"`
	Errors     []struct {
		Type   string `json:"type"`
		Stream string `json:"stream"`
	} `json:"errors"`
}

// onlyConsumers says whether nothing but consumers is unwell.
func (h memberHealth) onlyConsumers() bool {
	for _, e := range h.Errors {
		if e.Type != "CONSUMER" {
			return false
		}
	}
	return len(h.Errors) > 0
}

// troubles says whether anything is unwell that the stream needs.
func (h memberHealth) troubles(stream string) bool {
	for _, e := range h.Errors {
		if e.Stream == stream || e.Type != "STREAM" && e.Type != "CONSUMER" {
			return true
		}
	}
	return h.StatusCode != 200 && len(h.Errors) == 0
}

// health asks the named servers for their health, and returns what those say that answer in time.
func (a *Admin) health(ctx context.Context, body any, names []string) map[string]memberHealth {
	said := map[string]memberHealth{}
	if len(names) == 0 {
		return said
	}
	// A question that can't be put leaves all of them unhealthy, which is the safe reading.
	_ = a.gather(ctx, "$SYS.REQ.SERVER.PING.HEALTHZ", body, lastAttempt, func(r answer) verdict {
		var h memberHealth
		if slices.Contains(names, r.Server.Name) && json.Unmarshal(r.Data, &h) == nil {
			said[r.Server.Name] = h
		}
		if len(said) == len(names) {
			return complete
		}
		return waiting
	})
	return said
}
