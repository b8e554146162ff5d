// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// routesTime is how long the names in an order's routes may take to be looked up.
const routesTime = 5 * time.Second

// Take checks an order and carries it out as far as the disk goes; when it returns nil, the order is durable. Otherwise
// it returns why not, and the disk is as it was, or (CodeInternal) as the order says.
func (f *Formation) Take(signed v1.SignedOrder) error {
	if f.cfg.Verify == nil {
		return deny(v1.CodeUnsigned, "this node has no order key, so it takes no orders: set --order-key to the public half of the cluster's order key")
	}
	o, err := signed.Open(f.cfg.Verify)
	if errors.Is(err, v1.ErrOrderSignature) {
		return deny(v1.CodeUnsigned, "%v: sign it with the key whose public half is this node's --order-key", err)
	}
	if err != nil {
		return deny(v1.CodeMalformed, "%v", err)
	}
	f.change.Lock()
	defer f.change.Unlock()
	if err := f.match(o); err != nil {
		f.log.Warn("order refused", "kind", o.Kind, "server", o.ServerName, "reason", err)
		return err
	}
	if err := f.carryOut(o); err != nil {
		// How far it came is not known: what can be read now counts, and the nonce is used up, so that what comes next
		// looks at the node first.
		f.broken = f.disk.load()
		f.publish(func() { f.nonce = newNonce() })
		f.log.Error("order failed", "kind", o.Kind, "server", o.ServerName, "error", err)
		return deny(v1.CodeInternal, "the order could not be made durable: %v", err)
	}
	f.log.Info("order taken", "kind", o.Kind, "server", o.ServerName, "cluster", o.ClusterID)
	return nil
}

func deny(code, format string, a ...any) error {
	return &v1.Error{Code: code, Message: fmt.Sprintf(format, a...)}
}

// match says whether an order is for this disk, in this boot and in this state. change is held.
func (f *Formation) match(o v1.Order) error {
	f.mu.Lock()
	phase, nonce := f.phase, f.nonce
	f.mu.Unlock()
	switch {
	case o.DiskID != f.diskID:
		return deny(v1.CodeDisk, "the order is for disk %s, this is disk %s: read the node's status again", o.DiskID, f.diskID)
	case o.Nonce != nonce:
		return deny(v1.CodeNonce, "the order's nonce is not this boot's next one: read the node's status again and sign a new order")
	case f.cfg.ClusterID != "" && o.ClusterID != f.cfg.ClusterID:
		return deny(v1.CodeCluster, "the order is for cluster %s, this node is configured for %s", o.ClusterID, f.cfg.ClusterID)
	case f.broken != nil:
		return deny(v1.CodeInternal, "the disk can't be read, restart the node: %v", f.broken)
	case phase == v1.NodeStopping:
		return deny(v1.CodeState, "the node is stopping: send the order to its next boot")
	case f.disk.journal != nil:
		return deny(v1.CodeState, "a wipe-and-join to %s is not done: wait for it", f.disk.journal.ServerName)
	}
	if o.Kind == v1.OrderFound || o.Kind == v1.OrderJoin {
		return f.matchEmpty(o, phase)
	}
	return f.matchIdentity(o, phase)
}

func (f *Formation) matchEmpty(o v1.Order, phase v1.NodePhase) error {
	switch {
	case f.disk.identity != nil:
		return deny(v1.CodeState, "the disk is server %s of cluster %s: %s is for empty disks", f.disk.identity.ServerName, f.disk.identity.ClusterID, o.Kind)
	case phase != v1.NodeWaiting:
		return deny(v1.CodeState, "the node does not wait for orders (--formation %s)", f.cfg.Mode)
	}
	return f.matchNewName(o)
}

