// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/natstest"
)

// run runs a command line within the process; only for what ends by itself.
func run(environ []string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = Main(args, environ, &o, &e)
	return code, o.String(), e.String()
}

func TestVersion(t *testing.T) {
	code, out, _ := run(nil, "--version")
	if code != ExitOK || !strings.Contains(out, "membershipd version ") || !strings.Contains(out, "nats-server 2.") {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestConfigIsPrintedMasked(t *testing.T) {
	const secret = "hunter2-hunter2"
	code, out, errs := run([]string{"UNIBUS_CLUSTER_PASS=" + secret}, "config", "--formation", "found", "--port", "5000")
	if code != ExitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if strings.Contains(out+errs, secret) || !strings.Contains(out, "cluster-pass: '***") {
		t.Errorf("the secret is not masked:\n%s", out)
	}
	for _, want := range []string{"port: 5000", "formation: found", "# flag", "# env", "# default"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "garbled")
	if err := os.WriteFile(file, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		environ, args []string
		want          string
	}{
		"port":                {nil, []string{"--port", "99999"}, "--port"},
		"not a number":        {nil, []string{"--http-port", "many"}, "--http-port"},
		"unknown flag":        {nil, []string{"--prot", "1"}, "--prot"},
		"unknown variable":    {[]string{"UNIBUS_PROT=1"}, nil, "UNIBUS_PROT"},
		"argument":            {nil, []string{"start"}, "start"},
		"open off loopback":   {nil, []string{"--bind", "0.0.0.0", "--open"}, "--open"},
		"no route secret":     {nil, []string{"--bind", "0.0.0.0"}, "--cluster-pass-file"},
		"half route TLS":      {nil, []string{"--route-tls-cert", file}, "--route-tls-key"},
		"garbled TLS":         {nil, []string{"--route-tls-cert", file, "--route-tls-key", file, "--route-tls-ca", file}, "--route-tls-cert"},
		"operator key":        {nil, []string{"--operator-key", "UABC"}, "--operator-key"},
		"port in use":         {nil, []string{"--port", port}, "--port: listen"},
		"cluster port in use": {nil, []string{"--cluster-port", port}, "--cluster-port: listen"},
		"http port in use":    {nil, []string{"--http-port", port}, "--http-port: listen"},
		"api port in use":     {nil, []string{"--api-port", port}, "--api-port: listen"},
		"control port in use": {nil, []string{"--control-port", port}, "--control-port: listen"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			args := []string{"--formation", "found", "--store-dir", dir}
			for _, f := range []string{"--port", "--cluster-port", "--http-port", "--control-port", "--api-port"} {
				args = append(args, f, "0") // what the case sets comes later and wins
			}
			code, _, errs := run(c.environ, append(args, c.args...)...)
			if code != ExitRefused || !strings.Contains(errs, c.want) {
				t.Errorf("exit %d, %q; want %d and %q", code, errs, ExitRefused, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "jetstream")); err == nil {
				t.Error("a store was made")
			}
		})
	}
}

// daemon is a membershipd in a process of its own.
type daemon struct {
	cmd  *exec.Cmd
	log  *told
	http string
	done chan error
}

func mustDaemon(t *testing.T, args ...string) *daemon {
	t.Helper()
	d := &daemon{log: &told{}, done: make(chan error, 1)}
	port := natstest.MustFreePort(t)
	d.http = fmt.Sprintf("http://127.0.0.1:%d", port)
	args = append([]string{"--port", "0", "--cluster-port", "0", "--control-port", "0", "--api-port", "0", "--http-port", strconv.Itoa(port)}, args...)
	d.cmd = exec.Command(os.Args[0], args...)
	d.cmd.Env = append(os.Environ(), asDaemon+"=1")
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.done <- d.cmd.Wait() }()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it may have ended
		d.mustEnd(t)
	})
	return d
}

// mustEnd waits for the end and returns the exit code, -1 after a signal.
func (d *daemon) mustEnd(t *testing.T) int {
	t.Helper()
	select {
	case err := <-d.done:
		d.done <- err
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatal("the process does not end")
		return 0
	}
}

func (d *daemon) status(path string) int {
	resp, err := http.Get(d.http + path)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestProcessStopsOnSignal(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // founds, then resumes
		d := mustDaemon(t, "--formation", "found", "--store-dir", dir, "--log-format", "json")
		natstest.Within(t, limit, "ready", func() bool { return d.status("/readyz") == 200 })
		if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := d.mustEnd(t); code != ExitOK {
			t.Errorf("exit %d after SIGTERM:\n%s", code, d.log)
		}
		for line := range strings.Lines(d.log.String()) {
			if !strings.HasPrefix(line, "{") {
				t.Errorf("a line of the log is no JSON: %s", line)
			}
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	d := mustDaemon(t, "--formation", "found", "--store-dir", t.TempDir())
	natstest.Within(t, limit, "ready", func() bool { return d.status("/readyz") == 200 })
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := d.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	if code := d.mustEnd(t); code != ExitForced || !strings.Contains(d.log.String(), "a second signal") {
		t.Errorf("exit %d after two signals:\n%s", code, d.log)
	}
}

func TestStoreInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := mustDaemon(t, "--formation", "found", "--store-dir", dir)
	natstest.Within(t, limit, "ready", func() bool { return first.status("/readyz") == 200 })
	second := mustDaemon(t, "--formation", "found", "--store-dir", dir)
	if code := second.mustEnd(t); code != ExitRefused || !strings.Contains(second.log.String(), "in use") {
		t.Errorf("exit %d:\n%s", code, second.log)
	}
	if first.status("/readyz") != 200 {
		t.Error("the first process was disturbed")
	}
}
