// SPDX-License-Identifier: Apache-2.0

package natstest

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
)

// Link is a TCP proxy to one address, that can be cut and healed.
type Link struct {
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	to    string
	cut   bool
	conns map[net.Conn]struct{}
}

// NewLink starts a proxy to the address, on a free port of 127.0.0.1.
func NewLink(to string) (*Link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", to, err)
	}
	k := &Link{l: l, to: to, conns: map[net.Conn]struct{}{}}
	k.wg.Go(k.accept)
	return k, nil
}

// Addr is where the proxy listens.
func (k *Link) Addr() string { return k.l.Addr().String() }

// URL is Addr as a route.
func (k *Link) URL() *url.URL { return &url.URL{Scheme: "nats", Host: k.Addr()} }

// Cut drops all connections and refuses new ones until Heal.
func (k *Link) Cut() { k.set(true) }

// Heal lets connections through again.
func (k *Link) Heal() { k.set(false) }

// Close ends the proxy and waits until all that it started is gone.
func (k *Link) Close() {
	k.l.Close()
	k.Cut()
	k.wg.Wait()
}

func (k *Link) set(cut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = cut
	if cut {
		for c := range k.conns {
			c.Close()
		}
		clear(k.conns)
	}
}

func (k *Link) accept() {
	for {
		from, err := k.l.Accept()
		if err != nil {
			return
		}
		k.wg.Go(func() { k.serve(from) })
	}
}

func (k *Link) serve(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", k.to)
	if err != nil {
		return
	}
	defer to.Close()
	if !k.keep(from, to) {
		return
	}
	defer k.forget(from, to)
	done := make(chan struct{}, 2)
	for _, d := range [][2]net.Conn{{from, to}, {to, from}} {
		k.wg.Go(func() {
			_, _ = io.Copy(d[0], d[1]) // it ends with the connection, however that ends
			done <- struct{}{}
		})
	}
	<-done
}

// keep remembers the connections for Cut, unless the link is cut already.
func (k *Link) keep(conns ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cut {
		return false
	}
	for _, c := range conns {
		k.conns[c] = struct{}{}
	}
	return true
}

func (k *Link) forget(conns ...net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		delete(k.conns, c)
	}
}
