// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// executor carries out steps, one at a time.
type executor struct {
	folder  folder
	control *control
	order   nkeys.KeyPair
}

// errOld is returned for a step that was decided on what was seen too long ago. Observing again helps.
var errOld = errors.New("what it was decided on is too old")

// longestLook is how long one look may take: many streams without a leader take long. What was seen is still far from the age at which
// scaling takes no step to be under way any more.
const longestLook = scaling.ActionLife / 4

// fresh refuses an observation that is older than a step may take: whoever was suspended meanwhile, or got no processor, would act on
// what has long changed. Nothing tells so but the time, neither the record nor the inventory needs to have been written since.
func (o observation) fresh() error {
	if took := passed(o.began, o.ended); took > longestLook {
		return fmt.Errorf("%w: one look took %.0f s, more than %v; see which node or network is slow, and delete what streams are not needed",
			errOld, took.Seconds(), longestLook)
	}
	if age := passed(o.ended, time.Now()); age > scaling.ActionDeadline {
		return fmt.Errorf("%w: it was seen %.1f s ago", errOld, age.Seconds())
	}
	return nil
}

// passed is the time between two, the longer one of the clocks': the monotonic one stands still while the machine sleeps, the other one
// may be set.
func passed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// do carries out one step that was decided on an observation. It is refused with errConflict when the record or the inventory has
// been written since, and with errOld when the observation is old. Each step may be repeated, and the program may die after any of them.
func (e *executor) do(ctx context.Context, o observation, admin *jsadmin.Admin, s scaling.Step) error {
	if err := o.fresh(); err != nil {
		return err
	}
	if s.Action == scaling.WriteRecord {
		return e.folder.writeRecord(ctx, s.Record, o.record.Version)
	}
	if err := e.unchanged(o); err != nil {
		return err
	}
	switch s.Action {
	case scaling.WriteKnownID:
		return e.change(ctx, o, func(inv *inventory) { inv.ClusterID = o.record.Record.ClusterID })
	case scaling.Resize:
		// The next pass starts and stops what is to: that may take longer than a step.
		return e.change(ctx, o, func(inv *inventory) { inv.Size = s.Size })
	case scaling.SendOrder:
		return e.send(ctx, o, s)
	case scaling.RemovePeer, scaling.MoveReplica, scaling.SetReplicas, scaling.MoveLeader:
		if admin == nil {
			return errors.New("no node can be reached over NATS")
		}
		return administer(ctx, o, admin, s)
	case scaling.DeleteVolume:
		return fmt.Errorf("place %d: disks are not deleted by this program; remove the folder by hand", s.Place)
	}
	return fmt.Errorf("step %s is not known", s.Action)
}

// unchanged reads live what a step was decided on.
func (e *executor) unchanged(o observation) error {
	r, err := e.folder.record()
	if err != nil {
		return err
	}
	inv, err := e.folder.inventory()
	if err != nil {
		return err
	}
	if r.Version != o.record.Version || inv.Version != o.inv.Version {
		return errConflict
	}
	return nil
}

// change changes the inventory if it still is the one that was observed.
func (e *executor) change(ctx context.Context, o observation, do func(*inventory)) error {
	_, err := e.folder.update(ctx, func(inv *inventory) error {
		if inv.Version != o.inv.Version {
			return errConflict
		}
		do(inv)
		return nil
	})
	return err
}

// send signs an order with the nonce that was observed and sends it.
func (e *executor) send(ctx context.Context, o observation, s scaling.Step) error {
	if s.Place >= len(o.inv.Places) || o.record.Record == nil {
		return fmt.Errorf("order %s for place %d: there is no such place or no record", s.Order.Kind, s.Place)
	}
	order := v1.Order{
		Kind: v1.OrderKind(s.Order.Kind), ClusterID: o.record.Record.ClusterID, ServerName: s.Order.Name, DiskID: s.Order.DiskID,
		Nonce: s.Order.Nonce, Old: s.Order.Old, KeepMark: s.Order.KeepMark,
	}
	switch order.Kind {
	case v1.OrderFound:
		order.Routes = o.routes(s.Place)
	case v1.OrderJoin, v1.OrderWipeAndJoin:
		order.Routes, order.RaftTimers = o.routes(s.Place), o.timers()
	}
	signed, err := order.Sign(e.order.Sign)
	if err != nil {
		return err
	}
	return e.control.send(ctx, o.inv.Places[s.Place].Control, signed)
}

// retired says whether a node's disk is marked never to start with that name again.
func (o observation) retired(name string) bool {
	return slices.ContainsFunc(o.nodes, func(n *v1.NodeStatus) bool {
		return n != nil && n.ServerName == name && n.Phase == v1.NodeWaiting && n.Mark == v1.MarkRetired
	})
}

// administer carries out a step within JetStream.
func administer(ctx context.Context, o observation, admin *jsadmin.Admin, s scaling.Step) error {
	switch s.Action {
	case scaling.RemovePeer:
		if p := o.record.Record.Names[s.Name].Phase; p != scaling.Removing && p != scaling.Removed {
			return fmt.Errorf("%s is not removed: the record has it as %q", s.Name, p)
		}
		return admin.RemovePeer(ctx, s.Name, o.retired(s.Name))
	case scaling.MoveReplica:
		return admin.MoveReplica(ctx, s.Stream.Account, s.Stream.Name, s.Name)
	case scaling.SetReplicas:
		return admin.SetReplicas(ctx, s.Stream.Account, s.Stream.Name, s.Replicas)
	}
	if s.Stream.Name == "" {
		return admin.MoveMetaLeader(ctx, s.To)
	}
	return admin.MoveStreamLeader(ctx, s.Stream.Account, s.Stream.Name, s.To)
}
