// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// unsafe says what speaks against taking a server away, given what was seen before; empty if nothing does.
func (o sample) unsafe(before sample) string {
	meta, reason := o.metaLeader()
	if reason != "" {
		return reason
	}
	if n := 1 + len(meta.Replicas); n != meta.Size {
		return fmt.Sprintf("the meta group has %d members, and %d are known", meta.Size, n)
	}
	for _, r := range meta.Replicas {
		if r.Offline || !r.Current {
			return fmt.Sprintf("server %s is not current in the meta group", nameOf(r))
		}
		if o.stores[r.Name] == nil {
			return fmt.Sprintf("server %s does not tell what it holds", nameOf(r))
		}
	}
	for name := range o.stores {
		if reason := o.ill(name); reason != "" {
			return reason
		}
	}
	earlier := before.streams()
	for k, views := range o.streams() {
		if reason := replicated(k, views, earlier[k]); reason != "" {
			return reason
		}
	}
	return ""
}

func (o sample) ill(name string) string {
	switch reason, ok := o.unwell[name]; {
	case !ok:
		return fmt.Sprintf("server %s does not tell its health", name)
	case reason != "":
		return fmt.Sprintf("server %s: %s", name, reason)
	}
	return ""
}

// metaLeader returns the view of the one server that says it leads the meta group.
func (o sample) metaLeader() (*server.MetaClusterInfo, string) {
	var found *server.MetaClusterInfo
	for _, name := range slices.Sorted(maps.Keys(o.stores)) {
		i := o.stores[name]
		if i.Meta == nil || i.Meta.Leader != name {
			continue
		}
		if found != nil {
			return nil, fmt.Sprintf("both %s and %s say they lead the meta group", found.Leader, name)
		}
		found = i.Meta
	}
	if found == nil {
		return nil, "the meta group has no leader"
	}
	return found, ""
}

// replicated says what a stream's replicas do not have.
func replicated(k streamKey, views, before map[string]*server.StreamDetail) string {
	leader, reason := leads(k, views)
	if reason != "" || leader == nil {
		return reason
	}
	if want := leader.Config.Replicas - 1; len(leader.Cluster.Replicas) != want {
		return fmt.Sprintf("stream %s wants %d replicas, and has %d", k, want+1, len(leader.Cluster.Replicas)+1)
	}
	for _, r := range leader.Cluster.Replicas {
		own := views[r.Name]
		switch {
		case r.Offline || !r.Current && r.Lag == 0:
			return fmt.Sprintf("stream %s is not current on %s", k, nameOf(r))
		case own == nil:
			return fmt.Sprintf("stream %s is not there yet on %s", k, nameOf(r))
		case r.Lag > 0 && before != nil:
			if was, reason := leads(k, before); reason == "" && was != nil && own.State.LastSeq < was.State.LastSeq {
				return fmt.Sprintf("stream %s on %s lags by %d", k, r.Name, r.Lag)
			}
		}
	}
	return ""
}

// leads returns the view of the stream's leader; nil without a reason if the stream has no replicas.
func leads(k streamKey, views map[string]*server.StreamDetail) (*server.StreamDetail, string) {
	var found *server.StreamDetail
	alone := true
	for _, name := range slices.Sorted(maps.Keys(views)) {
		v := views[name]
		if v.Config != nil && v.Config.Replicas > 1 {
			alone = false
		}
		if v.Cluster == nil || v.Config == nil || v.Cluster.Leader != name {
			continue
		}
		if found != nil {
			return nil, fmt.Sprintf("both %s and %s say they lead stream %s", found.Cluster.Leader, name, k)
		}
		found = v
	}
	if found == nil && !alone {
		return nil, fmt.Sprintf("stream %s has no leader", k)
	}
	if alone {
		return nil, ""
	}
	return found, ""
}
