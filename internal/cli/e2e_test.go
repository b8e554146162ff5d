// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

func TestCreateGrowShrinkUnderWriters(t *testing.T) {
	l := mustLab(t)
	l.expectMembers(l.mustRun("create"), 1)
	js := l.mustJS()
	l.mustStream(js, 1, 500)
	stop := l.write(js)
	for _, step := range []struct {
		verb string
		n    int
	}{{"grow", 3}, {"shrink", 1}, {"grow", 3}} {
		r := l.mustRun(step.verb, "--replicas", string(rune('0'+step.n)))
		l.expectMembers(r, step.n)
		l.expectNothingLost(r)
		t.Logf("%s to %d: %s", step.verb, step.n, r.Ledger.Verdict)
		again := l.mustRun(step.verb, "--replicas", string(rune('0'+step.n)))
		if len(again.Plan.Steps) > 0 {
			t.Errorf("%s to %d once more has a plan: %v", step.verb, step.n, again.Plan.Steps)
		}
	}
	l.expectAll(js, stop())
	if code, out, said := l.run("ledger"); code != 0 || !strings.Contains(out, "HISTORY/LOG") {
		t.Errorf("ledger: exit code %d\n%s%s", code, out, said)
	}
	if code, out, _ := l.run("status", "-o", "yaml"); code != 0 || !strings.Contains(out, "state: done") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
	if code, _, said := l.run("stop"); code != 0 {
		t.Fatalf("stop: exit code %d\n%s", code, said)
	}
	l.expectMembers(l.mustRun("start"), 3)
}

// A node that is added after the Raft timers were changed gets those of the cluster.
func TestGrowAfterAChangeOfTimers(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	if code, _, said := l.run("stop"); code != 0 {
		t.Fatalf("stop: exit code %d\n%s", code, said)
	}
	path := l.folder.path(configFile(0))
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(bytes.ReplaceAll(b, []byte("raft-timers: fast\n"), nil), "raft-timers: stock\nraft-timers-change: true\n"...), 0o600))
	l.expectMembers(l.mustRun("start"), 1)
	l.expectMembers(l.mustRun("grow", "--replicas", "3"), 3)
	b, err = os.ReadFile(l.folder.path(configFile(2)))
	if must(t, err); !strings.Contains(string(b), "raft-timers: stock\n") || strings.Contains(string(b), "raft-timers-change") {
		t.Errorf("the configuration of a new node:\n%s", b)
	}
}

// A driver that is killed at any moment is finished by the next one.
func TestKilledDriver(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	js := l.mustJS()
	l.mustStream(js, 1, 100)
	for round, after := range []time.Duration{50, 250, 700, 1500, 2500} {
		verb, n := "grow", 3
		if round%2 == 1 {
			verb, n = "shrink", 1
		}
		c := l.command(verb, "--replicas", string(rune('0'+n)), "--yes")
		must(t, c.Start())
		time.AfterFunc(after*time.Millisecond, func() { _ = c.Process.Kill() }) // it may have ended
		_ = c.Wait()                                                            // it was killed, or not
		r := l.mustRun(verb, "--replicas", string(rune('0'+n)))
		l.expectMembers(r, n)
		l.expectNothingLost(r)
	}
	if s, err := js.Stream(t.Context(), "LOG"); err != nil || s.CachedInfo().State.Msgs != 100 {
		t.Fatalf("the stream at the end: %v", err)
	}
}

// Two drivers at once are safe, and both come to the end.
func TestTwoDrivers(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	l.mustStream(l.mustJS(), 1, 100)
	for _, step := range [][]string{{"grow", "--replicas", "3", "--yes"}, {"shrink", "--replicas", "1", "--yes"}} {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				c := l.command(step...)
				var said bytes.Buffer
				c.Stdout, c.Stderr = &said, &said
				if err := c.Run(); err != nil {
					t.Errorf("%v: %v\n%s", step, err, said.String())
				}
			})
		}
		wg.Wait()
	}
	v, err := l.folder.record()
	must(t, err)
	if len(v.Record.Names) != 3 {
		t.Errorf("names that were given: %v; two drivers gave more than one for a place", v.Record.Names)
	}
	r := l.mustRun("grow", "--replicas", "3")
	l.expectMembers(r, 3)
	l.expectNothingLost(r)
}

// An interrupt stops between two steps; another target is then gone to from where the cluster is.
func TestCancelHalfWay(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	js := l.mustJS()
	l.mustStream(js, 1, 100)
	c := l.command("grow", "--replicas", "3", "--yes")
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	must(t, c.Start())
	natstest.Within(t, limit, "the second name ordered", func() bool {
		v, err := l.folder.record()
		return err == nil && v.Record != nil && len(v.Record.Names) == 2
	})
	must(t, c.Process.Signal(os.Interrupt))
	_ = c.Wait() // its exit code is looked at
	if code := c.ProcessState.ExitCode(); code != console.ExitInterrupted || !strings.Contains(said.String(), "go on with: unibus cluster grow --dir") {
		t.Fatalf("exit code %d after the interrupt\n%s", code, said.String())
	}
	r := l.mustRun("shrink", "--replicas", "1")
	l.expectMembers(r, 1)
	l.expectNothingLost(r)
	v, err := l.folder.record()
	must(t, err)
	if p := v.Record.Names["unibus-1-0"].Phase; p != scaling.Removed {
		t.Errorf("unibus-1-0 is %s, want removed: it was ordered, so it joined and left again", p)
	}
}

