// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

// mustAnswer has a web server answer every request at an address ("" for any) with 200 and a text.
func mustAnswer(t *testing.T, address, answer string) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
	if address != "" {
		s.Listener.Close()
		natstest.Within(t, limit, "the port of a process that was killed", func() bool {
			var err error
			s.Listener, err = net.Listen("tcp", address)
			return err == nil
		})
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// Only what a node says is heard, and only where the node is.
func TestStatusOfWhatIsNoNode(t *testing.T) {
	ctl, err := newControl(tlsFiles{})
	must(t, err)
	defer ctl.Close()
	for _, answer := range []string{`{}`, `{"phase":"waiting"}`, `{"diskID":"a"}`, `{"diskID":"a","phase":"sleeping"}`, `[]`} {
		if s, err := ctl.Status(t.Context(), mustAnswer(t, "", answer).URL); err == nil {
			t.Errorf("%s was taken for the status of a node: %+v", answer, s)
		}
	}
	node := mustAnswer(t, "", `{"diskID":"a","phase":"waiting"}`)
	if _, err := ctl.Status(t.Context(), node.URL); err != nil {
		t.Errorf("a node: %v", err)
	}
	redirect := httptest.NewServer(http.RedirectHandler(node.URL+v1.PathNode, http.StatusTemporaryRedirect))
	defer redirect.Close()
	if s, err := ctl.Status(t.Context(), redirect.URL); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("a redirect was followed: %+v, %v", s, err)
	}
}

// A node that has not met a member since its start tells of it by an id; decisions go by names.
func TestMemberThatANodeHasNotMet(t *testing.T) {
	ctl, err := newControl(tlsFiles{})
	must(t, err)
	f := folder{t.TempDir()}
	must(t, f.writeRecord(t.Context(), &scaling.Record{Names: map[string]scaling.Name{"a-0-0": {Phase: scaling.Member}, "a-1-0": {Phase: scaling.Removing, Place: 1}}}, 0))
	node := mustAnswer(t, "", fmt.Sprintf(`{"diskID":"a","phase":"running","serverName":"a-0-0","meta":{"size":3,"members":[%q,%q,"a-0-0"]}}`,
		embeddednats.PeerID("a-1-0"), embeddednats.PeerID("a-2-0")))
	o := &observer{folder: f, launcher: &launcher{folder: f, control: ctl}, control: ctl}
	defer o.close()
	seen, err := o.observeWith(t.Context(), inventory{Name: "a", Places: []place{{Control: node.URL}}})
	must(t, err)
	want := []string{"a-1-0", embeddednats.PeerID("a-2-0"), "a-0-0"} // nobody knows the name of the second one
	if diff := cmp.Diff(want, seen.seen.Places[0].Node.Members); diff != "" {
		t.Error(diff)
	}
}

// What has taken the port of a node that was killed is not heard as that node with another disk: nothing is removed.
func TestPortOfAKilledNodeIsTaken(t *testing.T) {
	l := mustLab(t)
	l.expectMembers(l.mustRun("create", "--replicas", "3"), 3)
	inv, err := l.folder.inventory()
	must(t, err)
	l.kill(2)
	stranger, err := json.Marshal(v1.NodeStatus{Phase: v1.NodeWaiting, DiskID: "stranger", Nonce: "x", ClusterName: "unibus"})
	must(t, err)
	for _, answer := range []string{`{}`, string(stranger)} {
		s := mustAnswer(t, strings.TrimPrefix(inv.Places[2].Control, "http://"), answer)
		code, out, said := l.run("start", "--timeout", "2m")
		if code != console.ExitPerson || !strings.Contains(out+said, "its port is taken") || !strings.Contains(out+said, "control-port") {
			t.Errorf("start beside %s: exit code %d\n%s%s", answer, code, out, said)
		}
		if code, out, said := l.run("status"); code != 0 || !strings.Contains(out, "stopped") {
			t.Errorf("status beside %s: exit code %d\n%s%s", answer, code, out, said)
		}
		s.Close()
		v, err := l.folder.record()
		must(t, err)
		if q := v.Record.Names["unibus-2-0"]; q.Phase != scaling.Member || len(v.Record.Names) != 3 {
			t.Fatalf("the record beside %s: %+v", answer, v.Record.Names)
		}
	}
	now, err := l.folder.inventory()
	must(t, err)
	if now.Places[2].DiskID != inv.Places[2].DiskID {
		t.Errorf("the disk of node-2 is %s by now, it was %s", now.Places[2].DiskID, inv.Places[2].DiskID)
	}
	// The remedy: another port.
	mustAnswer(t, strings.TrimPrefix(inv.Places[2].Control, "http://"), `{}`)
	l.mustMoveControl(2, inv.Places[2].Control)
	l.expectMembers(l.mustRun("start"), 3)
}

// mustMoveControl gives a local node that does not run another control port in its file, and returns the URL there.
func (l *lab) mustMoveControl(i int, old string) string {
	l.t.Helper()
	config, err := os.ReadFile(l.folder.path(configFile(i)))
	must(l.t, err)
	ports, err := freePorts(1)
	must(l.t, err)
	line := func(url string) []byte {
		return []byte("control-port: " + strings.TrimPrefix(url, "http://127.0.0.1:") + "\n")
	}
	now := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if !bytes.Contains(config, line(old)) {
		l.t.Fatalf("%s is not in the configuration of node-%d:\n%s", old, i, config)
	}
	must(l.t, os.WriteFile(l.folder.path(configFile(i)), bytes.Replace(config, line(old), line(now), 1), 0o600))
	return now
}

// The first start after the file was changed goes by the file: no start by the port of before has to fail in between.
func TestControlPortOfTheFileIsHeeded(t *testing.T) {
	l := mustLab(t)
	launcher := l.mustPlaces(1)
	inv, err := l.folder.inventory()
	must(t, err)
	old := inv.Places[0].Control
	l.kill(0)
	mustAnswer(t, strings.TrimPrefix(old, "http://"), `{}`)
	if err := launcher.start(t.Context(), 0); !errors.Is(err, errClash) {
		t.Fatalf("a start at a port that is taken: %v", err)
	}
	want := l.mustMoveControl(0, old)
	if err := launcher.start(t.Context(), 0); err != nil {
		t.Fatalf("a start at another port than the one that is taken: %v", err)
	}
	inv, err = l.folder.inventory()
	must(t, err)
	if inv.Places[0].Control != want {
		t.Errorf("node-0 is looked for at %s, it is at %s", inv.Places[0].Control, want)
	}
	if _, err := launcher.status(t.Context(), 0, inv.Places[0]); err != nil {
		t.Errorf("node-0 at its other port: %v", err)
	}
}

// TestPortsOfOthers: what nodes are configured with is planned, and not taken for another one though nobody listens there yet.
func TestPortsOfOthers(t *testing.T) {
	l := mustLab(t)
	launcher := l.mustPlaces(2)
	inv, err := l.folder.inventory()
	must(t, err)
	planned, err := launcher.planned(inv)
	must(t, err)
	slices.Sort(planned)
	if len(planned) != 10 || len(slices.Compact(slices.Clone(planned))) != 10 || planned[0] < firstPort {
		t.Errorf("ports of two nodes: %v", planned)
	}
	var all []int
	for port := firstPort; port < lastPort; port++ {
		all = append(all, port)
	}
	if ports, err := freePorts(1, all...); err == nil {
		t.Errorf("all ports are planned, and %v is chosen", ports)
	}
}
