// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A command that does not end when it is asked to ends when it is asked again.
func TestSecondInterrupt(t *testing.T) {
	if os.Getenv("DEVCLUSTER_TEST_INTERRUPT") != "" {
		ctx, stop := interruptible()
		defer stop()
		fmt.Fprintln(os.Stdout, "begins")
		<-ctx.Done()
		fmt.Fprintln(os.Stdout, "was interrupted")
		_, _ = io.Copy(io.Discard, os.Stdin) // goes on
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSecondInterrupt$")
	cmd.Env = append(os.Environ(), "DEVCLUSTER_TEST_INTERRUPT=1")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for _, want := range []string{"begins\n", "was interrupted\n"} {
		if got, err := lines.ReadString('\n'); got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C: // people press it more than once, too
			_ = cmd.Process.Signal(syscall.SIGINT)
		case <-ended:
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
				t.Errorf("it ended with %v, want by the signal", cmd.ProcessState)
			}
			return
		}
	}
}
