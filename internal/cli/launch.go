// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/steering"
)

const (
	// startLimit is how long a local node may take until its control endpoint answers.
	startLimit = 30 * time.Second
	// stopLimit is how long a local node may take to hand over what it leads and to end.
	stopLimit = 90 * time.Second
	// pollEvery is how often a process is looked at that is starting or stopping.
	pollEvery = 50 * time.Millisecond
)

// raftTimers are membershipd's settings for the timers that a node's status tells.
var raftTimers = map[string]string{"2s/4s/500ms": "fast", "4s/9s/1s": "stock"}

// launcher starts and stops the nodes that are processes of this machine.
type launcher struct {
	folder  folder
	control *steering.Control
	// program is the path of membershipd, found when it is first needed.
	program string
	// failed are the places whose node could not be started.
	failed map[int]failure
}

func configFile(i int) string { return fmt.Sprintf("node-%d.yaml", i) }
func logFile(i int) string    { return fmt.Sprintf("node-%d.log", i) }
func storeDir(i int) string   { return fmt.Sprintf("node-%d", i) }
func startLock(i int) string  { return fmt.Sprintf(".node-%d.lock", i) }

// settle starts every local place below the inventory's size that does not run, and stops those from there on. The inventory tells only
// where to look: another run may have changed it since it was read, even long ago if this run was suspended, so that what is to run is
// read anew for each place, under the place's lock.
func (l *launcher) settle(ctx context.Context, inv inventory) error {
	if inv.Stopped {
		return nil // whoever wished that stops them
	}
	var errs []error
	for i := range max(inv.Size, len(inv.Places)) {
		switch {
		case i < len(inv.Places) && inv.Places[i].Local == nil: // not ours
		case i < inv.Size:
			errs = append(errs, l.patiently(i, func() error { return l.start(ctx, i) }))
		default:
			errs = append(errs, l.stopIf(ctx, ctx, i, func(inv inventory) bool { return i >= inv.Size }))
		}
	}
	return errors.Join(errs...)
}

// start starts the local node of a place that is to run, unless it does, and waits until its control endpoint answers. A place that does
// not exist yet is made. Two runs may do so at the same time: one starts it, the other one finds it running.
func (l *launcher) start(ctx context.Context, i int) error {
	return l.folder.locked(ctx, startLock(i), func() error {
		inv, err := l.folder.inventory()
		if err != nil || !inv.runs(i) {
			return err
		}
		if i < len(inv.Places) {
			if l.started(i, inv.Places[i]) {
				return nil
			}
			p := inv.Places[i]
			if c, _, err := l.configured(i); err == nil {
				p.Control = c // somebody may have given it another port
			}
			if err := l.clash(ctx, i, p); err != nil {
				return err
			}
			if l.started(i, p) {
				return nil // by hand, just now
			}
		}
		for attempt := 1; ; attempt++ {
			fresh, err := l.configure(ctx, i, inv)
			if err != nil {
				return err
			}
			err = l.launch(ctx, i)
			if err == nil || !fresh || attempt == 3 || ctx.Err() != nil || !errors.As(err, new(*endedError)) {
				return err
			}
			// Somebody else took one of the ports between choosing and using them: choose anew, nobody knows them yet.
			if err := os.Remove(l.folder.path(configFile(i))); err != nil {
				return fmt.Errorf("choose other ports for node-%d: %w", i, err)
			}
		}
	})
}

// configure writes the configuration of a new place and adds the place to the inventory. fresh is true when it has written one.
func (l *launcher) configure(ctx context.Context, i int, inv inventory) (fresh bool, err error) {
	if l.folder.exists(configFile(i)) {
		if err := errors.Join(l.relocate(i), l.amend(i, inv)); err != nil {
			return false, err
		}
	} else {
		keys, err := l.folder.initKeys(ctx)
		if err != nil {
			return false, err
		}
		ports, err := l.freePorts(5, inv)
		if err != nil {
			return false, err
		}
		dir, err := filepath.Abs(l.folder.dir)
		if err != nil {
			return false, fmt.Errorf("cluster folder: %w", err)
		}
		settings := map[string]any{
			"store-dir": filepath.Join(dir, storeDir(i)), "formation": "order", "bind": "127.0.0.1",
			"port": ports[0], "http-port": ports[1], "control-port": ports[2], "cluster-port": ports[3], "api-port": ports[4],
			"cluster-name": inv.Name, "cluster-user": "unibus", "cluster-pass-file": filepath.Join(dir, passFile),
			"operator-key": keys.Operator, "order-key": keys.Order, "identity-record": filepath.Join(dir, recordFile),
		}
		if len(inv.Admins) > 0 {
			settings["admin"] = inv.adminKeys()
		}
		if timers := l.timers(ctx, inv); timers != "" {
			settings["raft-timers"] = timers
		}
		b, err := yaml.Marshal(settings)
		if err != nil {
			return false, fmt.Errorf("encode the configuration of node-%d: %w", i, err)
		}
		if err := l.folder.write(configFile(i), b, 0o600); err != nil {
			return false, err
		}
		fresh = true
	}
	control, api, err := l.configured(i)
	if err != nil {
		return false, err
	}
	_, err = l.folder.update(ctx, func(inv *inventory) error {
		if i > len(inv.Places) {
			return fmt.Errorf("place %d can't be made before place %d", i, len(inv.Places))
		}
		if i == len(inv.Places) {
			inv.Places = append(inv.Places, place{Local: &local{}})
		}
		inv.Places[i].Control, inv.Places[i].API = control, api
		return nil
	})
	return fresh, err
}

