// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/steering"
)

// tooOften is how many failed starts of a node in a row are enough to call a person.
const tooOften = 4

// failure is what became of the starts of one place's node.
type failure struct {
	times int
	next  time.Time
	err   error
}

// patiently starts a node that failed before only after a while, longer each time.
func (l *launcher) patiently(i int, start func() error) error {
	f := l.failed[i]
	if time.Now().Before(f.next) {
		return nil
	}
	err := start()
	if err == nil {
		delete(l.failed, i)
		return nil
	}
	if l.failed == nil {
		l.failed = map[int]failure{}
	}
	l.failed[i] = failure{times: f.times + 1, next: time.Now().Add(time.Second << f.times), err: err}
	return err
}

// hopeless returns why nodes can't be started, nil as long as that is still tried.
func (l *launcher) hopeless() error {
	var errs []error
	for _, f := range l.failed {
		if f.times >= tooOften {
			errs = append(errs, f.err)
		}
	}
	return errors.Join(errs...)
}

// started says whether the place's process exists. A node on another host is not ours to start: it always counts as started.
func (l *launcher) started(i int, p place) bool {
	return p.Local == nil || l.process(i, p.Local.PID) != 0
}

// status asks the node of a place for its status. At the port of a local place only the place's own process is heard: the node of
// another cluster that has taken the port of one that was killed looks like a node that has lost its disk.
func (l *launcher) status(ctx context.Context, i int, p place) (*v1.NodeStatus, error) {
	s, err := l.control.Status(ctx, p.Control)
	if err == nil && !l.started(i, p) {
		return nil, l.clashed(i, p, fmt.Sprintf("another node (disk %s)", s.DiskID))
	}
	return s, err
}

// clash returns an error when something else has the control port of a local place whose process does not run. A process that has just
// been killed may have it for a moment.
func (l *launcher) clash(ctx context.Context, i int, p place) error {
	u, err := url.Parse(p.Control)
	if err != nil || p.Control == "" {
		return nil // its configuration tells anew
	}
	ctx, cancel := context.WithTimeout(ctx, steering.StatusLimit)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", u.Host)
		if errors.Is(err, unix.ECONNREFUSED) {
			return nil // nobody has it
		}
		if err == nil {
			c.Close()
		}
		switch _, err := l.status(ctx, i, p); {
		case errors.Is(err, errClash):
			return err
		case err == nil:
			return nil // somebody has started it by hand just now
		}
		select {
		case <-ctx.Done():
			return l.clashed(i, p, "another program")
		case <-time.After(pollEvery):
		}
	}
}

// errClash says that a port of a node is in use by somebody else.
var errClash = errors.New("its port is taken")

func (l *launcher) clashed(i int, p place, by string) error {
	return fmt.Errorf("node-%d does not run, and %w: %s answers at %s; stop that, or give the node another control-port in %s (if this folder "+
		"was moved while the node ran, what answers may be the node itself: end it by hand)", i, errClash, by, p.Control, l.folder.path(configFile(i)))
}

// process returns the id of the place's process, 0 when there is none. The recorded id alone proves nothing: ids are given again,
// and whoever started the process may have died before writing its id down.
func (l *launcher) process(i, recorded int) int {
	config, err := filepath.Abs(l.folder.path(configFile(i)))
	if err != nil {
		return 0
	}
	at, missing := os.Stat(config)
	is := func(pid int) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		_, args, found := strings.Cut(string(b), "\x00--config\x00")
		if err != nil || !found {
			return false
		}
		path, _, _ := strings.Cut(args, "\x00")
		if path == config {
			return true
		}
		if !filepath.IsAbs(path) { // started by hand
			path = filepath.Join(fmt.Sprintf("/proc/%d/cwd", pid), path)
		}
		other, err := os.Stat(path) // started by way of another link or mount
		return err == nil && missing == nil && os.SameFile(at, other)
	}
	if _, err := os.Stat("/proc/self/cmdline"); err != nil { // a system without /proc: the recorded id is all there is
		if recorded > 0 && unix.Kill(recorded, 0) == nil {
			return recorded
		}
		return 0
	}
	if recorded > 0 && is(recorded) {
		return recorded
	}
	all, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	for _, dir := range all {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && is(pid) {
			return pid
		}
	}
	return 0
}

// Ports are sought below those that the kernel gives to outgoing connections (32768 and up on Linux), so that a node which is stopped
// for a while finds its own free again.
const (
	firstPort = 10_000
	lastPort  = 32_000
)

// freePorts returns TCP ports of 127.0.0.1 that were free a moment ago, all different, and none of those that are planned for others.
func freePorts(n int, planned ...int) ([]int, error) {
	var out []int
	for range 100 * n {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if slices.Contains(planned, port) {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody has it
		}
		defer l.Close() // all at the end, so that no port is found twice
		if out = append(out, l.Addr().(*net.TCPAddr).Port); len(out) == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports of 127.0.0.1 from %d to %d in %d attempts", n, firstPort, lastPort, 100*n)
}

// tail returns the last lines of a log, of those from an offset on.
func tail(file string, from int64) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "  " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b[min(from, int64(len(b))):])), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-3):], "\n  ")
}
