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
func (a *Admin) healthy(ctx context.Context, account, stream string, members []Replica, alive map[string]bool) map[string]bool {
	missing := map[string]bool{}
	for _, m := range members {
		if alive[m.Name] {
			missing[m.Name] = true
		}
	}
	ok := map[string]bool{}
	if len(missing) == 0 {
		return ok
	}
	body := map[string]string{"account": account, "stream": stream}
	// A question that can't be put leaves all of them unhealthy, which is the safe reading.
	_ = a.gather(ctx, "$SYS.REQ.SERVER.PING.HEALTHZ", body, lastAttempt, func(r answer) verdict {
		var d struct {
			StatusCode int `json:"status_code"`
		}
		if missing[r.Server.Name] {
			delete(missing, r.Server.Name)
			ok[r.Server.Name] = json.Unmarshal(r.Data, &d) == nil && d.StatusCode == 200
		}
		if len(missing) == 0 {
			return complete
		}
		return waiting
	})
	return ok
}
