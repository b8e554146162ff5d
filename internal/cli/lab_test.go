// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/steering"
)

// limit is how long a condition may take on a slow machine.
const limit = 120 * time.Second

// built is the folder of the built programs, empty as long as no test needed them.
var built string

// programs builds both programs once.
var programs = sync.OnceValues(func() (proc.Binaries, error) {
	var err error
	if built, err = os.MkdirTemp("", "unibus-cli-"); err != nil {
		return proc.Binaries{}, err
	}
	if built, err = filepath.EvalSymlinks(built); err != nil { // the reaper compares it with what the system says
		return proc.Binaries{}, err
	}
	if err := startReaper(built); err != nil {
		return proc.Binaries{}, err
	}
	return proc.Build(context.Background(), built, true)
})

// lab is a cluster folder that is worked on by the real programs.
type lab struct {
	t      *testing.T
	folder folder
	bin    proc.Binaries
}

func mustLab(t *testing.T) *lab {
	t.Helper()
	bin, err := programs()
	must(t, err)
	l := &lab{t: t, folder: folder{filepath.Join(t.TempDir(), "bus")}, bin: bin}
	t.Cleanup(l.killAll)
	return l
}

// killAll ends all nodes that the cluster's folder knows of.
func (l *lab) killAll() {
	inv, err := l.folder.inventory()
	if err != nil {
		return
	}
	for i := range inv.Places {
		l.kill(i)
		if l.t.Failed() && inv.Places[i].Local != nil {
			l.t.Logf("node-%d said last:\n%s", i, proc.Tail(l.folder.path(logFile(i)), 15))
		}
	}
}

// kill ends a local node with SIGKILL.
func (l *lab) kill(i int) {
	l.t.Helper()
	inv, err := l.folder.inventory()
	must(l.t, err)
	if i >= len(inv.Places) || inv.Places[i].Local == nil {
		return
	}
	launcher := &launcher{folder: l.folder}
	if pid := launcher.process(i, inv.Places[i].Local.PID); pid != 0 {
		_ = unix.Kill(pid, unix.SIGKILL) // it may end by itself
		natstest.Within(l.t, limit, "the end of a process", func() bool { return launcher.process(i, pid) != pid })
	}
}

// command prepares a run of unibus cluster, which ends with the test at the latest: killAll finds only what no command starts any more.
func (l *lab) command(args ...string) *exec.Cmd {
	c := exec.Command(l.bin.Unibus, append([]string{"cluster", "--dir", l.folder.dir}, args...)...)
	c.WaitDelay = time.Second // nodes that it starts have logs of their own and keep no pipe of it
	c.SysProcAttr = attributes()
	l.t.Cleanup(func() {
		if c.Process != nil && c.ProcessState == nil {
			_ = c.Process.Kill() // it may have ended
			_ = c.Wait()         // it was killed
		}
	})
	return c
}

// run runs unibus cluster and returns its exit code, its result and what it said meanwhile.
func (l *lab) run(args ...string) (code int, out, said string) {
	l.t.Helper()
	c := l.command(args...)
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	if err := c.Run(); err != nil && c.ProcessState == nil {
		l.t.Fatalf("unibus %v: %v", args, err)
	}
	return c.ProcessState.ExitCode(), o.String(), e.String()
}

// mustRun runs unibus cluster with -o json --yes, and expects success.
func (l *lab) mustRun(args ...string) result {
	l.t.Helper()
	code, out, said := l.run(append(args, "-o", "json", "--yes", "--timeout", "3m")...)
	if code != 0 {
		l.t.Fatalf("unibus %v: exit code %d\n%s", args, code, said)
	}
	var r result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		l.t.Fatalf("unibus %v printed no result: %v\n%s", args, err, out)
	}
	return r
}

