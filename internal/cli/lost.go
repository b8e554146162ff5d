// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/scaling"
)

func newRemove(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "remove SERVER", Short: "Declare a dead member lost together with its disk, and replace it", Args: cobra.ExactArgs(1),
		Long: `Silence is never taken for death: a member that does not answer is waited for. This is a person's word that it will not come back and
that its disk is gone. It is removed for good, once the others have all that it had, and its place is filled with a new disk. Its name
and its disk must never come back: destroy the disk first.`,
		Example: "  unibus cluster remove unibus-2-0",
		RunE: run(o, func(c *cobra.Command, s *session, args []string) error {
			if err := s.mustBeSilent(c.Context(), args); err != nil {
				return err
			}
			return s.change(c.Context(), fmt.Sprintf("Is %s lost for good, with its disk?", args[0]), func(inv *inventory) error {
				inv.declare(args)
				return nil
			})
		}),
	}
}

func (inv *inventory) declare(names []string) {
	for _, n := range names {
		if !slices.Contains(inv.Dead, n) {
			inv.Dead = append(inv.Dead, n)
		}
	}
}

// mustBeSilent refuses names that are not members or that answer.
func (s *session) mustBeSilent(ctx context.Context, names []string) error {
	o, err := s.observe(ctx)
	if err != nil {
		return err
	}
	if o.record.Record == nil {
		return errors.New("this cluster has no record yet: no server has a name")
	}
	for _, name := range names {
		q, ok := o.record.Record.Names[name]
		if !ok {
			known := slices.Sorted(maps.Keys(o.record.Record.Names))
			return console.Failf(console.ExitUsage, "%s is not a server of this cluster; its servers are %s", name, strings.Join(known, ", "))
		}
		if q.Phase == scaling.Void {
			return console.Failf(console.ExitUsage, "%s never joined: there is nothing to remove", name)
		}
		if q.Place < len(o.inv.Places) && o.inv.Places[q.Place].Local != nil && s.folder.exists(storeDir(q.Place)) && o.holds(q.Place, q.DiskID) {
			return fmt.Errorf("%s is not lost: its disk is in %s; start it with unibus cluster start, or, if the disk is of no use any more, move that folder away first",
				name, s.folder.path(storeDir(q.Place)))
		}
		for i, n := range o.nodes {
			if n != nil && n.ServerName == name && n.Phase != v1.NodeStopping {
				return fmt.Errorf("%s is not lost: it answers at node-%d (%s); to have fewer members, use unibus cluster shrink", name, i, o.inv.Places[i].Control)
			}
		}
	}
	return nil
}

// holds says whether a disk was the last one seen at a place, and no other one answers there.
func (o observation) holds(place int, disk string) bool {
	if n := o.nodes[place]; n != nil {
		return n.DiskID == disk
	}
	return o.inv.Places[place].DiskID == disk
}

func newRescue(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "rescue SERVER...", Short: "Last resort: more members than a quorum can spare are lost for good", Args: cobra.MinimumNArgs(1),
		Long: `Names all members that are lost for good, with their disks. On what is left, all of which must run, the quorum is lowered for a few
minutes, the lost ones are removed, and their places are filled with new disks. What only the lost ones had is lost. Bring disks back instead
wherever that can be done: a member that comes back after this must not keep its disk. As long as a leader answers, it is refused: then
unibus cluster remove replaces a lost member without any loss.`,
		RunE: run(o, func(c *cobra.Command, s *session, args []string) error {
			if err := s.mustBeSilent(c.Context(), args); err != nil {
				return err
			}
			seen, err := s.observe(c.Context())
			if err != nil {
				return err
			}
			if !seen.rescued(args) {
				if err := seen.mustBeAlone(args); err != nil {
					return err
				}
				if !o.yes {
					q := fmt.Sprintf("Are %s lost for good, with their disks, and with what nobody else has?", strings.Join(args, " and "))
					if err := console.Confirm(c.Context(), s.in, s.notice, q); err != nil {
						return err
					}
				}
				if err := s.rescue(c.Context(), args); err != nil {
					return err
				}
			}
			return s.change(c.Context(), "", func(*inventory) error { return nil })
		}),
	}
}

