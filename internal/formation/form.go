// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/unibus/unibus/internal/embeddednats"
)

// probeSuffix keeps the name of a server that only looks around apart from the one it may become: a server of the same
// name may be there, and two of one name drop each other's routes.
const probeSuffix = "-probe"

// form gives an empty disk an identity, as the configuration says.
func (f *Formation) form(ctx context.Context) error {
	if f.cfg.denied(f.cfg.ServerName) {
		return refuse("give a new --server-name", "server %s was removed from the cluster, and names never come back", f.cfg.ServerName)
	}
	switch f.cfg.Mode {
	case ModeFound:
		if f.seeds() > 1 {
			return f.probe(ctx, f.found)
		}
		return f.become(f.founder())
	case ModeBootstrap:
		return f.probe(ctx, f.bootstrap)
	default:
		return f.probe(ctx, f.join)
	}
}

// founder is the identity of a new cluster's first node.
func (f *Formation) founder() identity {
	id := f.cfg.ClusterID
	if id == "" {
		id = newNonce() // as random as an id must be
	}
	// The name is new as well, unless it was given: where a founder's disk is lost, and its configuration still says found, the
	// others' Raft groups must not take the empty server for the one they know.
	name := f.cfg.ServerName
	if name == "" {
		name = fmt.Sprintf("%s-0-%.8s", f.cfg.ClusterName, newNonce())
	}
	return identity{ServerName: name, ClusterID: id, Formed: formedFound}
}

// togetherLooks is in how many looks in a row all nodes of a bootstrap are ready before one goes on: who goes on can't be seen for a
// moment, and in the first of them the others may not have seen it yet.
const togetherLooks = 2

// foundLooks is how often a founder looks for a cluster that its routes may lead to.
const foundLooks = 6

// found refuses to found beside a cluster. That nobody answers proves nothing, but who says found and gives routes to a
// living cluster has mistaken the node, and with an identity on the disk it would found once that cluster is away.
func (f *Formation) found(ctx context.Context, srv *embeddednats.Server) (identity, error) {
	for range foundLooks {
		seen, err := f.look(ctx, srv, f.seeds()+1)
		if err != nil {
			return identity{}, err
		}
		for _, p := range seen {
			if !p.self && p.Identity {
				return identity{}, refuse("to join that cluster, give --formation join and a --server-name that was never used; to found another one, correct --routes",
					"--formation found on an empty disk, but server %s of the cluster with id %s answers", p.Name, p.ClusterID)
			}
		}
		if ctx.Err() != nil {
			return identity{}, ctx.Err()
		}
	}
	return f.founder(), nil
}

// become writes the identity that was decided on.
func (f *Formation) become(i identity) error {
	f.change.Lock()
	defer f.change.Unlock()
	i.ClusterName, i.ServerName, i.DiskID, i.State = f.cfg.ClusterName, cmp.Or(i.ServerName, f.cfg.ServerName), f.diskID, stateNew
	defer f.publish(nil)
	return f.disk.putIdentity(i)
}

// probe runs a server that only looks around while decide does, and then becomes what was decided. The server is gone
// before the identity is written.
func (f *Formation) probe(ctx context.Context, decide func(context.Context, *embeddednats.Server) (identity, error)) error {
	cfg, err := f.serverConfig(cmp.Or(f.cfg.ServerName, f.diskID)+probeSuffix, "", nil)
	if err != nil {
		return err
	}
	err = cfg.Cluster.CheckRoutes(ctx)
	if errors.Is(err, embeddednats.ErrNotInRoutes) {
		return refuse("set --routes to all nodes, this one included", "--formation %s: %w", f.cfg.Mode, err)
	}
	if err != nil {
		return err
	}
	srv, err := embeddednats.Probe(ctx, cfg)
	if err != nil {
		return fmt.Errorf("look around: %w", err)
	}
	i, err := func() (identity, error) {
		defer srv.Stop()
		stopAnswering, err := f.answer(srv)
		if err != nil {
			return identity{}, err
		}
		defer stopAnswering()
		return decide(ctx, srv)
	}()
	if err != nil {
		return err
	}
	return f.become(i)
}

// seeds is the number of routes in the configuration.
func (f *Formation) seeds() int {
	cfg, err := f.serverConfig(f.cfg.ServerName, "", nil)
	if err != nil {
		return 0
	}
	return len(cfg.Cluster.Routes)
}