func (l *lab) expectMembers(r result, n int) {
	l.t.Helper()
	if r.Status.Members != n || r.Status.State != "done" {
		l.t.Fatalf("%d members, %s: %s; want %d, done", r.Status.Members, r.Status.State, r.Status.Reason, n)
	}
	for _, s := range r.Status.Streams {
		if len(s.InSync) != n || s.Replicas != n {
			l.t.Errorf("%s has %d replicas, in sync %v; want %d", s.Stream, s.Replicas, s.InSync, n)
		}
	}
}

func (l *lab) expectNothingLost(r result) {
	l.t.Helper()
	if r.Ledger == nil {
		l.t.Fatal("no ledger was read")
	}
	if r.Ledger.Lost {
		b, _ := json.MarshalIndent(r.Ledger, "", " ")
		l.t.Fatalf("%s\n%s", r.Ledger.Verdict, b)
	}
}

// mustJS connects to account HISTORY as the operator, by all nodes that have been seen.
func (l *lab) mustJS() jetstream.JetStream {
	l.t.Helper()
	operator, err := l.folder.key(operatorFile)
	must(l.t, err)
	connect, err := steering.Login(operator)
	must(l.t, err)
	var urls []string
	inv, err := l.folder.inventory()
	must(l.t, err)
	for _, p := range inv.Places {
		if p.Client != "" {
			urls = append(urls, p.Client)
		}
	}
	files, err := inv.TLS.client(inv.Places)
	must(l.t, err)
	nc, err := nats.Connect(strings.Join(urls, ","), append(secured(connect, files, urls)("HISTORY"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))...)
	must(l.t, err)
	l.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(l.t, err)
	return js
}

// mustStream makes a stream with n messages.
func (l *lab) mustStream(js jetstream.JetStream, replicas, n int) {
	l.t.Helper()
	natstest.Within(l.t, limit, "a stream", func() bool {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log.>"}, Replicas: replicas, MaxBytes: 64 << 20})
		return err == nil
	})
	for i := range n {
		l.mustPublish(js, fmt.Sprintf("seed-%d", i))
	}
}

// publish publishes once.
func (l *lab) publish(ctx context.Context, js jetstream.JetStream, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	_, err := js.Publish(ctx, "log.a", []byte(id), jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	return err
}

func (l *lab) mustPublish(js jetstream.JetStream, id string) {
	l.t.Helper()
	natstest.Within(l.t, limit, "a publish", func() bool { return l.publish(l.t.Context(), js, id) == nil })
}

// writeEvery is often enough to have a write in each moment of a change, and leaves the machine to the change: every ledger reads all messages, too.
const writeEvery = 10 * time.Millisecond

// write publishes until stop is called, which returns the ids that were acknowledged.
func (l *lab) write(js jetstream.JetStream) (stop func() []string) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var acknowledged []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			id := fmt.Sprintf("live-%d", i)
			for ctx.Err() == nil {
				if l.publish(ctx, js, id) == nil {
					acknowledged = append(acknowledged, id)
					break
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(writeEvery):
			}
		}
	})
	return func() []string { cancel(); wg.Wait(); return acknowledged }
}

// expectAll reads the stream from its leader and expects every id in it.
func (l *lab) expectAll(js jetstream.JetStream, ids []string) {
	l.t.Helper()
	s, err := js.Stream(l.t.Context(), "LOG")
	must(l.t, err)
	i, err := s.Info(l.t.Context())
	must(l.t, err)
	have := map[string]bool{}
	for seq := i.State.FirstSeq; seq <= i.State.LastSeq; seq++ {
		m, err := s.GetMsg(l.t.Context(), seq)
		must(l.t, err)
		if have[string(m.Data)] {
			l.t.Errorf("%s is there twice", m.Data)
		}
		have[string(m.Data)] = true
	}
	missing := 0
	for _, id := range ids {
		if !have[id] {
			missing++
		}
	}
	if missing > 0 {
		l.t.Fatalf("%d of %d acknowledged messages are lost", missing, len(ids))
	}
	l.t.Logf("%d acknowledged messages, all there", len(ids))
}
