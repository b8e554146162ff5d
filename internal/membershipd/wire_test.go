// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// cutMode is how a cut shows to the nodes.
type cutMode int

const (
	cutRefused cutMode = iota // connections end, new ones are refused: attempts to dial come at ever longer pauses
	cutSilent                 // connections stand and nothing comes through until the cut is healed
	cutModes
)

func (m cutMode) String() string { return [...]string{"refused", "silent"}[m] }

// wire leads from one node to another's route port.
type wire struct {
	at, to string
	wg     sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	// open is closed while bytes come through.
	open chan struct{}
}

func mustWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{at: l.Addr().String(), to: to, conns: map[net.Conn]struct{}{}, open: make(chan struct{})}
	close(w.open)
	w.listen(l)
	t.Cleanup(func() {
		w.cut(cutRefused)
		w.wg.Wait()
	})
	return w
}

func (w *wire) url() *url.URL { return &url.URL{Scheme: "nats", Host: w.at} }

func (w *wire) listen(l net.Listener) {
	w.mu.Lock()
	w.listener = l
	w.mu.Unlock()
	w.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.wg.Go(func() { w.serve(c) })
		}
	})
}

func (w *wire) serve(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	w.mu.Lock()
	w.conns[from], w.conns[to] = struct{}{}, struct{}{}
	w.mu.Unlock()
	done := make(chan struct{}, 2)
	for _, d := range [][2]net.Conn{{from, to}, {to, from}} {
		w.wg.Go(func() {
			w.pass(d[0], d[1])
			done <- struct{}{}
		})
	}
	<-done
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, from)
	delete(w.conns, to)
}

// pass copies bytes as long as the wire lets any through.
func (w *wire) pass(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		open := w.open
		w.mu.Unlock()
		<-open
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
			return
		}
	}
}

func (w *wire) cut(m cutMode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m == cutSilent {
		w.open = make(chan struct{})
		return
	}
	w.listener.Close()
	for c := range w.conns {
		c.Close()
	}
}

// heal returns once the wire listens again, at the same address.
func (w *wire) heal(t *testing.T, m cutMode) {
	t.Helper()
	if m == cutSilent {
		w.mu.Lock()
		defer w.mu.Unlock()
		close(w.open)
		return
	}
	for end := time.Now().Add(limit); ; {
		l, err := net.Listen("tcp", w.at)
		if err == nil {
			w.listen(l)
			return
		}
		if time.Now().After(end) {
			t.Fatal(fmt.Errorf("heal: %w", err))
		}
	}
}
