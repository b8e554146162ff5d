// SPDX-License-Identifier: Apache-2.0

package load

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// Meta is the meta group as its leader tells it.
type Meta struct {
	Leader   string `json:"leader"`
	Size     int    `json:"cluster_size"`
	Replicas []Peer `json:"replicas"`
}

// MetaOf asks over the system account; nobody answers without a leader.
func MetaOf(sys *nats.Conn) (Meta, error) {
	var r struct {
		Data struct {
			Meta Meta `json:"meta_cluster"`
		} `json:"data"`
	}
	m, err := sys.Request("$SYS.REQ.SERVER.PING.JSZ", []byte(`{"leader_only":true}`), callTimeout)
	if err != nil {
		return r.Data.Meta, fmt.Errorf("ask for the meta group: %w", err)
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return r.Data.Meta, fmt.Errorf("decode the meta group: %w", err)
	}
	return r.Data.Meta, nil
}

// Names are the members, the leader first.
func (m Meta) Names() []string {
	names := []string{m.Leader}
	for _, p := range m.Replicas {
		names = append(names, p.Name)
	}
	return names
}

// Unsettled says why the cluster is not yet of that many members, all current and every stream in sync on all of them, by two
// witnesses; empty when it is. The leader alone calls a new replica current that has just begun to copy, a member alone may
// call itself healthy for an instant while it can't catch up.
func Unsettled(sys, app *nats.Conn, account string, streams []Stream, size int) string {
	names, why := unsettledMeta(sys, size)
	if why != "" {
		return why
	}
	for _, s := range streams {
		i, err := s.Info(app)
		if err != nil {
			return err.Error()
		}
		if !i.Current(size) {
			return fmt.Sprintf("%s wants %d replicas, has leader %q and peers %+v, replicas configured %d",
				s.Name, size, i.Cluster.Leader, i.Cluster.Replicas, i.Config.Replicas)
		}
		if got := slices.Sorted(slices.Values(i.Members())); !slices.Equal(got, names) {
			return fmt.Sprintf("%s is on %v, members are %v", s.Name, got, names)
		}
		if who := unhealthy(sys, account, s.Name, names); who != "" {
			return fmt.Sprintf("%s: %s", s.Name, who)
		}
	}
	return ""
}

// unsettledMeta returns the members, sorted, or says why the meta group is not of that many, all current.
func unsettledMeta(sys *nats.Conn, size int) (names []string, why string) {
	m, err := MetaOf(sys)
	switch {
	case err != nil:
		return nil, err.Error()
	case m.Leader == "" || m.Size != size || len(m.Replicas) != size-1:
		return nil, fmt.Sprintf("meta group is %+v, %d members are wanted", m, size)
	}
	for _, p := range m.Replicas {
		if !p.Current || p.Offline {
			return nil, fmt.Sprintf("meta peer %s is not current: %+v", p.Name, m)
		}
	}
	return slices.Sorted(slices.Values(m.Names())), ""
}

// unhealthy asks every member for its own word on a stream, and says what is wrong with the first that is unwell.
//
// Asked about one stream a server calls consumers missing that are on other members alone, asked about the account it does not:
// so both are asked, and of the first answer only what it says of the stream counts.
func unhealthy(sys *nats.Conn, account, stream string, names []string) string {
	if who := ill(sys, map[string]any{"account": account, "stream": stream, "details": true}, stream, names, false); who != "" {
		return who
	}
	return ill(sys, map[string]any{"account": account, "details": true}, stream, names, true)
}

func ill(sys *nats.Conn, body map[string]any, stream string, names []string, consumers bool) string {
	inbox := nats.NewInbox()
	sub, err := sys.SubscribeSync(inbox)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = sub.Unsubscribe() }()
	request, err := json.Marshal(body)
	if err != nil {
		return err.Error()
	}
	if err := sys.PublishRequest("$SYS.REQ.SERVER.PING.HEALTHZ", inbox, request); err != nil {
		return err.Error()
	}
	missing := map[string]bool{}
	for _, n := range names {
		missing[n] = true
	}
	for len(missing) > 0 {
		m, err := sub.NextMsg(time.Second)
		if err != nil {
			return fmt.Sprintf("no word of their health from %v: %v", missing, err)
		}
		var r struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data health `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &r); err != nil || !missing[r.Server.Name] {
			continue
		}
		if why := r.Data.trouble(stream, consumers); why != "" {
			return fmt.Sprintf("%s says %s", r.Server.Name, why)
		}
		delete(missing, r.Server.Name)
	}
	return ""
}

// health is what a server says of itself when it is asked for details.
type health struct {
	StatusCode int    `json:"status_code"`
	Error      string `json:"error"`
	Errors     []struct {
		Type   string `json:"type"`
		Stream string `json:"stream"`
		Error  string `json:"error"`
	} `json:"errors"`
}

func (h health) trouble(stream string, consumers bool) string {
	for _, e := range h.Errors {
		other := e.Stream != "" && e.Stream != stream
		if !other && (consumers || e.Type != "CONSUMER") {
			return e.Error
		}
	}
	if h.StatusCode != 200 && len(h.Errors) == 0 {
		return fmt.Sprintf("%d %s", h.StatusCode, h.Error)
	}
	return ""
}
