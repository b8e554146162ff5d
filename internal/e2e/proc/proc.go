// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Command says what is started.
type Command struct {
	// Name is for messages.
	Name string
	Path string
	Args []string
	// Env is added to the environment.
	Env []string
	// Log gets what the process says; it is appended to.
	Log string
	// Dir is the working folder, the caller's when empty.
	Dir string
}

// Process is a running or ended process.
type Process struct {
	name  string
	log   string
	start int64 // where this process's words begin in the log
	cmd   *exec.Cmd
	done  chan struct{}
	err   error
}

// Start starts a process, in a process group of its own: an interrupt from the terminal is for the caller alone, who ends its
// processes. The system kills it should the caller die.
func Start(c Command) (*Process, error) {
	f, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", c.Name, err)
	}
	defer f.Close()
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, log: c.Log, start: at, cmd: exec.Command(c.Path, c.Args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = c.Dir, append(environment(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = attributes()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// environment is the caller's, without what would configure a node: that is the caller's own.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "UNIBUS_") })
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the process with SIGKILL and returns when it has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// Pause stops the process with SIGSTOP: it keeps its connections and answers nothing.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Continue lets a paused process go on.
func (p *Process) Continue() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to %s: %w", s, p.name, err)
	}
	return nil
}

// Stop asks the process to end with SIGTERM and waits until it has; it is killed, and that is an error, when ctx ends first.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.Wait(ctx)
}

// Wait waits until the process has ended and returns an error unless its exit status is 0. It is killed when ctx ends first.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not end: %w", p.name, ctx.Err())
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}

// Output returns what this process has said so far.
func (p *Process) Output() string {
	b, err := os.ReadFile(p.log)
	if err != nil || int64(len(b)) < p.start {
		return ""
	}
	return string(b[p.start:])
}

// AwaitOutput waits until the process has said something that the expression matches, or has ended, or ctx ends, and says
// whether it has said so.
func (p *Process) AwaitOutput(ctx context.Context, e *regexp.Regexp) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		running := p.Running() // asked first: what it said before its end counts
		if e.MatchString(p.Output()) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if !running {
			return false
		}
	}
}

// Tail returns the last lines of a log file.
func Tail(file string, lines int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(b, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// Newest lists the log files in a folder that were written to last, at most n.
func Newest(dir string, n int) []string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.log")) // the pattern is valid
	written := map[string]time.Time{}
	for _, f := range files {
		if i, err := os.Stat(f); err == nil {
			written[f] = i.ModTime()
		}
	}
	slices.SortFunc(files, func(a, b string) int { return written[b].Compare(written[a]) })
	return files[:min(n, len(files))]
}
