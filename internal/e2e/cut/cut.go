// SPDX-License-Identifier: Apache-2.0

// Package cut stands between the nodes of a cluster on one machine, so that any of them can be cut off from the others while
// clients still reach it: what a broken network between hosts looks like. It is for tests and the programs in hack only.
//
// Each node, which listens on 127.0.0.1, has one door, a TCP proxy that the others dial. Who dials is found by the process that owns the other end of the
// connection; so a cut works in both directions although all nodes share one address. That needs Linux; elsewhere only
// connections towards a node are cut.
package cut

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// lookEvery is how often it is looked whether nodes listen.
const lookEvery = 50 * time.Millisecond

// Mode is how a cut shows.
type Mode int

const (
	// Open lets everything through.
	Open Mode = iota
	// Reset closes connections and refuses new ones, as a host whose network is shut down does.
	Reset
	// Silent keeps connections and lets nothing through; what was sent arrives after the cut, as after a lost link.
	Silent
)

// Network is the doors of all nodes. It is safe for concurrent use.
type Network struct {
	wg sync.WaitGroup

	mu    sync.Mutex
	free  sync.Cond // mode of some node, or closed, has changed
	doors map[string]*door
	pids  map[string]int
	modes map[string]Mode
	links map[*link]struct{}
	shut  bool
}

// door is a proxy in front of one node. It is open only while the node listens and is not cut off: else whoever dials is refused,
// as by the node itself.
type door struct {
	name, at, to string
	listener     net.Listener // nil while it is closed
}

// link is one connection through a door.
type link struct {
	from, to    string // nodes; from is empty when it is not known
	left, right net.Conn
}

// New returns a network without doors.
func New() *Network {
	n := &Network{doors: map[string]*door{}, pids: map[string]int{}, modes: map[string]Mode{}, links: map[*link]struct{}{}}
	n.free.L = &n.mu
	n.wg.Go(n.watch)
	return n
}

// Door makes the door of a node at an address that the others dial; the node's own address is to.
func (n *Network) Door(name, at, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doors[name] = &door{name: name, at: at, to: to}
}

// watch opens and closes doors as their nodes listen and are cut off.
func (n *Network) watch() {
	for {
		n.mu.Lock()
		if n.shut {
			n.mu.Unlock()
			return
		}
		for _, d := range n.doors {
			switch open := n.modes[d.name] != Reset && listens(d.to); {
			case open && d.listener == nil:
				if l, err := net.Listen("tcp", d.at); err == nil { // else it is tried again
					d.listener = l
					n.wg.Go(func() { n.accept(d, l) })
				}
			case !open && d.listener != nil:
				d.listener.Close()
				d.listener = nil
			}
		}
		n.mu.Unlock()
		time.Sleep(lookEvery)
	}
}

// Process says which process is the node now.
func (n *Network) Process(name string, pid int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pids[name] = pid
}

// Set cuts a node off, or heals the cut.
func (n *Network) Set(name string, m Mode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.modes[name] = m
	if m == Reset {
		if d := n.doors[name]; d != nil && d.listener != nil {
			d.listener.Close()
			d.listener = nil
		}
		for k := range n.links {
			if k.from == name || k.to == name {
				k.close()
			}
		}
	}
	n.free.Broadcast()
}

// Close ends all doors and connections, and returns when everything that was started has ended.
func (n *Network) Close() {
	n.mu.Lock()
	n.shut = true
	for _, d := range n.doors {
		if d.listener != nil {
			d.listener.Close()
		}
	}
	for k := range n.links {
		k.close()
	}
	n.free.Broadcast()
	n.mu.Unlock()
	n.wg.Wait()
}

func (n *Network) accept(d *door, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n.wg.Go(func() { n.serve(d, c) })
	}
}

func (n *Network) serve(d *door, c net.Conn) {
	k := &link{to: d.name, left: c}
	defer k.close()
	n.mu.Lock()
	pids := make(map[string]int, len(n.pids))
	for name, pid := range n.pids {
		pids[name] = pid
	}
	n.links[k] = struct{}{}
	n.mu.Unlock()
	defer n.drop(k)

	from := owner(c, pids)
	n.mu.Lock()
	k.from = from
	n.mu.Unlock()
	if !n.pass(k) {
		return
	}
	to, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	n.mu.Lock()
	k.right = to
	n.mu.Unlock()
	if !n.pass(k) {
		return
	}
	done := make(chan struct{}, 2)
	n.wg.Go(func() { n.copy(k, to, c); done <- struct{}{} })
	n.wg.Go(func() { n.copy(k, c, to); done <- struct{}{} })
	<-done
}

func (n *Network) drop(k *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, k)
	k.close()
}

func (k *link) close() {
	k.left.Close()
	if k.right != nil {
		k.right.Close()
	}
}

// pass waits while the link is silent, and says whether it may be used.
func (n *Network) pass(k *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		m := max(n.modes[k.to], n.modes[k.from])
		if n.shut || n.modes[k.to] == Reset || n.modes[k.from] == Reset {
			return false
		}
		if m == Open {
			return true
		}
		n.free.Wait()
	}
}

// copy passes bytes on, one way, until the connection ends; while the link is silent it keeps what it has read.
func (n *Network) copy(k *link, to io.Writer, from io.Reader) {
	b := make([]byte, 64<<10)
	for {
		c, err := from.Read(b)
		if c > 0 {
			if !n.pass(k) {
				return
			}
			if _, err := to.Write(b[:c]); err != nil {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				n.pass(k) // the end of a connection is not seen through a cut either
			}
			return
		}
	}
}
