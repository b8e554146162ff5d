// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

// A node that was named by mistake is not written down, and one that was is replaced as long as nothing was founded.
func TestCreateAfterATypingError(t *testing.T) {
	l := mustLab(t)
	code, out, said := l.run("init", "-o", "json")
	if code != 0 {
		t.Fatal(said)
	}
	var keys publicKeys
	must(t, json.Unmarshal([]byte(out), &keys))
	dir := t.TempDir()
	log, port := filepath.Join(dir, "log"), natstest.MustFreePort(t)
	p, err := proc.Start(proc.Command{Name: "node", Path: l.bin.Membershipd, Log: log, Args: []string{
		"--store-dir", filepath.Join(dir, "store"), "--port", "0", "--http-port", "0", "--api-port", "0", "--control-port", fmt.Sprint(port),
		"--cluster-port", fmt.Sprint(natstest.MustFreePort(t)), "--operator-key", keys.Operator, "--order-key", keys.Order,
	}})
	must(t, err)
	t.Cleanup(p.Kill)
	good := fmt.Sprintf("http://127.0.0.1:%d", port)
	ctl, err := newControl(tlsFiles{})
	must(t, err)
	t.Cleanup(ctl.Close)
	if !natstest.Until(limit, func() bool { _, err := ctl.Status(t.Context(), good); return err == nil }) {
		t.Fatalf("the node does not answer:\n%s", proc.Tail(log, 15))
	}

	if code, _, said := l.run("create", "--node", "http://127.0.0.1:9"); code != console.ExitFailed || !strings.Contains(said, "127.0.0.1:9") {
		t.Errorf("create with a node that does not answer: exit code %d\n%s", code, said)
	}
	if l.folder.exists(inventoryFile) {
		t.Error("a node that does not answer was written down")
	}
	must(t, l.folder.createInventory(t.Context(), inventory{Name: "unibus", Replicas: 1, Size: 1, Places: []place{{Control: "http://127.0.0.1:9"}}}))
	l.expectMembers(l.mustRun("create", "--node", good), 1)
	inv, err := l.folder.inventory()
	must(t, err)
	if len(inv.Places) != 1 || inv.Places[0].Control != good {
		t.Errorf("the places: %+v", inv.Places)
	}
	if code, _, said := l.run("create", "--node", "http://127.0.0.1:9"); code != console.ExitFailed {
		t.Errorf("create of a cluster that exists, with another node: exit code %d\n%s", code, said)
	}
	if now, err := l.folder.inventory(); err != nil || len(now.Places) != 1 {
		t.Errorf("the places of a cluster that exists: %+v, %v", now.Places, err)
	}
}
