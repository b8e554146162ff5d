// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/trial"
)

// told is what a process says, which may be read meanwhile.
type told struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *told) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *told) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// mustTry starts a node for trying out, and returns the lines that it says are to be pasted.
func mustTry(t *testing.T, dir string) (d *daemon, lines []string) {
	t.Helper()
	d = mustDaemon(t, "--dev", "--store-dir", dir)
	natstest.Within(t, limit, "ready, with lines to paste", func() bool { return strings.Contains(d.log.String(), "Ctrl-C") })
	for line := range strings.Lines(d.log.String()) {
		if strings.Contains(line, " chat ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return d, lines
}

// mustSpeak says something in the lobby as a context, and returns all that was said there.
func mustSpeak(t *testing.T, file, name, text string) (all []string) {
	t.Helper()
	f, err := contexts.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	who, err := f.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := client.Connect(ctx, who.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	room, err := c.Room(ctx, trial.Room)
	if err != nil {
		t.Fatal(err)
	}
	r, err := room.Publish(ctx, client.Message{Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := room.History(ctx, v1.HistoryRequest{AtLeast: r.Sequence})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range page {
		all = append(all, string(m.Data))
	}
	return all
}

// TestDev: one flag starts a node that two people can talk on. Started again it goes on, and leaves alone what they made of it.
func TestDev(t *testing.T) {
	dir, own := t.TempDir(), filepath.Join(t.TempDir(), "contexts.json")
	t.Setenv(contexts.EnvFile, own)
	d, lines := mustTry(t, dir)
	folder, _ := filepath.Split(os.Args[0])
	want := []string{folder + "unibus chat lobby --context dev-admin", folder + "unibus chat lobby --context dev-guest"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines, -want +got:\n%s\n%s", diff, d.log)
	}
	if got := mustSpeak(t, own, trial.Admin, "one"); len(got) != 1 {
		t.Errorf("%q was said", got)
	}
	mustSpeak(t, own, trial.Guest, "two")
	ctx := t.Context()
	f, err := contexts.Load(own)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.NewAPI(f.Contexts[trial.Admin].Options())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, _, err := admin.PutMember(ctx, trial.Room, "guest", v1.RoleAdmin, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{trial.Admin, trial.Guest} {
		if i, err := os.Stat(filepath.Join(dir, name+".nk")); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("key of %s: %v, %v", name, i, err)
		}
	}
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := d.mustEnd(t); code != ExitOK {
		t.Errorf("exit %d after Ctrl-C:\n%s", code, d.log)
	}

	_, again := mustTry(t, dir) // on other ports
	if diff := cmp.Diff(lines, again); diff != "" {
		t.Errorf("lines of the second start, -first +second:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, mustSpeak(t, own, trial.Guest, "three")); diff != "" {
		t.Errorf("said, -want +got:\n%s", diff)
	}
	if f, err = contexts.Load(own); err != nil {
		t.Fatal(err)
	}
	later, err := client.NewAPI(f.Contexts[trial.Admin].Options())
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	if m, _, err := later.Member(ctx, trial.Room, "guest"); err != nil || m.Role != v1.RoleAdmin {
		t.Errorf("the guest, whom the admin made an admin of the room, is %q, %v", m.Role, err)
	}
}

// mustAPI is the API as the admin of a node for trying out.
func mustAPI(t *testing.T, file string, key client.Signer) *client.API {
	t.Helper()
	f, err := contexts.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	o := f.Contexts[trial.Admin].Options()
	if key != nil {
		o.Key = key
	}
	a, err := client.NewAPI(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// TestDevUndoesNoRemoval: who was removed stays out when the node starts again, be it the guest or the admin whom it was made with.
func TestDevUndoesNoRemoval(t *testing.T) {
	dir, own := t.TempDir(), filepath.Join(t.TempDir(), "contexts.json")
	t.Setenv(contexts.EnvFile, own)
	d, lines := mustTry(t, dir)
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key := client.SeedFunc(func() ([]byte, error) {
		seed, err := pair.Seed()
		return bytes.Clone(seed), err // it is wiped after use
	})
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	admin := mustAPI(t, own, nil)
	if _, _, err := admin.PutUser(t.Context(), public, v1.PutUser{Name: "ann", Admin: true}, client.Absent); err != nil {
		t.Fatal(err)
	}
	ann := mustAPI(t, own, key)
	removed := []string{"guest", "admin"}
	for _, user := range removed {
		if err := ann.DeleteUser(t.Context(), user, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	d.mustEnd(t)

	_, again := mustTry(t, dir)
	if diff := cmp.Diff(lines, again); diff != "" {
		t.Errorf("lines of the second start, -first +second:\n%s", diff)
	}
	ann = mustAPI(t, own, key) // on another port
	for _, user := range removed {
		if _, _, err := ann.User(t.Context(), user); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s, who was removed, is found: %v", user, err)
		}
	}
}

// TestDevLeavesContextsAlone: one of the same name is somebody's.
func TestDevLeavesContextsAlone(t *testing.T) {
	dir, own := t.TempDir(), filepath.Join(t.TempDir(), "contexts.json")
	t.Setenv(contexts.EnvFile, own)
	theirs := contexts.Context{API: "https://bus.example:8223", Key: "/keys/mine.nk"}
	b, err := json.Marshal(contexts.File{Current: trial.Guest, Contexts: map[string]contexts.Context{trial.Guest: theirs}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, lines := mustTry(t, dir)
	file := filepath.Join(dir, "contexts.json")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], contexts.EnvFile+"="+file+" ") {
		t.Errorf("lines %q", lines)
	}
	mustSpeak(t, file, trial.Guest, "one")
	if after, err := os.ReadFile(own); err != nil || string(after) != string(b) {
		t.Errorf("the user's contexts are %s, %v", after, err)
	}
}

// TestDevIsAlone: what would make more of it is refused, and leaves nothing.
func TestDevIsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	code, _, errs := run(nil, "--dev", "--store-dir", dir, "--bind", "0.0.0.0")
	if _, err := os.Stat(dir); code != ExitRefused || !strings.Contains(errs, "--dev starts a lone node on loopback") || err == nil {
		t.Errorf("exit %d, %s, %v", code, errs, err)
	}
}
