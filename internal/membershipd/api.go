// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/httpapi"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/rooms"
)

// door is the API of a node, as who serves users has it; without one it is empty.
type door struct {
	log     *slog.Logger
	api     *httpapi.API
	admins  []string // public nkeys of the first admins
	cluster func() v1.Cluster
}

// offerAPI binds the API's port, and returns its URL. Until users are served it answers that they are not.
func (n *node) offerAPI() (string, error) {
	m := n.plan.members
	api, err := httpapi.New(httpapi.Config{Cluster: n.clusterInfo, Directory: m.directory, Operators: n.plan.operators, Logger: n.log, Answered: n.metrics.answered,
		Limits: n.plan.apiLimits})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", n.plan.api)
	if err != nil {
		return "", inUse("--api-port", err)
	}
	m.door = door{log: n.log, api: api, admins: n.plan.admins, cluster: n.clusterInfo}
	return n.add("api", api.Listener(l), n.plan.apiTLS, api.Server()), nil
}

// clusterInfo is what the API tells everybody.
func (n *node) clusterInfo() v1.Cluster {
	if c := n.cluster.Load(); c != nil {
		return *c
	}
	s := n.formation.Status()
	c := v1.Cluster{ID: s.ClusterID, Name: s.ClusterName, Node: s.ServerName, Version: s.Version, MaxPayload: int64(n.plan.server.Limits.MaxPayload)}
	c.MaxPayload = cmp.Or(c.MaxPayload, 1<<20) // the server's own default
	if server := n.formation.Server(); server != nil && c.ID != "" && server.Name() == c.Node {
		n.cluster.Store(&c)
	}
	return c
}

// changed tells who serves users of those whose authorization or grants have changed.
func (m *members) changed(users []string) {
	m.auth.Refresh(users...)
	if m.door.api != nil {
		m.door.api.Changed(users)
	}
}

// dropUsers ends what users have open.
func (m *members) dropUsers() {
	m.auth.DropUsers()
	if m.door.api != nil {
		m.door.api.DropUsers()
	}
}

// serve lets the API work with a server until stop is called. What it has to do meanwhile, run does.
func (d door) serve(server *embeddednats.Server, directory *membership.Directory, conns map[string]*nats.Conn) (
	run func(context.Context), stop func(), err error) {
	if d.api == nil {
		return func(context.Context) {}, func() {}, nil
	}
	js, err := jetstream.New(conns[embeddednats.AccountMembership])
	if err != nil {
		return nil, nil, fmt.Errorf("serve the API: %w", err)
	}
	store, err := membership.NewStore(js, membership.StoreConfig{Counter: directory, MaxPayload: int32(d.cluster().MaxPayload)})
	if err != nil {
		return nil, nil, fmt.Errorf("serve the API: %w", err)
	}
	audit := membership.NewAuditLog(js, nil)
	stop = d.api.Serve(httpapi.Backend{Store: store, Audit: audit, Rooms: rooms.Voice{Clients: conns[embeddednats.AccountClients]}, Fits: func(c v1.Class) error {
		space, err := spaceOf(server)
		if err != nil {
			return err
		}
		for _, other := range directory.Classes() { // whose stream may not be there, or not as large, yet
			history := directory.History(other.Name)
			space.classes[history] = max(space.classes[history], other.MaxBytes)
		}
		return space.fits(c, directory.History(c.Name))
	}})
	return func(ctx context.Context) { d.ensureAdmins(ctx, store, audit) }, stop, nil
}

// adminsPause is between two attempts to make the first admins.
const adminsPause = time.Second

// ensureAdmins makes the first admins of a bus that has none, as the configuration says.
func (d door) ensureAdmins(ctx context.Context, store *membership.Store, audit *membership.AuditLog) {
	if len(d.admins) == 0 {
		return
	}
	tick := time.NewTicker(adminsPause)
	defer tick.Stop()
	said := ""
	for {
		err := d.tryAdmins(ctx, store, audit)
		if err == nil || ctx.Err() != nil {
			return
		}
		if said != err.Error() {
			said = err.Error()
			d.log.Warn("the first admins can't be made yet, trying on", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d door) tryAdmins(ctx context.Context, store *membership.Store, audit *membership.AuditLog) error {
	there, err := store.HasAdmin(ctx)
	if err != nil || there {
		return err
	}
	body, err := json.Marshal(d.admins)
	if err != nil {
		return err
	}
	node := d.cluster().Node
	e, err := audit.Begin(ctx, v1.AuditEntry{Who: node, Node: node, Action: "--admin", Body: body})
	if err != nil {
		return err
	}
	made, err := store.EnsureAdmins(ctx, d.admins)
	outcome := v1.OutcomeOK
	if err != nil {
		outcome = v1.CodeUnavailable
	}
	for _, u := range made {
		d.log.Info("an admin of the bus was made, as --admin says", "name", u.Name, "key", u.Key)
	}
	if failed := audit.End(ctx, e, outcome); failed != nil {
		d.log.Warn("the outcome is not in the audit", "action", e.Action, "error", failed)
	}
	return err
}