func (f *Formation) matchIdentity(o v1.Order, phase v1.NodePhase) error {
	i := f.disk.identity
	if i == nil {
		return deny(v1.CodeState, "the disk is empty: %s is for disks with an identity", o.Kind)
	}
	if o.ClusterID != i.ClusterID {
		return deny(v1.CodeCluster, "the order is for cluster %s, the disk is of cluster %q", o.ClusterID, i.ClusterID)
	}
	has := o.ServerName
	if o.Kind == v1.OrderWipeAndJoin {
		has = o.Old
	}
	if has != i.ServerName {
		return deny(v1.CodeName, "the order is for the disk of server %s, this is that of %s", has, i.ServerName)
	}
	switch o.Kind {
	case v1.OrderWipeAndJoin:
		if phase != v1.NodeWaiting {
			return deny(v1.CodeState, "server %s does not wait: only a server that was removed, and waits, is wiped", i.ServerName)
		}
		return f.matchNewName(o)
	case v1.OrderResume:
		if f.disk.retired() {
			return deny(v1.CodeState, "server %s was removed from the cluster and never starts again: send wipe-and-join", i.ServerName)
		}
		if f.disk.hollow() {
			return deny(v1.CodeState, "the store of server %s is gone: it must not start without; send wipe-and-join under a new name", i.ServerName)
		}
		if phase != v1.NodeWaiting {
			return deny(v1.CodeState, "server %s does not wait: it is %s", i.ServerName, phase)
		}
	case v1.OrderLeave:
		if f.disk.retired() {
			return deny(v1.CodeState, "server %s was removed from the cluster already", i.ServerName)
		}
	}
	return nil
}

// matchNewName says whether the disk may get the order's name.
func (f *Formation) matchNewName(o v1.Order) error {
	switch {
	case f.cfg.ServerName != "" && o.ServerName != f.cfg.ServerName:
		return deny(v1.CodeName, "the order is for server %s, this node is configured as %s (--server-name)", o.ServerName, f.cfg.ServerName)
	case o.ServerName == embeddednats.HelperName:
		return deny(v1.CodeName, "no server may have the name %s", o.ServerName)
	case f.cfg.denied(o.ServerName):
		return deny(v1.CodeName, "server %s was removed from the cluster, and names never come back: give a new one", o.ServerName)
	case o.Kind == v1.OrderFound:
		return nil // it dials nobody
	}
	// A joiner whose routes leave itself out could make a meta group of its own with others like it. With the identity
	// on the disk it would be too late to say so.
	cfg, err := f.serverConfig(o.ServerName, o.ClusterID, o.Routes)
	if err != nil {
		return nil // it is told, and tried again, when NATS is to start
	}
	if own := cfg.Timers.String(); o.RaftTimers != "" && o.RaftTimers != own {
		return deny(v1.CodeState, "the cluster goes by raft timers %s, and this node is configured for %s: %s", o.RaftTimers, own, remedyTimers)
	}
	ctx, cancel := context.WithTimeout(context.Background(), routesTime)
	defer cancel()
	if err := cfg.Cluster.CheckRoutes(ctx); err != nil {
		return deny(v1.CodeState, "server %s: %v", o.ServerName, err)
	}
	return nil
}

// carryOut makes a matching order durable, and sets the node going. change is held.
func (f *Formation) carryOut(o v1.Order) error {
	var err error
	starts, permit := true, false
	switch o.Kind {
	case v1.OrderFound, v1.OrderJoin:
		formed := formedJoin
		if o.Kind == v1.OrderFound {
			formed = formedFound
		}
		err = f.disk.putIdentity(identity{ClusterID: o.ClusterID, ClusterName: f.cfg.ClusterName, ServerName: o.ServerName,
			DiskID: f.diskID, Formed: formed, State: stateNew, Routes: o.Routes})
	case v1.OrderWipeAndJoin:
		err = f.disk.putJournal(journal{DiskID: f.diskID, ClusterID: o.ClusterID, Old: o.Old, ServerName: o.ServerName,
			Routes: o.Routes, Aside: asideName(o.Old, f.cfg.Now())})
	case v1.OrderResume:
		permit = true
		if !o.KeepMark && f.disk.identity.Mark != "" {
			err = f.disk.mark("")
		}
	case v1.OrderLeave: // NATS goes on, if it runs: a leaver is removed while it runs
		starts = false
		err = f.disk.mark(v1.MarkLeaving)
	case v1.OrderRetire:
		starts = false
		err = f.disk.mark(v1.MarkRetired)
	}
	if err != nil {
		return err
	}
	f.publish(func() {
		f.nonce, f.permit = newNonce(), permit
		if starts {
			f.phase, f.reason = v1.NodeStarting, fmt.Sprintf("order %s taken", o.Kind)
		}
		if o.Kind == v1.OrderRetire && f.interrupt != nil {
			f.interrupt(errRetired)
		}
	})
	return nil
}
