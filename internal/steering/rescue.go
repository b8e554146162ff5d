// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"maps"
	"slices"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/scaling"
)

// Unfit is a member that is not lost and does not run either: it may have what those that run have not. A leader among them alone would forget
// that, and take it from this member too once it is back.
type Unfit struct {
	Name string
	// Place is where it waits, -1 where it does not answer at all.
	Place int
}

// Survivors returns the members that are left when more than a quorum can spare are lost for good, in order, and the first that is unfit; nil
// when none is. Among those that are left a majority must be, so each that runs counts, also one that the record has not seen join yet.
func (s Scene) Survivors(lost []string) (left []string, unfit *Unfit) {
	for _, name := range slices.Sorted(maps.Keys(s.Record.Names)) {
		switch {
		case !s.Counts(name) || slices.Contains(lost, name):
		case s.Runs(name):
			left = append(left, name)
		case unfit == nil:
			waits := func(n *v1.NodeStatus) bool { return n != nil && n.ServerName == name && n.Phase == v1.NodeWaiting }
			unfit = &Unfit{Name: name, Place: slices.IndexFunc(s.Nodes, waits)}
		}
	}
	return left, unfit
}

// Counts says whether a name may be in the meta group: by the record, or, while that only has its order, by what nodes say.
func (s Scene) Counts(name string) bool {
	switch s.Record.Names[name].Phase {
	case scaling.Member, scaling.Leaving, scaling.Removing:
		return true
	case scaling.Ordered:
		return s.Runs(name) || slices.ContainsFunc(s.Nodes, func(n *v1.NodeStatus) bool {
			return n != nil && n.Meta != nil && slices.Contains(n.Meta.Members, name)
		})
	}
	return false
}

// Runs says whether a node runs as a member with that name.
func (s Scene) Runs(name string) bool {
	return slices.ContainsFunc(s.Nodes, func(n *v1.NodeStatus) bool {
		return n != nil && n.ServerName == name && n.Phase == v1.NodeRunning && !n.Removed
	})
}

// GiveUp is the record in which the lost are being removed, and whether that is another one: written before anything is done, it keeps them from
// ever coming back, whatever happens next.
func (s Scene) GiveUp(lost []string, now time.Time) (next *scaling.Record, changed bool) {
	next = &scaling.Record{ClusterID: s.Record.ClusterID, Names: maps.Clone(s.Record.Names), Doomed: slices.Clone(s.Record.Doomed)}
	for _, name := range lost {
		if n := next.Names[name]; n.Phase != scaling.Removing && n.Phase != scaling.Removed {
			n.Phase, n.Since, changed = scaling.Removing, now, true
			next.Names[name] = n
		}
	}
	return next, changed
}
