// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
)

// crowd bounds how many connections are open. Those on which no user is being served make room for new ones, so that whoever opens many and
// is silent, or slow, keeps nobody out.
type crowd struct {
	net.Listener
	most int

	mu    sync.Mutex
	all   int
	idle  *list.List // of *guest, on which no user is being served; the longest first
	peers map[string]int
}

// guest is one connection.
type guest struct {
	net.Conn
	crowd *crowd
	from  string
	place *list.Element // in idle; nil while a user is served
	gone  bool
}

func newCrowd(l net.Listener, most int) *crowd {
	return &crowd{Listener: l, most: most, idle: list.New(), peers: map[string]int{}}
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := c.enter(conn); g != nil {
			return g, nil
		}
		conn.Close() // users are being served on all others
	}
}

func (c *crowd) enter(conn net.Conn) *guest {
	g := &guest{Conn: conn, crowd: c, from: conn.RemoteAddr().String()}
	if at, err := netip.ParseAddrPort(g.from); err == nil {
		g.from = network(at.Addr())
	}
	c.mu.Lock()
	var out *guest
	if c.all >= c.most {
		if out = c.choose(); out == nil {
			c.mu.Unlock()
			return nil
		}
		c.remove(out)
	}
	c.all++
	c.rest(g)
	c.mu.Unlock()
	if out != nil {
		out.Conn.Close()
	}
	return g
}

// choose finds who has to go: of the address that has most idle connections, the one that has been so for longest.
func (c *crowd) choose() *guest {
	most, from := 0, ""
	for peer, n := range c.peers {
		if n > most {
			most, from = n, peer
		}
	}
	for e := c.idle.Front(); e != nil; e = e.Next() {
		if g, ok := e.Value.(*guest); ok && g.from == from {
			return g
		}
	}
	return nil
}

// rest, work and remove are called with the lock.

func (c *crowd) rest(g *guest) {
	if g.place == nil && !g.gone {
		g.place = c.idle.PushBack(g)
		c.peers[g.from]++
	}
}

func (c *crowd) work(g *guest) {
	if g.place == nil {
		return
	}
	c.idle.Remove(g.place)
	g.place = nil
	if c.peers[g.from]--; c.peers[g.from] == 0 {
		delete(c.peers, g.from)
	}
}

func (c *crowd) remove(g *guest) {
	if !g.gone {
		c.work(g)
		g.gone = true
		c.all--
	}
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.crowd.mu.Lock()
	g.crowd.remove(g)
	g.crowd.mu.Unlock()
	return g.Conn.Close()
}

type guestKey struct{}

// netConner is a TLS connection.
type netConner interface{ NetConn() net.Conn }

// connContext lets a request find its connection.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(netConner); ok {
		conn = t.NetConn()
	}
	if g, ok := conn.(*guest); ok {
		return context.WithValue(ctx, guestKey{}, g)
	}
	return ctx
}

// guestOf is the connection of a request, nil where no crowd is.
func guestOf(ctx context.Context) *guest {
	g, _ := ctx.Value(guestKey{}).(*guest)
	return g
}

// busy keeps a request's connection while a user is served on it, until the returned function is called.
func busy(ctx context.Context) (done func()) {
	g := guestOf(ctx)
	if g == nil {
		return func() {}
	}
	g.crowd.mu.Lock()
	g.crowd.work(g)
	g.crowd.mu.Unlock()
	return func() {
		g.crowd.mu.Lock()
		g.crowd.rest(g)
		g.crowd.mu.Unlock()
	}
}
