// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The init of every machine is this program.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == Command {
		fmt.Fprintln(os.Stderr, Main(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// until fails the test if what is tried does not succeed.
func until(t *testing.T, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute) // cleanups wait too
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// mustBoot boots a room and a machine within, and sees to it that nothing stays of them.
func mustBoot(t *testing.T) (room, within Spec) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes machines")
	}
	dir := t.TempDir()
	cgroup := "devcluster-test." + strconv.Itoa(os.Getpid())
	room = Spec{Name: "room", Dir: filepath.Join(dir, "room"), Cgroup: cgroup + "/room", Outer: true}
	within = Spec{Name: "within", Dir: filepath.Join(dir, "within"), Cgroup: cgroup + "/within"}
	t.Cleanup(func() {
		if pid := Find(room.Dir); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		until(t, func() error {
			if left := Members(cgroup); len(left) > 0 {
				return fmt.Errorf("processes %v are left", left)
			}
			return RemoveCgroup(cgroup)
		})
	})
	if err := Boot(t.Context(), room); err != nil {
		t.Fatal(err)
	}
	if err := BootWithin(t.Context(), room.Dir, within); err != nil {
		log, _ := os.ReadFile(Log(room.Dir, within.Name))
		t.Fatalf("%v: %s", err, log)
	}
	return room, within
}

// mustRun runs a shell's commands on a machine, and returns what they print.
func mustRun(t *testing.T, s Spec, script string) string {
	t.Helper()
	cmd, err := Enter(t.Context(), s.Dir, "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestAMachineHasItsOwn(t *testing.T) {
	before, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	room, within := mustBoot(t)
	if got := mustRun(t, within, "hostname"); got != "within" {
		t.Errorf("hostname %q", got)
	}
	if got := mustRun(t, within, "cat /proc/1/comm /proc/sys/vm/overcommit_memory; ls /sys/class/net >/dev/null; ip -o link | wc -l"); !strings.HasSuffix(got, "\n1\n1") {
		t.Errorf("got %q, want kubelet's setting of memory, and no link but lo", got)
	}
	mustRun(t, within, "touch /var/lib/mine /run/mine; mount -t tmpfs mine /mnt; ip link add mine type bridge; ip link set mine up")
	for _, path := range []string{"/var/lib/mine", "/run/mine"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("the host has %s of a machine", path)
		}
	}
	if _, err := os.Stat(filepath.Join(within.Dir, "var/lib/mine")); err != nil {
		t.Errorf("what a machine writes to /var/lib is not on its disk: %v", err)
	}
	// What is mounted in the room, where volumes are made, is seen within.
	at := filepath.Join(room.Dir, "volume")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(Find(room.Dir))
	if out, err := exec.Command("nsenter", "--target", pid, "--mount", "mount", "-t", "tmpfs", "volume", at).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := mustRun(t, within, "findmnt --noheadings --output SOURCE "+at); got != "volume" {
		t.Errorf("a volume of the room is not seen within: %q", got)
	}
	after, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("mounts of the host changed:\n%s\n%s", before, after)
	}
}

func TestAllOfAMachineEndsWithIt(t *testing.T) {
	room, within := mustBoot(t)
	state, err := Start(within.Dir, Process{Name: "sleeper", Args: []string{"/bin/sh", "-c", "sleep 1000 & sleep 1000"}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Start(within.Dir, Process{Name: "sleeper", Args: []string{"/bin/sh", "-c", "exit 1"}})
	if err != nil || again.Pid != state.Pid {
		t.Errorf("what runs was started again: %v, %v", again, err)
	}
	until(t, func() error {
		if n := len(Members(within.Cgroup)); n < 4 {
			return fmt.Errorf("%d processes: want init, shell and two sleepers", n)
		}
		return nil
	})
	if err := Send(room.Dir, within.Name, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, func() error {
		if left := Members(within.Cgroup); len(left) > 0 {
			return fmt.Errorf("processes %v are left", left)
		}
		return nil
	})
	if _, err := List(within.Dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
	until(t, func() error {
		states, err := List(room.Dir)
		if err == nil && (len(states) != 1 || !strings.HasPrefix(states[0].Ended, "killed")) {
			err = fmt.Errorf("got %+v: want one machine, killed", states)
		}
		return err
	})
	mustDelegate(t, within.Cgroup)
	if err := BootWithin(t.Context(), room.Dir, within); err != nil {
		t.Errorf("it does not start again: %v", err)
	}
}

// mustDelegate leaves a cgroup as kubelet leaves that of its machine: one of v2 gives its controllers to children.
func mustDelegate(t *testing.T, cgroup string) {
	t.Helper()
	all, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		if err := os.MkdirAll(filepath.Join(h.path, cgroup, "child"), 0o755); err != nil {
			t.Fatal(err)
		}
		if h.kind == "cgroup2" {
			delegate(filepath.Join(h.path, cgroup))
		}
	}
}

// Why an init can't start is in the log of who started it, and is told at once.
func TestAMachineThatDoesNotStart(t *testing.T) {
	room, within := mustBoot(t)
	within.Name, within.Dir, within.Cgroup = "long", filepath.Join(within.Dir, strings.Repeat("long", 40)), within.Cgroup+"-long"
	if err := BootWithin(t.Context(), room.Dir, within); err == nil || !strings.Contains(err.Error(), "107 characters") {
		t.Errorf("got %v, want what the init said", err)
	}
}

func TestHowAProcessEnded(t *testing.T) {
	_, within := mustBoot(t)
	for name, script := range map[string]string{"three": "exit 3", "orphan": "(sleep 0.01 &) ; exit 0"} {
		if _, err := Start(within.Dir, Process{Name: name, Args: []string{"/bin/sh", "-c", script}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Start(within.Dir, Process{Name: "none", Args: []string{"/no/such/program"}}); err == nil {
		t.Error("a program that does not exist: no error")
	}
	until(t, func() error {
		states, err := List(within.Dir)
		if err != nil {
			return err
		}
		for _, s := range states {
			if want := map[string]string{"three": "exit 3 ", "orphan": "exit 0 "}[s.Name]; !strings.HasPrefix(s.Ended, want) || s.Ended == "" {
				return fmt.Errorf("%s: %q", s.Name, s.Ended)
			}
		}
		return nil
	})
}

// What has ended and waits for a parent that does not reap it can't be killed: down would wait for it.
func TestZombiesAreNoMembers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes cgroups")
	}
	all, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	cgroup := "devcluster-test.zombie." + strconv.Itoa(os.Getpid())
	in := max(0, slices.IndexFunc(all, func(h hierarchy) bool { return h.kind == "cgroup2" })) // v1 names none for a zombie
	dir := filepath.Join(all[in].path, cgroup)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "echo $$ >"+dir+"/cgroup.procs; read line")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	expect := func(members int) {
		t.Helper()
		until(t, func() error {
			if got := Members(cgroup); len(got) != members {
				return fmt.Errorf("the cgroup has the members %v, want %d", got, members)
			}
			return nil
		})
	}
	expect(1)
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	expect(0)
	if !isZombie(cmd.Process.Pid) {
		t.Error("it was reaped: the test proves nothing")
	}
	_ = cmd.Wait()
	until(t, func() error { return RemoveCgroup(cgroup) })
}
