// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// Scene is what steps are carried out on: the record, and what nodes answered, by place, nil where nothing did.
type Scene struct {
	Record *scaling.Record
	Nodes  []*v1.NodeStatus
}

// Order is the order that a step sends. routes are the URLs under which the members, and the node itself, reach each other; none means
// those of the node's configuration.
func (s Scene) Order(step scaling.Step, routes []string) v1.Order {
	order := v1.Order{
		Kind: v1.OrderKind(step.Order.Kind), ClusterID: s.Record.ClusterID, ServerName: step.Order.Name, DiskID: step.Order.DiskID,
		Nonce: step.Order.Nonce, Old: step.Order.Old, KeepMark: step.Order.KeepMark,
	}
	switch order.Kind {
	case v1.OrderFound:
		order.Routes = routes
	case v1.OrderJoin, v1.OrderWipeAndJoin:
		order.Routes, order.RaftTimers = routes, s.timers()
	}
	return order
}

// timers are the Raft timers of the cluster, as its members keep them; empty when none that has started before tells.
func (s Scene) timers() string {
	for i, n := range s.Nodes {
		if n != nil && n.RaftTimers != "" && s.MayBeMember(i) && n.ClusterID == s.Record.ClusterID {
			return n.RaftTimers
		}
	}
	return ""
}

// MayBeMember says whether a name that is a member, or may become one, is recorded at a place.
func (s Scene) MayBeMember(place int) bool {
	if s.Record == nil {
		return false
	}
	for _, n := range s.Record.Names {
		if n.Place == place && (n.Phase == scaling.Member || n.Phase == scaling.Leaving || n.Phase == scaling.Removing || n.Phase == scaling.Ordered) {
			return true
		}
	}
	return false
}

// retired says whether a node's disk is marked never to start with that name again.
func (s Scene) retired(name string) bool {
	return slices.ContainsFunc(s.Nodes, func(n *v1.NodeStatus) bool {
		return n != nil && n.ServerName == name && n.Phase == v1.NodeWaiting && n.Mark == v1.MarkRetired
	})
}

// Administer carries out a step within JetStream: RemovePeer, MoveReplica, SetReplicas or MoveLeader.
func (s Scene) Administer(ctx context.Context, admin *jsadmin.Admin, step scaling.Step) error {
	switch step.Action {
	case scaling.RemovePeer:
		if p := s.Record.Names[step.Name].Phase; p != scaling.Removing && p != scaling.Removed {
			return fmt.Errorf("%s is not removed: the record has it as %q", step.Name, p)
		}
		return admin.RemovePeer(ctx, step.Name, s.retired(step.Name))
	case scaling.MoveReplica:
		return admin.MoveReplica(ctx, step.Stream.Account, step.Stream.Name, step.Name)
	case scaling.SetReplicas:
		return admin.SetReplicas(ctx, step.Stream.Account, step.Stream.Name, step.Replicas)
	case scaling.MoveLeader:
		if step.Stream.Name == "" {
			return admin.MoveMetaLeader(ctx, step.To)
		}
		return admin.MoveStreamLeader(ctx, step.Stream.Account, step.Stream.Name, step.To)
	}
	return fmt.Errorf("step %s is none within JetStream", step.Action)
}
