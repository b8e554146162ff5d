// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
)

// session is one run of a command that talks to a bus.
type session struct {
	*options
	ctx    context.Context
	bus    contexts.Context
	name   string // of the context, for messages
	in     io.Reader
	out    io.Writer // the result
	notice io.Writer // what is said meanwhile

	over  atomic.Bool
	asked []string // URLs
	web   *client.API
	wired *client.Client
}

// run opens a session for a command, and closes it at the end.
func run(o *options, do func(*session, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		s, err := open(c, o)
		if err != nil {
			return err
		}
		defer s.close()
		return console.Interrupted(s.ctx, s.explain(do(s, args)))
	}
}

func open(c *cobra.Command, o *options) (*session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	bus, name, err := o.link.Resolve()
	if err != nil {
		return nil, err
	}
	return &session{options: o, ctx: c.Context(), bus: bus, name: name, in: c.InOrStdin(), out: c.OutOrStdout(), notice: c.ErrOrStderr()}, nil
}

func (s *session) close() {
	s.over.Store(true)
	if s.wired != nil {
		s.wired.Close()
	}
	if s.web != nil {
		s.web.Close()
	}
}

// settings are what the client library is told.
func (s *session) settings() client.Options {
	o := s.bus.Options()
	o.Name = "unibus"
	o.Logger = slog.New(&teller{w: s.notice, quiet: &s.over})
	return o
}

// api returns the HTTP API. It asks nothing yet.
func (s *session) api() (*client.API, error) {
	if s.web != nil {
		return s.web, nil
	}
	if s.bus.API == "" {
		return nil, errors.New("this needs the HTTP API, and no URL of it is known: pass --api https://host:8223, or set UNIBUS_API, or give a context one")
	}
	s.asked = append(s.asked, s.bus.API)
	var err error
	s.web, err = client.NewAPI(s.settings())
	return s.web, err
}

// connect connects to a node, once.
func (s *session) connect() (*client.Client, error) {
	if s.wired != nil {
		return s.wired, nil
	}
	if len(s.bus.Servers) == 0 {
		return nil, errors.New("this needs a node for messages, and none is known: pass --server nats://host:4222, or set UNIBUS_SERVER, or give a context one")
	}
	s.asked = append(s.asked, s.bus.Servers...)
	o := s.settings()
	o.API = "" // the session has its own
	err := s.within("a connection to "+strings.Join(s.bus.Servers, ", "), func(ctx context.Context) (err error) {
		s.wired, err = client.Connect(ctx, o)
		return err
	})
	return s.wired, err
}

// room connects and looks for a room.
func (s *session) room(name string) (room *client.Room, err error) {
	c, err := s.connect()
	if err != nil {
		return nil, err
	}
	err = s.within("room "+name, func(ctx context.Context) error {
		room, err = c.Room(ctx, name)
		return err
	})
	return room, err
}

// within gives do as long as one answer may take, and tells what is waited for when that takes long.
func (s *session) within(what string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	defer cancel()
	defer console.Waiting(s.notice, what)()
	err := do(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded) {
		return console.Failf(console.ExitTimeout, "no answer in %v, waiting for %s: %w; --timeout gives it longer", s.timeout, what, err)
	}
	return err
}

// explain adds the remedy that the client library can't know, in the same line.
func (s *session) explain(err error) error {
	switch {
	case errors.Is(err, client.ErrToken):
		return s.explainToken(err)
	case errors.Is(err, client.ErrRemoved):
		return fmt.Errorf("%w; your key is %s: an admin adds it with: unibus user add NAME %s", err, s.me(), s.me())
	case errors.Is(err, client.ErrBadKey):
		return fmt.Errorf("%w; make a key with: unibus key new", err)
	case errors.Is(err, client.ErrUnavailable) && strings.Contains(err.Error(), "x509"):
		return fmt.Errorf("%w; if the nodes have a CA of their own, pass its file: --ca FILE", err)
	case errors.Is(err, client.ErrUnavailable):
		return fmt.Errorf("%w; see that a node runs at %s and can be reached from here: unibus doctor looks closer", err, strings.Join(s.asked, " "))
	}
	return err
}

// explainToken finds out whether another cluster answers than the one that tokens are made for.
func (s *session) explainToken(err error) error {
	if s.web != nil && s.bus.ClusterID != "" {
		var id string
		asked := s.within("the cluster's id", func(ctx context.Context) error {
			c, err := s.web.Cluster(ctx)
			id = c.ID
			return err
		})
		if asked == nil && id != s.bus.ClusterID {
			return fmt.Errorf("another cluster answers at %s: it says that it is %s, and %s is for %s; nothing was done. If that is as it should be, remove the context and add it anew: %w",
				s.bus.API, console.Clean(id), s.where(), s.bus.ClusterID, err)
		}
	}
	return fmt.Errorf("%w; your key is %s: see that this machine's clock is right and that an admin has added the key: unibus user add NAME %s", err, s.me(), s.me())
}

// where names what said where to connect to.
func (s *session) where() string {
	if s.name == "" {
		return "--cluster-id"
	}
	return "context " + s.name
}

// me is the caller's public key, or what stands for it.
func (s *session) me() string {
	key, err := client.SeedFile(s.bus.Key).PublicKey()
	if err != nil {
		return "KEY"
	}
	return key
}

// confirm asks unless --yes was given.
func (s *session) confirm(question string) error {
	if s.yes {
		return nil
	}
	return console.Confirm(s.ctx, s.in, s.notice, question)
}

// onTerminal says whether a stream, in or out, is somebody's screen or keyboard.
func onTerminal(stream any) bool {
	f := console.File(stream)
	return f != nil && console.Terminal(f)
}
