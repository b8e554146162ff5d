// SPDX-License-Identifier: Apache-2.0

package load

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// trueLooks is how often in a row everything has to be in sync: a member alone may call itself healthy for an instant while it can't
// catch up.
const trueLooks = 3

// Truth looks whether streams are in true sync: in three looks in a row every member of each called itself well and had, on its own
// disk, all that the leader had at the look before. What the leader thinks of them does not count: while writers are at work it calls
// one current that lacks much, and another not current that is a message behind for an instant.
type Truth struct {
	// Wrong is what was found not in sync last, for who wants to know what it was that took long.
	Wrong string

	want map[string]uint64 // last sequence of each stream's leader at the look before
	held int
}

// Look looks once, and says what is not in sync yet; empty when all has been for three looks. With a size the cluster must be of that
// many members and each stream on all of them; with 0, while the cluster changes, each stream must be on as many as it is configured for.
func (t *Truth) Look(sys, app *nats.Conn, account string, streams []Stream, size int) string {
	why, want := t.look(sys, app, account, streams, size)
	return t.judge(why, want)
}

// judge counts a look.
func (t *Truth) judge(why string, want map[string]uint64) string {
	first := t.want == nil
	t.want = want
	switch {
	case why != "":
		t.held, t.Wrong = 0, why
		return why
	case first:
		return "this is the first look"
	}
	if t.held++; t.held < trueLooks {
		return fmt.Sprintf("in sync in %d looks of %d", t.held, trueLooks)
	}
	return ""
}

// look returns what is wrong, and what the leaders have, which is what the members have to have at the next look; nil when that is not
// known of all.
func (t *Truth) look(sys, app *nats.Conn, account string, streams []Stream, size int) (string, map[string]uint64) {
	want, members, all := map[string]uint64{}, map[string][]string{}, map[string]bool{}
	for _, s := range streams {
		i, err := s.Info(app)
		if err != nil {
			return err.Error(), nil
		}
		if i.Cluster.Leader == "" || len(i.online()) != i.Config.Replicas || len(i.offline()) > 0 {
			return fmt.Sprintf("%s is configured for %d replicas, has leader %q and peers %+v", s.Name, i.Config.Replicas, i.Cluster.Leader, i.Cluster.Replicas), nil
		}
		want[s.Name], members[s.Name] = i.State.Last, slices.Sorted(slices.Values(i.Members()))
		for _, m := range members[s.Name] {
			all[m] = true
		}
	}
	if size > 0 {
		names, why := unsettledMeta(sys, size)
		if why != "" {
			return why, want
		}
		for _, s := range streams {
			if !slices.Equal(members[s.Name], names) {
				return fmt.Sprintf("%s is on %v, members are %v", s.Name, members[s.Name], names), want
			}
		}
	}
	for _, s := range streams {
		if who := unhealthy(sys, account, s.Name, members[s.Name]); who != "" {
			return fmt.Sprintf("%s: %s", s.Name, who), want
		}
	}
	held, err := holdings(sys, account, all)
	if err != nil {
		return err.Error(), want
	}
	return lacking(members, t.want, held), want
}

// lacking says who has less of a stream than is wanted.
func lacking(members map[string][]string, want map[string]uint64, held map[string]map[string]uint64) string {
	for _, s := range slices.Sorted(maps.Keys(members)) {
		for _, m := range members[s] {
			if got := held[m][s]; got < want[s] {
				return fmt.Sprintf("%s has %s up to %d only, its leader had %d at the look before", m, s, got, want[s])
			}
		}
	}
	return ""
}

// holdings asks all servers named for the last sequence that each of their streams has, by server and stream.
func holdings(sys *nats.Conn, account string, names map[string]bool) (map[string]map[string]uint64, error) {
	inbox := nats.NewInbox()
	sub, err := sys.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("subscribe for what servers have: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	request, err := json.Marshal(map[string]any{"account": account, "streams": true})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if err := sys.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox, request); err != nil {
		return nil, fmt.Errorf("ask servers what they have: %w", err)
	}
	found := map[string]map[string]uint64{}
	for len(found) < len(names) {
		m, err := sub.NextMsg(time.Second)
		if err != nil {
			return nil, fmt.Errorf("of %v only %v say what they have: %w", slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(found)), err)
		}
		var r struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data struct {
				Accounts []struct {
					Streams []struct {
						Name  string `json:"name"`
						State struct {
							Last uint64 `json:"last_seq"`
						} `json:"state"`
					} `json:"stream_detail"`
				} `json:"account_details"`
			} `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &r); err != nil || !names[r.Server.Name] {
			continue
		}
		has := map[string]uint64{}
		for _, a := range r.Data.Accounts {
			for _, s := range a.Streams {
				has[s.Name] = s.State.Last
			}
		}
		found[r.Server.Name] = has
	}
	return found, nil
}
