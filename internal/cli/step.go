// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

// executor carries out steps, one at a time.
type executor struct {
	folder  folder
	control *steering.Control
	order   nkeys.KeyPair
}

// do carries out one step that was decided on an observation. It is refused with errConflict when the record or the inventory has
// been written since, and with steering.ErrOld when the observation is old. Each step may be repeated, and the program may die after any of them.
func (e *executor) do(ctx context.Context, o observation, admin *jsadmin.Admin, s scaling.Step) error {
	if err := steering.Fresh(o.began, o.ended, time.Now()); err != nil {
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
		return o.scene().Administer(ctx, admin, s)
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
	signed, err := o.scene().Order(s, o.routes(s.Place)).Sign(e.order.Sign)
	if err != nil {
		return err
	}
	return e.control.Send(ctx, o.inv.Places[s.Place].Control, signed)
}
