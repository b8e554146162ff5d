// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/scaling"
)

func newAdopt(o *options) *cobra.Command {
	var n nodeFlags
	c := &cobra.Command{
		Use: "adopt --node URL...", Short: "Take over nodes that founded or bootstrapped a cluster by themselves", Args: cobra.NoArgs,
		Long: `Writes the record of a cluster that exists but has none: one that was founded by --formation found or bootstrap, or whose record was
lost with its backup. All its members have to answer, and have to list each other and nobody else. The nodes must know this
folder's keys (unibus cluster init).`,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(n.nodes) == 0 {
				return console.Failf(console.ExitUsage, "--node is needed, once for each member")
			}
			if _, err := (folder{o.dir}).initKeys(c.Context()); err != nil {
				return err
			}
			files, err := n.files()
			if err != nil {
				return err
			}
			s, err := openWith(c, o, files)
			if err != nil {
				return err
			}
			defer s.close()
			return s.adopt(c.Context(), n)
		},
	}
	n.add(c)
	return c
}

func (s *session) adopt(ctx context.Context, n nodeFlags) error {
	inv, rec, err := s.adoption(ctx, n)
	if err != nil {
		return err
	}
	for name, q := range rec.Names {
		fmt.Fprintf(s.notice, "  %s on disk %s is node-%d\n", name, q.DiskID, q.Place)
	}
	if !s.opts.yes {
		q := fmt.Sprintf("Take over cluster %s (%s) with %s?", inv.Name, rec.ClusterID, console.Count(uint64(inv.Replicas), "member"))
		if err := console.Confirm(ctx, s.in, s.notice, q); err != nil {
			return err
		}
	}
	if old, err := s.folder.record(); err != nil || old.Version != 0 {
		return errors.Join(err, fmt.Errorf("%s has a record already; nothing was changed", s.folder.dir))
	}
	if s.folder.exists(inventoryFile) { // the record was lost: its cluster id must be the one written down beside it
		_, err = s.folder.update(ctx, func(old *inventory) error {
			if old.ClusterID != "" && old.ClusterID != rec.ClusterID {
				return fmt.Errorf("the nodes are of cluster id %s, the inventory is of %s", rec.ClusterID, old.ClusterID)
			}
			version := old.Version
			*old = inv
			old.Version = version
			return nil
		})
	} else {
		err = s.folder.createInventory(ctx, inv)
	}
	if err != nil {
		return err
	}
	if err := s.folder.writeRecord(ctx, &rec, 0); err != nil {
		return err
	}
	o, err := s.observe(ctx)
	if err != nil {
		return err
	}
	return s.finish(result{Plan: plan{From: inv.Replicas, To: inv.Replicas, Steps: []planStep{}}, Status: view(o)})
}

// adoption builds the inventory and the record from what the nodes say of themselves.
func (s *session) adoption(ctx context.Context, n nodeFlags) (inventory, scaling.Record, error) {
	rec := scaling.Record{Names: map[string]scaling.Name{}}
	inv := inventory{Replicas: len(n.nodes), Size: len(n.nodes)}
	var members []string
	for i, u := range n.nodes {
		st, err := s.control.Status(ctx, u)
		if err != nil {
			return inv, rec, err
		}
		switch {
		case st.Phase != v1.NodeRunning || st.ServerName == "" || st.ClusterID == "" || st.Founding:
			return inv, rec, fmt.Errorf("the node at %s is not a running member (%s: %s); wait until it is", u, st.Phase, st.Reason)
		case rec.ClusterID != "" && st.ClusterID != rec.ClusterID:
			return inv, rec, fmt.Errorf("the node at %s is of cluster id %s, the others are of %s", u, st.ClusterID, rec.ClusterID)
		case st.Meta == nil:
			return inv, rec, fmt.Errorf("the node at %s does not know its meta group yet; wait until it does", u)
		}
		if _, twice := rec.Names[st.ServerName]; twice {
			return inv, rec, fmt.Errorf("the node at %s is named twice", u)
		}
		rec.ClusterID, inv.ClusterID, inv.Name = st.ClusterID, st.ClusterID, st.ClusterName
		kind := scaling.Join
		if i == 0 {
			kind = scaling.Found
		}
		rec.Names[st.ServerName] = scaling.Name{Phase: scaling.Member, Place: i, DiskID: st.DiskID, Kind: kind, Since: time.Now().UTC()}
		inv.Places = append(inv.Places, place{Control: u, DiskID: st.DiskID, Route: st.RouteURL, Client: st.ClientURL})
		members = st.Meta.Members
	}
	for _, m := range members {
		if _, ok := rec.Names[m]; !ok {
			return inv, rec, fmt.Errorf("the meta group has %s too: name its node with --node as well, so that all are taken over", m)
		}
	}
	for name := range rec.Names {
		if !slices.Contains(members, name) {
			return inv, rec, fmt.Errorf("%s is not in the meta group of the others (%v)", name, members)
		}
	}
	inv.TLS, _ = n.files() // it was read before with success
	return inv, rec, checkSize(inv.Replicas)
}