// mustBeAlone refuses a rescue that is not the last resort: while a leader answers, members can be removed without losing anything.
func (o observation) mustBeAlone(lost []string) error {
	if o.Meta != nil && !o.Meta.Rescue {
		return fmt.Errorf("%s leads the meta group: nothing is to be rescued; replace a lost member with unibus cluster remove SERVER", o.Meta.Leader)
	}
	left, unfit := o.scene().Survivors(lost)
	switch {
	case unfit != nil && unfit.Place >= 0:
		return fmt.Errorf("%s waits at node-%d, and nobody can prove that it is a member still: bring one of the lost disks back; or stop it, move its store "+
			"folder away (keep it), start it again with an empty one, and name it as lost too", unfit.Name, unfit.Place)
	case unfit != nil:
		return fmt.Errorf("%s does not run, and is not named as lost: it may have what the others have not; start it first (unibus cluster start), "+
			"or name it too if it is lost for good, with its disk", unfit.Name)
	case len(left) == 0:
		return errors.New("no member is left: restore a backup")
	}
	return nil
}

// spared is the quorum of those that are left, ok while it is to be lowered to that: nobody leads, and every other member runs.
func (o observation) spared(lost []string) (quorum int, ok bool) {
	left, unfit := o.scene().Survivors(lost)
	return len(left)/2 + 1, o.Meta == nil && unfit == nil && len(left) > 0
}

// rescued says whether a rescue has done its part already, and the leader that there is now does the rest.
func (o observation) rescued(lost []string) bool {
	return o.Meta != nil && !o.Meta.Rescue && !slices.ContainsFunc(lost, func(name string) bool {
		p := o.record.Record.Names[name].Phase
		return p != scaling.Removing && p != scaling.Removed
	})
}

// rescue removes lost members on a quorum that is lowered to that of those that are left. It may be repeated.
func (s *session) rescue(ctx context.Context, lost []string) error {
	if _, err := s.folder.update(ctx, func(inv *inventory) error { inv.declare(lost); return nil }); err != nil {
		return err
	}
	o, err := s.observe(ctx)
	if err != nil {
		return err
	}
	if err := o.mustBeAlone(lost); err != nil { // the first look is long ago: somebody was asked in between
		return err
	}
	// The record first: from here on they never come back, whatever happens to this run.
	next, changed := o.scene().GiveUp(lost, o.seen.Now)
	if changed {
		if err := s.folder.writeRecord(ctx, next, o.record.Version); err != nil {
			return fmt.Errorf("%w; run the command again", err)
		}
	}
	return s.removeLost(ctx, o, lost)
}

func (s *session) removeLost(ctx context.Context, o observation, lost []string) error {
	limit := time.Now().Add(s.opts.timeout)
	for {
		if quorum, ok := o.spared(lost); ok && s.admin != nil {
			done, err := s.admin.Rescue(ctx, quorum)
			if err != nil {
				s.say.trouble(err)
			}
			for _, r := range done {
				if r.Refusal == "" {
					s.say.line("%s lowers its quorum from %d to %d", r.Server, r.Before, r.After)
				}
			}
		}
		left := 0
		if s.admin == nil {
			s.say.trouble(o.NoLeader)
			left = len(lost)
		}
		for _, name := range lost {
			if s.admin == nil {
				break
			}
			if err := s.admin.RemoveLost(ctx, name); err != nil {
				s.say.trouble(err)
				left++
				continue
			}
			s.say.line("%s is removed from the meta group", name)
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(limit) {
			return console.Failf(console.ExitTimeout, "the lost members are not removed after %v", s.opts.timeout)
		}
		select {
		case <-ctx.Done():
			return console.Failf(console.ExitInterrupted, "interrupted")
		case <-time.After(time.Second):
		}
		var err error
		if o, err = s.observe(ctx); err != nil {
			return err
		}
	}
}