// bootstrap waits until exactly the nodes of all routes are there, none of them with a past, and until each of them has seen that.
// They go on together then: a first election to which one comes late is followed by the next only after a whole election timeout.
func (f *Formation) bootstrap(ctx context.Context, srv *embeddednats.Server) (identity, error) {
	want := f.seeds()
	if want < 2 {
		return identity{}, refuse("set --routes to all nodes, this one included; or use --formation found for one node alone",
			"--formation bootstrap with %d routes", want)
	}
	for together := 0; together < togetherLooks; {
		seen, err := f.look(ctx, srv, want)
		if err != nil {
			return identity{}, err
		}
		for _, p := range seen {
			switch {
			case p.ClusterID != "":
				return identity{}, refuse("join it: --formation join with a --server-name that was never used, or an order",
					"bootstrap on an empty disk, but server %s of the cluster with id %s answers: this is no first start", p.Name, p.ClusterID)
			case p.Seeds != want:
				return identity{}, refuse("start all nodes with --formation bootstrap and the same --routes",
					"server %s does not bootstrap with %d routes as this one", p.Name, want)
			case !p.self && p.Name == f.cfg.ServerName:
				return identity{}, refuse("give each node its own --server-name", "two nodes are called %s", p.Name)
			}
		}
		if err := f.sameTimers(seen); err != nil {
			return identity{}, err
		}
		if len(seen) < want {
			if err := f.pauseFor(ctx, "bootstrap: %d of %d nodes of --routes are there: %v", len(seen), want, names(seen)); err != nil {
				return identity{}, err
			}
			continue
		}
		leader, err := f.metaLeader(ctx, srv)
		if err == nil {
			err = f.bootstrapsWith(leader, seen)
		}
		if err != nil && !errors.Is(err, embeddednats.ErrNoMetaLeader) {
			return identity{}, err
		}
		f.mu.Lock()
		f.ready = true
		f.mu.Unlock()
		if together++; slices.ContainsFunc(seen, func(p presence) bool { return !p.self && !p.Ready && !p.Identity }) {
			together = 0
		}
		if err := f.pauseFor(ctx, "bootstrap: all nodes of --routes are there, and wait for each other to see that"); err != nil {
			return identity{}, err
		}
	}
	return identity{Formed: formedBootstrap}, nil
}

// bootstrapsWith says whether a meta group that has a leader is that of this bootstrap: the first nodes may have elected
// one while this node still looked around, since a server without JetStream counts as one that will never have it. They
// agree on nothing without this node. But a group that lists this node had its disk, and one of others is not ours.
func (f *Formation) bootstrapsWith(group embeddednats.MetaGroup, seen []presence) error {
	for _, m := range members(group) {
		if m == f.cfg.ServerName || !slices.Contains(names(seen), m) {
			return refuse("join it: --formation join with a --server-name that was never used, or an order",
				"bootstrap on an empty disk, but server %s leads a meta group of %v: this is no first start", group.Leader.Name, members(group))
		}
	}
	return nil
}

// members are the names of a group, its leader's first.
func members(group embeddednats.MetaGroup) []string {
	out := []string{group.Leader.Name}
	for _, r := range group.Replicas {
		out = append(out, r.Name)
	}
	return out
}

// metaLeader asks for the leader of the meta group, for a moment only: where there is none, nobody answers.
func (f *Formation) metaLeader(ctx context.Context, srv *embeddednats.Server) (embeddednats.MetaGroup, error) {
	short, cancel := context.WithTimeout(ctx, 2*lookTime)
	defer cancel()
	group, err := srv.MetaLeader(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		err = embeddednats.ErrNoMetaLeader
	}
	return group, err
}

// join waits until the leader of a meta group says whose it is.
func (f *Formation) join(ctx context.Context, srv *embeddednats.Server) (identity, error) {
	for {
		seen, err := f.look(ctx, srv, f.seeds()+1)
		if err != nil {
			return identity{}, err
		}
		seen = slices.DeleteFunc(seen, func(p presence) bool { return p.self })
		group, err := f.metaLeader(ctx, srv)
		switch {
		case ctx.Err() != nil:
			return identity{}, ctx.Err()
		case errors.Is(err, embeddednats.ErrNoMetaLeader) && len(seen) == 0:
			err = f.pauseFor(ctx, "join: no cluster can be reached over --routes")
		case errors.Is(err, embeddednats.ErrNoMetaLeader):
			err = f.pauseFor(ctx, "join: %v answer, but no leader of a meta group", names(seen))
		case err != nil:
		default:
			var i identity
			if i, err = f.joined(group, seen); err != nil || i.ClusterID != "" {
				return i, err
			}
			err = f.pauseFor(ctx, "join: the leader %s does not say its cluster id yet", group.Leader.Name)
		}
		if err != nil {
			return identity{}, err
		}
	}
}

// joined checks what a cluster that was found says of this node. Without a cluster id in the identity it is to be asked
// again.
func (f *Formation) joined(group embeddednats.MetaGroup, seen []presence) (identity, error) {
	name, id := f.cfg.ServerName, ""
	for _, p := range seen {
		if p.Name == group.Leader.Name {
			id = p.ClusterID
		}
		if p.Name == name || slices.Contains(p.Denied, name) {
			return identity{}, refuse("give a --server-name that was never used",
				"the disk is empty, but server %s says that %s is taken or was removed", p.Name, name)
		}
	}
	if slices.Contains(members(group), name) {
		return identity{}, refuse("bring the old disk back; or remove "+name+" from the cluster (unibus cluster remove) and give a --server-name that was never used",
			"the disk is empty, but server %s is a member of the cluster", name)
	}
	for _, p := range seen {
		if id != "" && p.ClusterID != "" && p.ClusterID != id {
			return identity{}, refuse("separate them: give each its own --cluster-name and --routes",
				"servers of two clusters answer, with ids %s and %s", id, p.ClusterID)
		}
	}
	if id != "" && f.cfg.ClusterID != "" && id != f.cfg.ClusterID {
		return identity{}, refuse("correct --routes", "the cluster has id %s, this node is configured for %s", id, f.cfg.ClusterID)
	}
	return identity{Formed: formedJoin, ClusterID: id}, f.sameTimers(seen)
}
