// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"go.yaml.in/yaml/v3"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
)

// TestAdmin: a cluster on a laptop can have an admin from its beginning, and says how to talk on it.
func TestAdmin(t *testing.T) {
	l := mustLab(t)
	dir := t.TempDir()
	file, contexts := filepath.Join(dir, "ann's.nk"), filepath.Join(dir, "contexts.json")
	unibus := func(line string) string {
		c := exec.Command("bash", "-euc", line)
		c.Env = append(os.Environ(), "UNIBUS_CONTEXTS="+contexts)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	unibus(l.bin.Unibus + " key new --out " + console.Word(file))
	r := l.mustRun("create", "--admin", file)
	unibus(r.Status.AddContext)
	if out := unibus(l.bin.Unibus + " user list -o json"); !strings.Contains(out, `"admin": true`) {
		t.Errorf("users: %s", out)
	}
	if r.Status.Nodes[0].Process == 0 {
		t.Error("the node has no process")
	}
	if _, table, _ := l.run("status"); !strings.Contains(table, r.Status.AddContext+"\n") {
		t.Errorf("the status does not say how to talk on it:\n%s", table)
	}
}

// TestOlderConfiguration: nodes that were configured before there was an API get a port of it at their next start, and admins that are named
// later.
func TestOlderConfiguration(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	l.mustStop()
	var before map[string]any
	b, err := os.ReadFile(l.folder.path(configFile(0)))
	must(t, err)
	must(t, yaml.Unmarshal(b, &before))
	delete(before, "api-port")
	b, err = yaml.Marshal(before)
	must(t, err)
	must(t, l.folder.write(configFile(0), append([]byte("# mine\n"), b...), 0o600))
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	key, err := pair.PublicKey()
	must(t, err)

	r := l.mustRun("create", "--admin", key)
	if !strings.HasSuffix(r.Status.AddContext, " --key FILE") {
		t.Errorf("it says %q", r.Status.AddContext)
	}
	api, err := client.NewAPI(client.Options{API: r.Status.Nodes[0].API, Key: client.SeedFunc(func() ([]byte, error) { return append([]byte{}, seed...), nil })})
	must(t, err)
	defer api.Close()
	natstest.Within(t, limit, "the key as an admin's", func() bool {
		u, _, err := api.User(t.Context(), key)
		return err == nil && u.Admin
	})
	after, err := os.ReadFile(l.folder.path(configFile(0)))
	must(t, err)
	if !strings.HasPrefix(string(after), "# mine\n") {
		t.Errorf("a comment is gone:\n%s", after)
	}
	l.mustStop()
	l.mustRun("start")
	if again, err := os.ReadFile(l.folder.path(configFile(0))); err != nil || string(again) != string(after) {
		t.Errorf("written again, %v:\n%s", err, again)
	}
}

func TestParseAdmins(t *testing.T) {
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	all := string(seed)
	for _, text := range []string{all, all + " ", "\t" + all + "\n", all + "A", all[:len(all)-1], "key:" + all, strings.Replace(all, "SU", "SA", 1), "missing.nk", "Uabc"} {
		if got, err := parseAdmins([]string{text}); err == nil || strings.Contains(err.Error(), all[2:len(all)-2]) {
			t.Errorf("%v, %v", got, err)
		}
	}
	key, err := pair.PublicKey()
	must(t, err)
	if got, err := parseAdmins([]string{key + "\n"}); err != nil || len(got) != 1 || got[0].Key != key {
		t.Errorf("with the end of a line: %v, %v", got, err)
	}
}
