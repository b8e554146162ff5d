// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/e2e/cut"
	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mustEcho is a node's own address: it sends back what it gets.
func mustEcho(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

// mustDoor opens the door of an echoing node.
func mustDoor(t *testing.T, n *cut.Network, name string) string {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", natstest.MustFreePort(t))
	n.Door(name, addr, mustEcho(t))
	natstest.Within(t, time.Minute, "the door is open", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

type line struct {
	net.Conn
	r *bufio.Reader
}

func mustDial(t *testing.T, addr string) line {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return line{c, bufio.NewReader(c)}
}

// talk says something and returns what comes back within the limit.
func (l line) talk(say string, limit time.Duration) (string, error) {
	if _, err := fmt.Fprintln(l, say); err != nil {
		return "", err
	}
	return l.hear(limit)
}

func (l line) hear(limit time.Duration) (string, error) {
	if err := l.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	return l.r.ReadString('\n')
}

// TestCut: this process is the node "a" that dials "b"; a cut of either stops them, each in its way, and no one else.
func TestCut(t *testing.T) {
	for _, who := range []string{"a", "b"} {
		t.Run(who, func(t *testing.T) {
			n := cut.New()
			defer n.Close()
			addr, other := mustDoor(t, n, "b"), mustDoor(t, n, "c")
			n.Process("a", os.Getpid())

			l := mustDial(t, addr)
			if got, err := l.talk("open", time.Minute); got != "open\n" {
				t.Fatalf("through an open door: %q, %v", got, err)
			}
			n.Set(who, cut.Silent)
			if got, err := l.talk("silent", 200*time.Millisecond); err == nil {
				t.Errorf("through a silent door: %q", got)
			}
			if who == "b" {
				if got, err := mustDial(t, other).talk("other", time.Minute); got != "other\n" {
					t.Errorf("through another door: %q, %v", got, err)
				}
			}
			n.Set(who, cut.Open)
			if got, err := l.hear(time.Minute); got != "silent\n" {
				t.Errorf("after the cut: %q, %v", got, err)
			}
			n.Set(who, cut.Reset)
			if _, err := l.hear(time.Minute); err == nil {
				t.Error("the connection lives on")
			}
			if c, err := net.Dial("tcp", addr); err == nil { // refused at once, or dropped
				defer c.Close()
				if got, err := (line{c, bufio.NewReader(c)}).talk("refused", time.Minute); err == nil {
					t.Errorf("a new connection through a cut: %q", got)
				}
			}
			n.Set(who, cut.Open)
			natstest.Within(t, time.Minute, "healed", func() bool {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					return false
				}
				defer c.Close()
				got, _ := (line{c, bufio.NewReader(c)}).talk("healed", time.Second)
				return got == "healed\n"
			})
		})
	}
}
