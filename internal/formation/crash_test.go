// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// childEnv makes the test binary a node that kills itself: SCENARIO:POINT:FOLDER.
const childEnv = "TEST_FORMATION_CHILD"

// deeds are what a node can be killed in. Each begins with a folder that was prepared, and says "taken" once the node would
// have answered that the order was taken.
var deeds = map[string]func(f *Formation) error{
	"open":  func(*Formation) error { return nil },
	"found": func(f *Formation) error { return take(f, order(f, v1.OrderFound, "a-1")) },
	"leave": func(f *Formation) error { return take(f, order(f, v1.OrderLeave, "a-1")) },
	"retire": func(f *Formation) error {
		return take(f, order(f, v1.OrderRetire, "a-1"))
	},
	"resume": func(f *Formation) error { return take(f, order(f, v1.OrderResume, "a-1")) },
	"wipe": func(f *Formation) error {
		if err := take(f, order(f, v1.OrderWipeAndJoin, "a-2")); err != nil {
			return err
		}
		fmt.Println("taken")
		return f.finishWipe()
	},
}

func child() {
	a := strings.SplitN(os.Getenv(childEnv), ":", 3)
	point, _ := strconv.Atoi(a[1])
	if a[0] == "node" {
		nodeChild(point, a[2])
	}
	cfg := testConfig(a[2])
	n := 0
	cfg.step = func(string) error {
		if n++; n == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	f, err := Open(cfg)
	if a[0] == "hold" && err == nil {
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	if err == nil {
		err = deeds[a[0]](f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("taken")
	os.Exit(0)
}

// runChild runs a deed and kills it at a point. It returns whether the order was taken, and whether the deed was done.
func runChild(t *testing.T, deed string, point int, dir string) (taken, done bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d:%s", childEnv, deed, point, dir))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
		t.Fatalf("%s killed at point %d: %v: %s", deed, point, err, &errs)
	}
	return strings.Contains(out.String(), "taken"), err == nil
}

// prepared returns a folder as a deed finds it.
func prepared(t *testing.T, deed string) Config {
	t.Helper()
	cfg := testConfig(t.TempDir())
	if deed == "open" {
		return cfg
	}
	if deed == "found" {
		MustClose(t, MustOpen(t, cfg))
		return cfg
	}
	f := MustMember(t, cfg)
	switch deed {
	case "resume":
		MustTake(t, f, order(f, v1.OrderLeave, "a-1"))
	case "wipe":
		MustTake(t, f, order(f, v1.OrderRetire, "a-1"))
	}
	MustClose(t, f)
	return cfg
}

// ExpectAfter reopens a folder after a kill and says whether the deed had happened. It must have when the order was taken.
func ExpectAfter(t *testing.T, deed string, cfg Config, taken bool) {
	t.Helper()
	store := map[string]string{}
	if deed == "wipe" {
		store = map[string]string{"SYS/_js_/_meta_/peers.idx": "peers", "HISTORY/streams/S/msgs/1.blk": "a message"}
	}
	f := MustOpen(t, cfg)
	defer MustClose(t, f)
	s := f.Status()
	before, after := v1.NodeStatus{ServerName: "a-1"}, v1.NodeStatus{ServerName: "a-1"}
	switch deed {
	case "open":
		before, after = v1.NodeStatus{}, v1.NodeStatus{}
	case "found":
		before.ServerName, after.Founding = "", true
	case "leave":
		after.Mark = v1.MarkLeaving
	case "retire":
		after.Mark = v1.MarkRetired
	case "resume":
		before.Mark = v1.MarkLeaving
	case "wipe":
		before.Mark, after.ServerName, after.Aside = v1.MarkRetired, "a-2", true
	}
	got := v1.NodeStatus{ServerName: s.ServerName, Founding: s.Founding, Mark: s.Mark, Aside: s.Aside}
	if got != after && (taken || got != before) {
		t.Fatalf("after the kill: %+v, want %+v (or %+v if it was not taken; taken: %v)", got, after, before, taken)
	}
	if s.Journal {
		t.Errorf("the journal was not finished: %+v", s)
	}
	if deed != "wipe" {
		return
	}
	root := filepath.Join(cfg.StoreDir, storeDir)
	if got == after {
		kept, _ := filepath.Glob(filepath.Join(cfg.StoreDir, asideDir, "a-1-*"))
		if len(kept) != 1 {
			t.Fatalf("set aside: %v", kept)
		}
		if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the old store is still in place: %v", err)
		}
		root = filepath.Join(kept[0], storeDir)
		b, err := os.ReadFile(filepath.Join(kept[0], identityFile))
		if i, derr := decodeIdentity(b); err != nil || derr != nil || i.ServerName != "a-1" {
			t.Errorf("identity set aside: %v %v %+v", err, derr, i)
		}
	}
	if have := files(t, root); !maps.Equal(have, store) {
		t.Errorf("the store holds %v, want %v", slices.Collect(maps.Keys(have)), slices.Collect(maps.Keys(store)))
	}
}

// TestKilledAnywhere kills a node at every point of every deed. The next boot finds it done or not begun, and it can be
// done then.
func TestKilledAnywhere(t *testing.T) {
	for deed := range deeds {
		t.Run(deed, func(t *testing.T) {
			t.Parallel()
			for point := 1; ; point++ {
				cfg := prepared(t, deed)
				taken, done := runChild(t, deed, point, cfg.StoreDir)
				ExpectAfter(t, deed, cfg, taken)
				if done {
					if point < 4 {
						t.Errorf("only %d points", point)
					}
					break
				}
				if !taken {
					_, _ = runChild(t, "open", 0, cfg.StoreDir)
				}
			}
		})
	}
}

// TestWipeKilledTwice kills the node in a wipe, and then again, at any point, in the boot that finishes it.
func TestWipeKilledTwice(t *testing.T) {
	errDead := errors.New("dead")
	dieAt := func(point int) func(string) error {
		n := 0
		return func(string) error {
			if n++; n >= point { // whoever is dead stays dead
				return errDead
			}
			return nil
		}
	}
	for first, ended := 1, false; !ended; first++ {
		for second := 1; ; second++ {
			cfg := prepared(t, "wipe")
			dying := cfg
			dying.step = dieAt(first)
			f := MustOpen(t, dying)
			taken := take(f, order(f, v1.OrderWipeAndJoin, "a-2")) == nil
			ended = f.finishWipe() == nil && taken
			MustClose(t, f)

			dying.step = dieAt(second)
			f, err := Open(dying)
			if err == nil {
				MustClose(t, f)
			} else if !errors.Is(err, errDead) {
				t.Fatalf("killed at %d, then: %v", first, err)
			}
			ExpectAfter(t, "wipe", cfg, taken)
			if err == nil {
				break
			}
		}
	}
}

// TestFullVolume: what can't be written is an error, and nothing else.
func TestFullVolume(t *testing.T) {
	full := func(string) error { return syscall.ENOSPC }
	cfg := testConfig(t.TempDir())
	cfg.step = full
	if _, err := Open(cfg); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "space left") {
		t.Errorf("first boot on a full volume: %v", err)
	}
	cfg.step = nil
	f := MustMember(t, cfg)
	f.disk.step = full
	nonce := f.Status().Nonce
	err := take(f, order(f, v1.OrderLeave, "a-1"))
	var refused *v1.Error
	if !errors.As(err, &refused) || refused.Code != v1.CodeInternal {
		t.Errorf("an order on a full volume: %v", err)
	}
	if s := f.Status(); s.Mark != "" || s.Nonce == nonce {
		t.Errorf("after an order that could not be written: %+v", s)
	}
	f.disk.step = nil
	MustTake(t, f, order(f, v1.OrderLeave, "a-1"))
}
