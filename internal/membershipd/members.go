// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/rooms"
)

// guardPause is between two looks at how long the node has been cut off.
const guardPause = 500 * time.Millisecond

// finishing is how long a stop may wait for changes that are being made, and for the audit.
const finishing = 5 * time.Second

// members serves users while an embedded server runs: it keeps the directory of who may enter, offers what rooms remember, drops
// users when it is cut off, and tidies up what changes of membership leave behind.
type members struct {
	log       *slog.Logger
	directory *membership.Directory
	auth      *busauth.Authenticator
	drop      time.Duration // 0 for never
	// serving ends when the node is about to stop, before its NATS does: others take the requests, and those it has are answered.
	serving   context.Context
	leave     context.CancelFunc
	service   atomic.Pointer[rooms.Service] // that of the latest server
	door      door
	finishing time.Duration
}

// newMembers makes the directory and the authenticator that asks it.
func newMembers(c busauth.Config, d membership.Config, drop time.Duration) (*members, error) {
	m := &members{log: c.Logger, drop: drop, finishing: finishing}
	m.serving, m.leave = context.WithCancel(context.Background())
	d.Logger, d.Changed = c.Logger, m.changed
	m.directory = membership.NewDirectory(d)
	c.IsAuthorized, c.IsListed, c.IsReady, c.Grants = m.directory.IsAuthorized, m.directory.IsListed, m.directory.Ready, m.directory.Grants
	var err error
	m.auth, err = busauth.New(c)
	return m, err
}

// run serves one server, whose buckets are open, until the context ends or a connection to it is lost for good.
func (m *members) run(ctx context.Context, server *embeddednats.Server) error {
	conns := map[string]*nats.Conn{}
	for _, account := range []string{embeddednats.AccountMembership, embeddednats.AccountHistory, embeddednats.AccountClients} {
		nc, err := server.InProcess(account)
		if err != nil {
			return fmt.Errorf("serve users: %w", err)
		}
		defer nc.Close()
		conns[account] = nc
	}
	clients := embeddednats.AccountClients
	pages, err := server.InProcess(clients)
	if err != nil {
		return fmt.Errorf("serve users: %w", err)
	}
	defer pages.Close()
	service, err := rooms.New(rooms.Config{Clients: conns[clients], Pages: pages, History: conns[embeddednats.AccountHistory],
		Node: server.Unwrap().ID(), Map: func(subject, to string) error { return server.Map(clients, subject, to) },
		Alone:     func() bool { return server.Unwrap().NumRoutes() == 0 },
		Directory: m.directory, Logger: m.log})
	if err != nil {
		return err
	}
	j, err := newJanitor(m.log, m.directory, server, conns[embeddednats.AccountMembership], conns[embeddednats.AccountHistory])
	if err != nil {
		return err
	}
	serveAPI, stopAPI, err := m.door.serve(server, m.directory, conns)
	if err != nil {
		return err
	}
	defer stopAPI()
	m.service.Store(service)
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait() // before the connections are closed
	defer cancel(nil)
	wg.Go(func() { j.run(ctx) })
	wg.Go(func() { serveAPI(ctx) })
	wg.Go(func() {
		serving, leave := context.WithCancel(ctx)
		defer leave()
		defer context.AfterFunc(m.serving, leave)()
		if err := service.Run(serving); err != nil {
			cancel(fmt.Errorf("the services of rooms have ended: %w", err)) // all begins anew
		}
	})
	if err := m.directory.Run(ctx, conns[embeddednats.AccountMembership]); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// finish completes what users have begun, while NATS runs. Others take what comes.
func (m *members) finish() {
	m.leave()
	if m.door.api == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.finishing)
	defer cancel()
	m.door.api.Finish(ctx)
}

// guard tells readiness whether users are admitted, and drops those who are connected once the node has been cut off for too long: one
// of them may have been removed meanwhile. It goes on while run is to begin anew, which may take long: users stay connected.
func (m *members) guard(ctx context.Context, h *health) {
	tick := time.NewTicker(guardPause)
	defer tick.Stop()
	defer h.setShut("the directory of users is not watched")
	said := ""
	for {
		s := m.directory.State()
		if h.setShut(s.Reason); (s.Reason == "") != (said == "") {
			if said = s.Reason; said != "" {
				m.log.Warn("no user is admitted", "reason", said)
			}
		}
		if m.drop > 0 && s.Age > m.drop {
			m.dropUsers()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