// timers is the setting for the Raft timers of the cluster, without which a node can't join: as a member keeps them, and else as the
// nodes here are configured. Empty where nobody tells: the first node sets them.
func (l *launcher) timers(ctx context.Context, inv inventory) string {
	for i, p := range inv.Places {
		if p.Control == "" || inv.ClusterID == "" {
			continue
		}
		if s, err := l.status(ctx, i, p); err == nil && s.ClusterID == inv.ClusterID && raftTimers[s.RaftTimers] != "" {
			return raftTimers[s.RaftTimers]
		}
	}
	for i := range inv.Places {
		var c struct {
			Timers string `yaml:"raft-timers"`
		}
		b, err := os.ReadFile(l.folder.path(configFile(i)))
		if err == nil && yaml.Unmarshal(b, &c) == nil && c.Timers != "" {
			return c.Timers
		}
	}
	return ""
}

// endedError says that a process ended instead of answering.
type endedError struct{ what string }

func (e *endedError) Error() string { return e.what }

// launch starts the process, writes its id down, and waits until it answers.
func (l *launcher) launch(ctx context.Context, i int) error {
	program, err := l.find()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(l.folder.path(logFile(i)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of node-%d: %w", i, err)
	}
	defer log.Close()
	config, err := filepath.Abs(l.folder.path(configFile(i)))
	if err != nil {
		return fmt.Errorf("configuration of node-%d: %w", i, err)
	}
	began, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("log of node-%d: %w", i, err)
	}
	cmd := exec.Command(program, "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	// The file says it all: a variable beats it, and would be the same for all nodes.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "UNIBUS_") })
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true} // it outlives this program and its terminal
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start node-%d: %w", i, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	inv, err := l.folder.update(ctx, func(inv *inventory) error {
		inv.Places[i].Local.PID = cmd.Process.Pid
		return nil
	})
	if err != nil {
		return err
	}
	for end := time.Now().Add(startLimit); ; {
		s, err := l.status(ctx, i, inv.Places[i])
		if err == nil {
			_, err = l.folder.update(ctx, func(inv *inventory) error {
				inv.Places[i].DiskID = s.DiskID
				return nil
			})
			return err
		}
		select {
		case werr := <-ended:
			return &endedError{fmt.Sprintf("node-%d ended right after its start (%v), and said in %s:\n%s", i, werr, log.Name(), tail(log.Name(), began))}
		case <-ctx.Done():
			return fmt.Errorf("start node-%d: %w", i, ctx.Err())
		case <-time.After(pollEvery):
		}
		if time.Now().After(end) {
			return fmt.Errorf("node-%d does not answer after %v: %w; its log is %s", i, startLimit, err, log.Name())
		}
	}
}

// find looks for membershipd beside this program, then in PATH.
func (l *launcher) find() (string, error) {
	if l.program != "" {
		return l.program, nil
	}
	if self, err := os.Executable(); err == nil {
		p := filepath.Join(filepath.Dir(self), "membershipd")
		if i, err := os.Stat(p); err == nil && i.Mode().IsRegular() {
			l.program = p
			return p, nil
		}
	}
	p, err := exec.LookPath("membershipd")
	if err != nil {
		return "", fmt.Errorf("membershipd is neither beside this program nor in PATH; build both with: make build (%w)", err)
	}
	l.program = p
	return p, nil
}

// stopIf stops the local node of a place, if it runs and if the inventory, read while no other run starts or stops that node, says so.
// It waits for other runs while lock lasts, for the node while ctx does.
func (l *launcher) stopIf(lock, ctx context.Context, i int, is func(inventory) bool) error {
	return l.folder.locked(lock, startLock(i), func() error {
		inv, err := l.folder.inventory()
		if err != nil || i >= len(inv.Places) || inv.Places[i].Local == nil || !is(inv) {
			return err
		}
		return l.stop(ctx, i, inv.Places[i])
	})
}

// stop stops the local node of a place, if it runs. The process gets the signal only when what answers at the place's control
// endpoint has the disk that is expected there.
func (l *launcher) stop(ctx context.Context, i int, p place) error {
	pid := l.process(i, p.Local.PID)
	s, err := l.control.Status(ctx, p.Control)
	switch {
	case pid == 0 && err == nil && (p.DiskID == "" || s.DiskID == p.DiskID):
		return fmt.Errorf("node-%d is not stopped: disk %s answers at %s, but no process of node-%d runs; stop it by hand", i, s.DiskID, p.Control, i)
	case pid == 0:
		return nil
	case err != nil && l.process(i, pid) == 0:
		return nil // it ended meanwhile
	case err != nil:
		return fmt.Errorf("node-%d is not stopped: process %d runs, but does not say which disk it has: %w; if it hangs, end it by hand", i, pid, err)
	case p.DiskID != "" && s.DiskID != p.DiskID:
		return fmt.Errorf("node-%d is not stopped: disk %s answers at %s, %s was expected; stop it by hand", i, s.DiskID, p.Control, p.DiskID)
	}
	if s.Phase != v1.NodeStopping {
		if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("stop node-%d (process %d): %w", i, pid, err)
		}
	}
	for end := time.Now().Add(stopLimit); l.process(i, pid) == pid; {
		if time.Now().After(end) {
			return fmt.Errorf("node-%d (process %d) still runs %v after it was asked to stop; its log is %s", i, pid, stopLimit, l.folder.path(logFile(i)))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop node-%d: %w", i, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
	return nil
}
