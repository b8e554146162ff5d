// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// nodeChild is a node in a process of its own. It says "identity" once it has one and "running URL" once it runs, and waits
// to be killed.
func nodeChild(port int, dir string) {
	f, err := Open(nodeConfig(dir, "k-0", ModeFound, []int{port}, 0))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go func() { fmt.Println("ended", f.Run(context.Background())) }()
	said := false
	for {
		changed := f.watch()
		switch s := f.Status(); {
		case s.Phase == v1.NodeRunning:
			fmt.Println("running", s.ClientURL)
		case s.ServerName != "" && !said:
			said = true
			fmt.Println("identity")
		}
		<-changed
	}
}

// MustChild starts such a node and returns once it says the word, with what it says after it, and a function that kills it.
func MustChild(t *testing.T, port int, dir, word string) (rest string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=node:%d:%s", childEnv, port, dir))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it says that it was killed
		}
	}
	t.Cleanup(kill)
	for in := bufio.NewScanner(out); in.Scan(); {
		if rest, ok := strings.CutPrefix(in.Text(), word); ok {
			return strings.TrimSpace(rest), kill
		}
	}
	t.Fatalf("the node ended before it said %q", word)
	return "", nil
}

// TestKilledAfterFounding: what was acknowledged is there when the node comes back by itself.
func TestKilledAfterFounding(t *testing.T) {
	dir, ports := t.TempDir(), MustPorts(t, 1)
	at, kill := MustChild(t, ports[0], dir, "running")
	nc, err := nats.Connect(at)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ExpectSoon(t, "an acknowledged write", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"KEPT.>"}, MaxBytes: 1 << 20})
		if err == nil {
			_, err = js.Publish(ctx, "KEPT.a", []byte("one"))
		}
		return err == nil
	})
	nc.Close()
	kill()
	n := MustNode(t, nodeConfig(dir, "", ModeOrder, ports, 0)) // the mode that founded it does not matter any more
	n.ExpectRunning(t)
	n.ExpectMembers(t, "k-0")
	n.ExpectKept(t, "one")
}

// TestKilledWhileFounding: the next boot goes on, with the cluster id that was written first.
func TestKilledWhileFounding(t *testing.T) {
	for _, after := range []int{0, 30, 100, 250} {
		t.Run(strconv.Itoa(after)+"ms", func(t *testing.T) {
			dir, ports := t.TempDir(), MustPorts(t, 1)
			_, kill := MustChild(t, ports[0], dir, "identity")
			<-time.After(time.Duration(after) * time.Millisecond) // where it dies is up to the machine
			kill()
			f := MustOpen(t, nodeConfig(dir, "k-0", ModeFound, ports, 0))
			id := f.Status().ClusterID
			n := &testNode{Formation: f, cfg: f.cfg, stop: MustRun(t, f)}
			n.ExpectRunning(t)
			n.ExpectMembers(t, "k-0")
			n.MustKeep(t, "one")
			if s := n.Status(); s.ClusterID != id || id == "" || s.Founding {
				t.Errorf("cluster id %q before, and then %+v", id, s)
			}
		})
	}
}
