// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unibus/unibus/hack/devcluster/internal/poll"
)

// ErrNotRunning is returned by calls of a machine that does not run.
var ErrNotRunning = errors.New("the machine does not run")

const (
	// patience is how long a machine may take to start.
	patience = 3 * time.Minute
	// answer is how long an init that was reached may take to answer.
	answer = time.Minute
)

// Boot starts the outermost machine: its init is a child of this process until this one ends.
func Boot(ctx context.Context, spec Spec) error {
	if err := spec.Save(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(Log(spec.Dir, "init"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, args(spec.Dir)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start machine %s: %w", spec.Name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return await(ctx, spec, Log(spec.Dir, "init"), func() string {
		select {
		case <-ended:
			return cmd.ProcessState.String()
		default:
			return ""
		}
	})
}

// BootWithin starts a machine within another, unless it has been started, and returns when it answers.
func BootWithin(ctx context.Context, outer string, spec Spec) error {
	if Find(spec.Dir) == 0 {
		if err := startWithin(ctx, outer, spec); err != nil {
			return err
		}
	}
	return await(ctx, spec, Log(outer, spec.Name), func() string {
		states, err := List(outer)
		if err != nil {
			return err.Error()
		}
		for _, s := range states {
			if s.Name == spec.Name {
				return s.Ended
			}
		}
		return ""
	})
}

func startWithin(ctx context.Context, outer string, spec Spec) error {
	if err := spec.Save(); err != nil {
		return err
	}
	// A cgroup of v2 whose children have controllers takes no process: that of an earlier life is in the way. It is busy
	// for a moment after its last process.
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := poll.Until(limited, func() error { return RemoveCgroup(spec.Cgroup) }); err != nil {
		return err
	}
	init := Process{Name: spec.Name, Args: append([]string{"/proc/self/exe"}, args(spec.Dir)...), Machine: true}
	_, err := Start(outer, init)
	return err
}

// await returns when the machine answers; at once with an error if ended says how its init has ended.
func await(ctx context.Context, spec Spec, log string, ended func() string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := poll.Until(ctx, func() error {
		_, err := List(spec.Dir)
		if err != nil {
			if how := ended(); how != "" {
				return poll.Hopeless(fmt.Errorf("its init has ended: %s", how))
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("machine %s does not start: %w: %s", spec.Name, err, Tail(log))
	}
	return nil
}

// Tail returns where a log is, and its last lines.
func Tail(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return log + " ends with:\n" + string(bytes.Join(lines[max(0, len(lines)-5):], []byte("\n")))
}

func call(dir, method string, arg, reply any) error {
	conn, err := net.DialTimeout("unix", socket(dir), answer)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err := conn.SetDeadline(time.Now().Add(answer)); err != nil {
		return err
	}
	client := rpc.NewClient(conn)
	defer func() { _ = client.Close() }()
	return client.Call("Init."+method, arg, reply)
}

// Start starts a process on the machine in dir, if it does not run.
func Start(dir string, p Process) (State, error) {
	var s State
	err := call(dir, "Start", p, &s)
	return s, err
}

// List returns all processes that were started on the machine in dir.
func List(dir string) ([]State, error) {
	var all []State
	err := call(dir, "List", struct{}{}, &all)
	return all, err
}

// Send sends a signal to a process of the machine in dir, or to all but the init if the name is empty.
func Send(dir, name string, s syscall.Signal) error {
	return call(dir, "Send", Signal{name, s}, &struct{}{})
}

// Contained counts the first processes of the containers on the machine in dir, and signals them, if s is not 0.
func Contained(dir string, s syscall.Signal) (int, error) {
	var n int
	err := call(dir, "Contained", s, &n)
	return n, err
}

// Enter returns a command that runs within the machine in dir.
func Enter(ctx context.Context, dir string, args ...string) (*exec.Cmd, error) {
	pid := Find(dir)
	if pid == 0 {
		return nil, fmt.Errorf("%s: %w", filepath.Base(dir), ErrNotRunning)
	}
	return exec.CommandContext(ctx, "nsenter", append([]string{
		"--target", strconv.Itoa(pid), "--mount", "--net", "--uts", "--ipc", "--pid", "--"}, args...)...), nil
}
