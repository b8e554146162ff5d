// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// personReason is why a person is needed, as far as it can be told from what was seen.
func (f facts) personReason() string {
	switch {
	case f.recordLost() != nil:
		return v1alpha1.ReasonRecordLost
	case f.record != nil && f.foreign():
		return v1alpha1.ReasonForeignNode
	case f.record != nil && !f.founded() && f.founding():
		return v1alpha1.ReasonFounderDiskLost
	case f.record != nil && f.Meta == nil && f.allLost():
		return v1alpha1.ReasonAllDisksLost
	case f.record != nil && f.Meta == nil:
		return v1alpha1.ReasonQuorumLost
	case f.record == nil:
		return v1alpha1.ReasonForeignDisk
	case f.atRisk():
		return v1alpha1.ReasonDataAtRisk
	}
	return v1alpha1.ReasonRemovalInDoubt
}

// recordLost says so where the record of members is gone or can't be read, so that it is not known who they are, or that there are none yet; nil
// where it is there or was never made.
func (f facts) recordLost() *verdict {
	why := ""
	switch {
	case f.blindly():
		return nil
	case f.damaged != nil:
		why = f.damaged.Error()
	case f.record == nil && (f.c.Status.ClusterID != "" || f.named()):
		why = fmt.Sprintf("the ConfigMap %s is gone, and nodes have identities", f.c.IdentityName())
	default:
		return nil
	}
	v := no(v1alpha1.ReasonRecordLost, "No members are known: %s. Restore it from a backup.", why)
	return &v
}

// named says whether a node has a name, and so the disk of a cluster, of which the record may just be missing.
func (f facts) named() bool {
	return slices.ContainsFunc(f.nodes, func(n *v1.NodeStatus) bool { return n != nil && n.ServerName != "" })
}

// founding says whether no node has come further than to be told to found, so that there is nothing to lose. A cluster that was made anew beside its
// record has no id in its status either.
func (f facts) founding() bool {
	for _, n := range f.record.Names {
		if n.Kind != scaling.Found || n.Phase != scaling.Ordered && n.Phase != scaling.Void {
			return false
		}
	}
	return true
}

// foreign says whether a node of another cluster answers.
func (f facts) foreign() bool {
	for _, n := range f.nodes {
		if n != nil && n.ServerName != "" && n.ClusterID != f.record.ClusterID {
			return true
		}
	}
	return false
}
