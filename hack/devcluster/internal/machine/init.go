// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Main is the init of the machine in dir. It starts and signals what it is asked to on its socket, reaps what ends, and
// returns only on an error: it is there until it is killed.
func Main(dir string) error {
	spec, err := load(dir)
	if err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is for process 1 of a machine: use devcluster up", Command)
	}
	if err := furnish(spec); err != nil {
		return fmt.Errorf("machine %s: %w", spec.Name, err)
	}
	in := &Init{spec: spec, running: map[string]*State{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	// Only a kill ends a machine: a hangup of the terminal that it was started from does not.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	go func() {
		for range ended {
			in.reap()
		}
	}()
	os.Remove(socket(dir))
	listener, err := net.Listen("unix", socket(dir))
	if err != nil {
		return fmt.Errorf("machine %s: %w (a path of a socket has 107 characters at most: set XDG_CACHE_HOME to a shorter one)", spec.Name, err)
	}
	server := rpc.NewServer()
	if err := server.Register(in); err != nil {
		return err
	}
	server.Accept(listener)
	return fmt.Errorf("machine %s: its socket closed", spec.Name)
}

// Init answers calls on the machine's socket.
type Init struct {
	spec    Spec
	mu      sync.Mutex
	running map[string]*State
	order   []string
}

// Start starts a process, if none of its name runs, and returns its state.
func (in *Init) Start(p Process, state *State) error {
	in.mu.Lock() // held over the fork: the process may end before it is known here
	defer in.mu.Unlock()
	if s := in.running[p.Name]; s != nil && s.Ended == "" {
		*state = *s
		return nil
	}
	log, err := os.OpenFile(Log(in.spec.Dir, p.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   append([]string{path, "HOME=/root", "TMPDIR=" + in.spec.temporary()}, p.Env...),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if p.Machine {
		attr.Sys.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	}
	pid, err := syscall.ForkExec(p.Args[0], p.Args, attr)
	if err != nil {
		return fmt.Errorf("start %s (%s) on %s: %w", p.Name, p.Args[0], in.spec.Name, err)
	}
	if in.running[p.Name] == nil {
		in.order = append(in.order, p.Name)
	}
	in.running[p.Name] = &State{Process: p, Pid: pid, Started: time.Now()}
	*state = *in.running[p.Name]
	return nil
}

// List returns the state of every process that was started, in the order of their first start.
func (in *Init) List(_ struct{}, all *[]State) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, name := range in.order {
		s := *in.running[name]
		_, state := stat(s.Pid)
		s.Paused = s.Ended == "" && state == "T"
		*all = append(*all, s)
	}
	return nil
}

// Signal is a signal for the process of a name; for every process but the init, if the name is empty.
type Signal struct {
	Name   string
	Signal syscall.Signal
}

// Send sends a signal; a process that has ended gets none.
func (in *Init) Send(s Signal, _ *struct{}) error {
	if s.Name == "" {
		if err := syscall.Kill(-1, s.Signal); err != nil && err != syscall.ESRCH {
			return err
		}
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	p := in.running[s.Name]
	if p == nil || p.Ended != "" {
		return nil
	}
	return syscall.Kill(p.Pid, s.Signal)
}

// Contained returns how many processes run that are children of one that the machine did not start itself, and sends
// each of them a signal, if it is not 0: these are the first processes of containers, as their shims are the init's.
func (in *Init) Contained(s syscall.Signal, count *int) error {
	for pid := range pids() {
		shim, _ := stat(pid)
		if isZombie(pid) || shim <= 1 || in.started(shim) || in.started(pid) {
			continue
		}
		if grand, _ := stat(shim); grand != 1 {
			continue
		}
		*count++
		if s != 0 {
			if err := syscall.Kill(pid, s); err != nil && err != syscall.ESRCH {
				return err
			}
		}
	}
	return nil
}

func (in *Init) started(pid int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.running {
		if s.Pid == pid && s.Ended == "" {
			return true
		}
	}
	return false
}

// reap takes note of what ended, orphans included.
func (in *Init) reap() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, s := range in.running {
			if s.Pid == pid && s.Ended == "" {
				s.Ended = ended(status)
			}
		}
	}
}

func ended(status syscall.WaitStatus) string {
	at := time.Now().Format(time.TimeOnly)
	if status.Signaled() {
		return fmt.Sprintf("killed by %v at %s", status.Signal(), at)
	}
	return fmt.Sprintf("exit %d at %s", status.ExitStatus(), at)
}

// own are the folders that a machine has to itself; what is in them outlives it, as on a disk.
func own(dir string) map[string]string {
	return map[string]string{
		"/var/lib": filepath.Join(dir, "var/lib"),
		"/var/log": filepath.Join(dir, "var/log"),
	}
}