func TestLostDisks(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create", "--replicas", "3")
	js := l.mustJS()
	l.mustStream(js, 3, 100)
	lose := func(i int) {
		l.kill(i)
		must(t, os.Rename(l.folder.path(storeDir(i)), filepath.Join(t.TempDir(), "lost")))
	}
	l.kill(2)
	if code, _, said := l.run("remove", "unibus-2-0", "--yes"); code != console.ExitFailed || !strings.Contains(said, "is not lost") {
		t.Fatalf("a member whose disk is there was removed: exit code %d\n%s", code, said)
	}
	lose(2)
	l.expectRescueRefused("nothing is to be rescued", "unibus-2-0") // two members have a leader
	r := l.mustRun("remove", "unibus-2-0")
	l.expectMembers(r, 3)
	l.expectNothingLost(r)

	lose(2)
	l.kill(1)
	l.expectRescueRefused("unibus-1-0 does not run", "unibus-2-1") // its disk may have what unibus-0-0 has not
	lose(1)
	l.expectMembers(l.mustRun("rescue", "unibus-1-0", "unibus-2-1"), 3)
	if s, err := js.Stream(t.Context(), "LOG"); err != nil || s.CachedInfo().State.Msgs != 100 {
		t.Fatalf("the stream after the rescue: %v", err)
	}
}

// expectRescueRefused expects a refusal with these words that leaves the record as it is.
func (l *lab) expectRescueRefused(words string, lost ...string) {
	l.t.Helper()
	before, err := l.folder.record()
	must(l.t, err)
	natstest.Within(l.t, limit, "a refusal: "+words, func() bool { // a leader may be claimed, or sought, for some seconds
		code, _, said := l.run(append([]string{"rescue", "--yes"}, lost...)...)
		if code != console.ExitFailed {
			l.t.Fatalf("rescue %v: exit code %d\n%s", lost, code, said)
		}
		return strings.Contains(said, words)
	})
	after, err := l.folder.record()
	must(l.t, err)
	if after.Version != before.Version {
		l.t.Errorf("the record was changed from version %d to %d", before.Version, after.Version)
	}
}

func TestWrongUse(t *testing.T) {
	l := mustLab(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status"}, console.ExitFailed, "unibus cluster create"},
		{[]string{"grow"}, console.ExitUsage, "--replicas is needed"},
		{[]string{"grow", "--replicas", "x"}, console.ExitUsage, "invalid argument"},
		{[]string{"gruw"}, console.ExitUsage, "unknown command"},
		{[]string{"create", "--replicas", "2"}, console.ExitUsage, "ask for 1, 3 or 5"},
		{[]string{"create", "--name", "a b"}, console.ExitUsage, "--name"},
		{[]string{"create", "-o", "xml"}, console.ExitUsage, "--output"},
		{[]string{"create", "--node", "http://10.0.0.1:6223"}, console.ExitUsage, "mutual TLS"},
		{[]string{"create", "--node", "https://10.0.0.1:6223"}, console.ExitUsage, "--tls-ca"},
		{[]string{"create", "--node", "ftp://10.0.0.1:6223"}, console.ExitUsage, "control endpoint"},
		{[]string{"adopt"}, console.ExitUsage, "--node is needed"},
		{[]string{"adopt", "--node", "http://127.0.0.1:1"}, console.ExitFailed, "connection refused"},
	} {
		code, _, said := l.run(c.args...)
		if code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("unibus cluster %v: exit code %d, want %d with %q:\n%s", c.args, code, c.code, c.want, said)
		}
	}
	l.mustRun("create")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"grow", "--replicas", "3"}, console.ExitRefused, "--yes"},
		{[]string{"shrink", "--replicas", "3"}, console.ExitUsage, "use unibus cluster grow"},
		{[]string{"remove", "unibus-0-0", "--yes"}, console.ExitFailed, "is not lost"},
		{[]string{"remove", "stranger", "--yes"}, console.ExitUsage, "its servers are unibus-0-0"},
		{[]string{"create", "--name", "other"}, console.ExitFailed, "already"},
	} {
		code, out, said := l.run(c.args...)
		if code != c.code || !strings.Contains(out+said, c.want) {
			t.Errorf("unibus cluster %v: exit code %d, want %d with %q:\n%s%s", c.args, code, c.code, c.want, out, said)
		}
	}
	if code, out, _ := l.run("plan", "--replicas", "3"); code != 0 || !strings.Contains(out, "unibus-2-0 joins on node-2") {
		t.Errorf("plan: exit code %d\n%s", code, out)
	}
}
