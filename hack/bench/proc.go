// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// node is one server process, ours or stock.
type node struct {
	name   string
	argv   []string
	env    []string // beside the environment of the bench
	url    string   // where clients connect
	http   string   // where it tells of itself; only ours do
	api    string   // its HTTP API; only ours have one
	store  string   // folder with its data
	log    string   // file with what it says
	cmd    *exec.Cmd
	exited chan struct{}
}

// start starts the process; it does not wait until the server is of use.
func (n *node) start() error {
	f, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("log of %s: %w", n.name, err)
	}
	defer f.Close()
	cmd := exec.Command(n.argv[0], n.argv[1:]...)
	cmd.Env = append(os.Environ(), n.env...)
	cmd.Stdout, cmd.Stderr = f, f
	// Nothing that the bench started outlives it, however it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.cmd, n.exited = cmd, make(chan struct{})
	go func() { _ = cmd.Wait(); close(n.exited) }() // how it ended is in its log
	return nil
}

// kill ends the process as a power cut of the machine would, but for the page cache.
func (n *node) kill() { n.end(syscall.SIGKILL) }

// stop ends the process as a service manager would.
func (n *node) stop() { n.end(syscall.SIGTERM) }

func (n *node) end(s syscall.Signal) {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(s) // it may be gone already
	select {
	case <-n.exited:
	case <-time.After(90 * time.Second):
		_ = n.cmd.Process.Kill()
		<-n.exited
	}
	n.cmd = nil
}

var (
	errGivenUp = errors.New("given up")
	errNotHeld = errors.New("a bound was not held: see the table")
)

// until polls cond every step until it holds; it fails with errGivenUp after limit.
func until(ctx context.Context, what string, limit, step time.Duration, cond func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w after %v: %s", errGivenUp, limit, what)
		case <-tick.C:
		}
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
