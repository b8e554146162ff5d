// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Dial connects from within the network namespace of the process pid. The address is one of IP.
func Dial(ctx context.Context, pid int, address string) (net.Conn, error) {
	space, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return nil, err
	}
	defer space.Close()
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// The thread stays in the namespace: it is never unlocked, so it ends with this goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("enter the network of process %d: %w", pid, err)}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// Forward accepts connections here and passes them on to an address within the namespace of the process pid, until ctx
// ends.
func Forward(ctx context.Context, listen string, pid int, address string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			there, err := Dial(ctx, pid, address)
			if err != nil {
				slog.Warn("can't forward", "to", address, "error", err)
				return
			}
			defer there.Close()
			pipe(conn.(*net.TCPConn), there.(*net.TCPConn))
		}()
	}
}

// pipe copies both ways until both ends have said all.
func pipe(a, b *net.TCPConn) {
	done := make(chan struct{})
	one := func(to, from *net.TCPConn) {
		_, _ = io.Copy(to, from)
		_ = to.CloseWrite()
		done <- struct{}{}
	}
	go one(a, b)
	go one(b, a)
	<-done
	<-done
}
