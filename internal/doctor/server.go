// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/unibus/unibus/api/client"
)

const natsPort = "4222"

// secure says whether the client library demands TLS: of all servers as soon as it does of one.
func (e *examination) secure() bool {
	return slices.ContainsFunc(e.bus.Servers, func(raw string) bool {
		_, secure, err := client.Options{Servers: []string{raw}, CAFile: e.bus.CA}.ServerURLs()
		return err == nil && secure
	})
}

// server goes the way to a node, step by step.
func (e *examination) server(ctx context.Context, raw string, secure bool) standing {
	urls, _, err := client.Options{Servers: []string{raw}}.ServerURLs()
	if err != nil {
		e.check(ctx, "server", "servers", func(context.Context) Finding {
			return fault(URLForm, "give it as nats://host:4222, without user or path", "a server's URL is not of the form nats://host:port")
		})
		return down
	}
	u := urls[0]
	host, port := u.Hostname(), cmp.Or(u.Port(), natsPort)
	var conn net.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	var hello greeting
	if !e.check(ctx, "connect", raw, func(ctx context.Context) (f Finding) {
		conn, f = e.dial(ctx, host, port)
		return f
	}) || !e.check(ctx, "greeting", raw, func(ctx context.Context) (f Finding) {
		hello, f = e.greet(ctx, conn, host, port)
		return f
	}) {
		return down
	}
	if (secure || hello.Required) && !e.check(ctx, "tls", raw, func(ctx context.Context) Finding {
		if !hello.Required && !hello.Available {
			return fault(NoTLS, "have the node given a certificate; without TLS nodes are used on loopback only, and without --ca", "the node does not speak TLS")
		}
		return e.handshake(ctx, conn, host)
	}) {
		return down
	}
	conn.Close()
	if e.user == "" {
		return unknown
	}
	return e.login(ctx, raw)
}

// greeting is what of a NATS server's first line matters.
type greeting struct {
	Required  bool   `json:"tls_required"`
	Available bool   `json:"tls_available"`
	Nonce     string `json:"nonce"`
	Name      string `json:"server_name"`
}

// mostGreeting is the longest first line in bytes.
const mostGreeting = 64 << 10

// greet reads the first line that a server says, and says nothing itself.
func (e *examination) greet(ctx context.Context, conn net.Conn, host, port string) (g greeting, f Finding) {
	defer guard(ctx, conn)()
	_ = conn.SetReadDeadline(time.Now().Add(e.Limit / 2)) // the rest is for asking what else it may be; it fails on a closed connection only
	const remedy = "use the port that nodes have for messages (" + natsPort + " unless it is configured otherwise)"
	line, err := bufio.NewReaderSize(io.LimitReader(conn, mostGreeting), mostGreeting).ReadSlice('\n')
	if len(line) == 0 {
		switch {
		case e.speaksHTTP(ctx, host, port):
			return g, fault(NotNATS, remedy, "it speaks HTTP, not NATS")
		case hungUp(err):
			return g, fault(HungUp, "see that a node is behind it, and not only a proxy; the node's log says why it hangs up",
				"it ends the connection without a word")
		}
		return g, fault(Silent, lookAtNode, "it takes the connection, and says nothing in %v", e.Limit/2)
	}
	info, ok := bytes.CutPrefix(line, []byte("INFO "))
	if !ok || json.Unmarshal(info, &g) != nil {
		return g, fault(NotNATS, remedy, "it does not speak NATS: it begins with %.40q", line)
	}
	if g.Nonce == "" {
		return g, fault(NotUniBus, "give the URL of a node of UniBus", "it is a NATS server that asks for no key, so no node of UniBus")
	}
	return g, fine("node %s speaks NATS", g.Name)
}

// hungUp says whether err is a host that ended the connection without a word: a plain end, or a reset if it had yet to read something.
func hungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// speaksHTTP asks a host that waits to be asked, on a connection of its own.
func (e *examination) speaksHTTP(ctx context.Context, host, port string) bool {
	conn, _ := e.dial(ctx, host, port)
	if conn == nil {
		return false
	}
	defer conn.Close()
	defer guard(ctx, conn)()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return false
	}
	begin := make([]byte, len("HTTP/"))
	_, err := io.ReadFull(conn, begin)
	return err == nil && string(begin) == "HTTP/"
}

// login connects as any command does, to this node only.
func (e *examination) login(ctx context.Context, raw string) standing {
	o := e.bus.Options()
	o.Servers, o.API, o.Name = []string{raw}, "", "unibus doctor"
	var c *client.Client
	s := down
	e.check(ctx, "login", raw, func(ctx context.Context) Finding {
		var err error
		c, err = client.Connect(ctx, o)
		switch {
		case err == nil:
			s = taken
			return fine("the node takes the key")
		case errors.Is(err, client.ErrRemoved):
			s = stranger
			return e.unlisted("the node refuses the key")
		case errors.Is(err, client.ErrBadServer):
			return fault(NotUniBus, "give the URL of a node of UniBus", "%v", err)
		case hungUp(err):
			return fault(NodeNotReady, "wait a minute and try again, with fewer programs under this key if there are many; then have who runs the node see "+
				"whether it is cut off from the others: it says how it is at /readyz of its --http-port",
				"the node takes nobody now (it is about to start, or cut off), or has as many connections of this user as one may have")
		}
		return fault(LoginFailed, "try again, and have who runs the node look at its log", "%v", err)
	})
	if c == nil {
		return s
	}
	defer c.Close()
	if !e.check(ctx, "rooms", raw, func(ctx context.Context) Finding { return e.rooms(ctx, c) }) {
		return down
	}
	return s
}

func (e *examination) rooms(ctx context.Context, c *client.Client) Finding {
	rooms, err := c.Rooms(ctx)
	switch {
	case err != nil:
		return fault(RoomsFailed, "the node may be about to start or to stop: try again, then have who runs it look at its log",
			"the node takes the key, but does not say which rooms you are in: %v", err)
	case len(rooms) == 0:
		return note(NoRoom, "", "have an admin of a room take you in: unibus member add ROOM "+e.user,
			"you are in no room, so you can neither send nor read anything")
	}
	return fine("rooms that you are in: %d", len(rooms))
}

func (e *examination) unlisted(found string) Finding {
	return fault(NotListed, "have an admin add your key: unibus user add NAME "+e.user, "%s: it is not on the allowlist", found)
}
