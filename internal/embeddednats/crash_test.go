// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// The environment of a child that founds and is killed.
const (
	childDir   = "TEST_FOUND_DIR"
	childPhase = "TEST_FOUND_KILL_AT"
)

// suicide kills the process when the founding reaches a phase.
type suicide struct {
	slog.Handler
	phase string
}

func (k suicide) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "phase" {
			fmt.Println("phase:", a.Value)
			if a.Value.String() == k.phase {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing comes after it
			}
		}
		return true
	})
	return k.Handler.Handle(ctx, r)
}

func (k suicide) WithAttrs(a []slog.Attr) slog.Handler {
	return suicide{k.Handler.WithAttrs(a), k.phase}
}

// foundingChild founds, makes a stream, and says so.
func foundingChild(dir string) {
	port, err := natstest.FreePort()
	if err != nil {
		panic(err)
	}
	s, err := embeddednats.Found(context.Background(), embeddednats.ServerConfig{
		ServerName: "n0", StoreDir: dir, Timers: embeddednats.DefaultRaftTimers(),
		Logger:  slog.New(suicide{natstest.Logger().Handler(), os.Getenv(childPhase)}),
		Cluster: &embeddednats.ClusterConfig{Name: "test", Port: port},
	})
	if err != nil {
		panic(err)
	}
	_, size, members, _ := s.Meta()
	nc, err := s.InProcess(embeddednats.AccountHistory)
	if err != nil {
		panic(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	made := natstest.Until(natstest.Patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S"})
		return err == nil
	})
	fmt.Println("done: members", members, "size", size, "stream", made)
	_ = os.Stdout.Sync() // a pipe has nothing to sync
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// runFounder runs the child until it is dead, killed after the delay at the latest, and returns what it said last.
func runFounder(t *testing.T, dir, phase string, delay time.Duration) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childPhase+"="+phase)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(delay, func() { _ = cmd.Process.Kill() }).Stop() // it may be dead already
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the founder ended by itself: %v\n%s", err, out.String())
	}
	said := strings.Split(strings.TrimSpace(out.String()), "\n")
	return said[len(said)-1]
}

func TestFoundingKilledAnywhereIsFinishedByTheNextRun(t *testing.T) {
	expectDone := func(t *testing.T, dir string) {
		t.Helper()
		begin := time.Now()
		if said := runFounder(t, dir, "", natstest.Patience); said != "done: members [n0] size 1 stream true" {
			t.Fatalf("the next run said %q", said)
		}
		t.Logf("finished by the next run in %v", time.Since(begin))
	}
	for _, phase := range []string{"server up", "helper up", "founder leads", "helper removed", "helper stopped", "founded"} {
		t.Run(phase, func(t *testing.T) {
			dir := t.TempDir()
			if said := runFounder(t, dir, phase, natstest.Patience); said != "phase: "+phase {
				t.Fatalf("killed at %q, not at %q", said, phase)
			}
			expectDone(t, dir)
		})
	}
	for i := range 4 {
		t.Run("at random "+strconv.Itoa(i), func(t *testing.T) {
			dir := t.TempDir()
			delay := time.Duration(5+rand.IntN(300)) * time.Millisecond
			t.Logf("killed after %v at %q", delay, runFounder(t, dir, "", delay))
			expectDone(t, dir)
		})
	}
}
