// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/load"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

// limit is how long a condition may take on a slow machine. What is waited for is named, and nothing is judged by its time.
const limit = 2 * time.Minute

var built struct {
	once sync.Once
	dir  string
	bin  proc.Binaries
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	err := goleak.Find(natstest.Leaks()...)
	if built.dir != "" {
		err = errors.Join(proc.Races(built.dir), err)
		os.RemoveAll(built.dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// mustBinaries builds the programs, once for all tests. E2E_BIN may name a folder that has them.
func mustBinaries(t *testing.T) proc.Binaries {
	t.Helper()
	built.once.Do(func() {
		if dir := os.Getenv("E2E_BIN"); dir != "" {
			built.bin, built.err = proc.Find(dir)
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "unibus-e2e-"); built.err == nil {
			built.bin, built.err = proc.Build(context.Background(), built.dir, true)
		}
	})
	must(t, built.err)
	return built.bin
}

// cluster is a bus with the little that these tests write to it.
type cluster struct {
	*bus.Bus
	t      *testing.T
	ledger *load.Ledger
	bytes  int64 // room of the stream
}

// kept is the stream whose writes must never be lost.
var kept = load.Stream{Name: "KEPT"}

// account is where it is.
const account = "HISTORY"

func mustBus(t *testing.T, c bus.Config) *cluster {
	t.Helper()
	c.Dir, c.Bin = t.TempDir(), mustBinaries(t)
	b, err := bus.New(t.Context(), c)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, f := range proc.Newest(c.Dir, 2*c.Places+2) {
				t.Logf("--- %s\n%s", f, proc.Tail(f, 25))
			}
		}
		b.Close()
	})
	return &cluster{Bus: b, t: t, ledger: load.NewLedger(), bytes: 32 << 20}
}

// in is the same cluster within a subtest.
func (c *cluster) in(t *testing.T) *cluster {
	d := *c
	d.t = t
	return &d
}

func (c *cluster) within(what string, wrong func() string) {
	c.t.Helper()
	last := ""
	if !natstest.Until(limit, func() bool { last = wrong(); return last == "" }) {
		c.t.Fatalf("not within %v: %s: %s", limit, what, last)
	}
}

// mustStart starts places and waits until they answer.
func (c *cluster) mustStart(places ...*bus.Place) {
	c.t.Helper()
	for _, p := range places {
		must(c.t, p.Start())
	}
	for _, p := range places {
		c.within(fmt.Sprintf("place %d answers", p.Number), func() string {
			if !p.Running() {
				c.t.Fatalf("place %d ended: %s", p.Number, p.Process().Output())
			}
			_, err := p.Status(c.t.Context())
			return problem(err)
		})
	}
}

// mustForm makes a cluster of that many members, with some writes.
func (c *cluster) mustForm(members int) {
	c.t.Helper()
	c.mustStart(c.Places[:members]...)
	must(c.t, c.Run(c.t.Context(), c.Create(c.Places[0])...))
	c.mustWrite(100)
	if members > 1 {
		must(c.t, c.Run(c.t.Context(), c.Grow(members)...))
		c.expectSettled(members)
	}
}

// mustConnect connects to an account, as soon as any node takes clients.
func (c *cluster) mustConnect(account string) *nats.Conn {
	c.t.Helper()
	var nc *nats.Conn
	c.within("a connection to "+account, func() string {
		var err error
		nc, err = c.Connect(account, 0)
		return problem(err)
	})
	return nc
}

// mustWrite has more writes acknowledged.
func (c *cluster) mustWrite(n int) {
	c.t.Helper()
	nc := c.mustConnect(account)
	defer nc.Close()
	c.within("the stream", func() string {
		ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
		defer cancel()
		return problem(kept.Create(ctx, nc, 1, c.bytes))
	})
	before := c.ledger.Acknowledged()
	w, err := load.Start(load.WriterConfig{Ledger: c.ledger, Stream: kept, Count: 1, First: before, Pause: time.Millisecond,
		Connect: func() (*nats.Conn, error) { return c.Connect(account, 0) }})
	must(c.t, err)
	defer w.Halt()
	c.within("writes", func() string {
		if a := c.ledger.Acknowledged(); a < before+n {
			return fmt.Sprintf("%d of %d", a-before, n)
		}
		return ""
	})
}

// expectSettled waits until the cluster has that many members and everything is in sync on all of them.
func (c *cluster) expectSettled(members int) {
	c.t.Helper()
	c.within(fmt.Sprintf("%d members in sync", members), func() string {
		sys, err := c.Connect("SYS", 0)
		if err != nil {
			return err.Error()
		}
		defer sys.Close()
		app, err := c.Connect(account, 0)
		if err != nil {
			return err.Error()
		}
		defer app.Close()
		return load.Unsettled(sys, app, account, []load.Stream{kept}, members)
	})
}

// expectKept reads everything back from that many replicas.
func (c *cluster) expectKept(replicas int) {
	c.t.Helper()
	nc := c.mustConnect(account)
	defer nc.Close()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	v, err := c.ledger.Verify(ctx, nc, kept, nil)
	must(c.t, err)
	if v.Lost() > 0 || len(v.Duplicates) > 0 || len(v.Replicas) != replicas {
		c.t.Errorf("of %d acknowledged writes %d are lost and %d stored twice, read from %v: %v", c.ledger.Acknowledged(), v.Lost(), len(v.Duplicates), v.Replicas, v.Misses)
	}
}

// expectPhase waits until a place is in the phase, for a reason that has these words.
func (c *cluster) expectPhase(p *bus.Place, phase v1.NodePhase, words string) v1.NodeStatus {
	c.t.Helper()
	var s v1.NodeStatus
	c.within(fmt.Sprintf("place %d is %s", p.Number, phase), func() string {
		var err error
		s, err = p.Status(c.t.Context())
		if err == nil && s.Phase == phase && strings.Contains(s.Reason, words) {
			return ""
		}
		return fmt.Sprintf("%+v %v", s, err)
	})
	return s
}

// expectRefused starts a place and waits until it has ended with exit status 2 and these words.
func (c *cluster) expectRefused(p *bus.Place, words ...string) {
	c.t.Helper()
	must(c.t, p.Start())
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	err := p.Process().Wait(ctx)
	if err == nil || !strings.Contains(err.Error(), "exit status 2") {
		c.t.Errorf("place %d is not refused: %v", p.Number, err)
	}
	for _, w := range words {
		if out := p.Process().Output(); !strings.Contains(out, w) {
			c.t.Errorf("nothing of %q is said: %s", w, out)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
