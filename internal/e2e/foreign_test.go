// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/membership"
)

// The programs of clients that nobody here wrote.
const (
	natsCLI   = "nats"           // github.com/nats-io/natscli
	nodeNATS  = "transport-node" // @nats-io/transport-node
	toolsDir  = "../../.cache/clients"
	scriptDir = "testdata/clients"
)

// foreign is a client that nobody here wrote, as one user who is at home in one room and one node.
type foreign struct {
	bus     *bus.Bus
	program string
	key     string // public nkey
	room    string // id
	dir     string // with its seed, the CA, and the program by the name of nats
	env     []string
	runs    *atomic.Int32
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	must(t, err)
	if _, err := os.Stat(abs); err != nil {
		t.Fatalf("clients that nobody here wrote are needed, make them with: make clients: %v", err)
	}
	return abs
}

// mustForeign makes a user who uses the program from a folder of its own.
func mustForeign(t *testing.T, c *cluster, store *membership.Store, program, name string, room v1.Room, role v1.Role, place int) foreign {
	t.Helper()
	pair, err := nkeys.CreateUser()
	must(t, err)
	key, err := pair.PublicKey()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	_, err = store.CreateUser(t.Context(), v1.User{Name: name, Key: key})
	must(t, err)
	_, err = store.PutMember(t.Context(), room.Name, key, role, 0)
	must(t, err)

	f := foreign{bus: c.Bus, program: program, key: key, room: room.ID, dir: t.TempDir(), runs: new(atomic.Int32)}
	ca, err := os.ReadFile(c.CA())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(f.dir, "ca.crt"), ca, 0o600))
	must(t, os.WriteFile(filepath.Join(f.dir, "user.nk"), seed, 0o600))
	bin := filepath.Join(f.dir, "bin")
	must(t, os.Mkdir(bin, 0o700))
	url := c.Places[place].Client()
	// Nothing of the caller's: it may have NATS contexts and variables of its own.
	f.env = []string{"HOME=" + f.dir, "PATH=" + bin + ":" + os.Getenv("PATH"), "XDG_CONFIG_HOME=" + f.dir, "SERVERS=" + url, "U=" + key, "R=" + room.ID}
	link := filepath.Join(bin, "nats")
	if program == natsCLI {
		must(t, os.Symlink(mustAbs(t, filepath.Join(toolsDir, "nats")), link))
		return f
	}
	must(t, os.Symlink(mustAbs(t, filepath.Join(toolsDir, "node_modules")), filepath.Join(f.dir, "node_modules")))
	script, err := os.ReadFile(mustAbs(t, filepath.Join(scriptDir, "talk.mjs"))) // it finds node_modules beside itself
	must(t, err)
	must(t, os.WriteFile(filepath.Join(f.dir, "talk.mjs"), script, 0o600))
	must(t, os.WriteFile(link, []byte("#!/bin/sh\nexec node "+filepath.Join(f.dir, "talk.mjs")+` "$@"`+"\n"), 0o700))
	f.env = append(f.env, "NATS_URL="+url, "NATS_CA="+filepath.Join(f.dir, "ca.crt"), "NATS_NKEY="+filepath.Join(f.dir, "user.nk"))
	return f
}

// start starts a line of shell in the client's folder.
func (f foreign) start(t *testing.T, line string, env ...string) *proc.Process {
	t.Helper()
	args := append(append([]string{"-i"}, f.env...), env...)
	p, err := proc.Start(proc.Command{Name: f.program + ": " + line, Path: "/usr/bin/env", Args: append(args, "sh", "-c", "exec "+line),
		Dir: f.dir, Log: filepath.Join(f.dir, fmt.Sprintf("%d.log", f.runs.Add(1)))})
	must(t, err)
	t.Cleanup(p.Kill)
	return p
}

// run runs a line of shell to its end and returns what it said.
func (f foreign) run(t *testing.T, line string, env ...string) (string, error) {
	t.Helper()
	ctx, cancel := contextFor(t, limit)
	defer cancel()
	p := f.start(t, line, env...)
	err := p.Wait(ctx)
	return p.Output(), err
}

// hears waits until a process of the client has said all of the words, while speak is repeated: what is said before it listens is
// for nobody.
func (c *cluster) hears(t *testing.T, p *proc.Process, speak func(), words ...string) {
	t.Helper()
	c.in(t).within(fmt.Sprintf("%q is heard", words), func() string {
		speak()
		return missing(p.Output(), words...)
	})
}

// missing tells the first of the words that a text has not.
func missing(text string, words ...string) string {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return fmt.Sprintf("no %q in %q", w, text)
		}
	}
	return ""
}

// commands are the lines that docs/rooms.md tells users of the command line, and whether they were run.
type commands map[string]bool

func mustCommands(t *testing.T) commands {
	t.Helper()
	text, err := os.ReadFile("../../docs/rooms.md")
	must(t, err)
	c := commands{}
	for _, block := range strings.Split(string(text), "```sh e2e\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(strings.TrimSpace(block)) {
			c[strings.TrimSpace(line)] = false
		}
	}
	return c
}

// line is the only line that has the words; it is taken to be run.
func (c commands) line(t *testing.T, words ...string) string {
	t.Helper()
	var found []string
	for l := range c {
		if missing(l, words...) == "" {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Fatalf("docs/rooms.md has not one line with %q but %q", words, found)
	}
	c[found[0]] = true
	return found[0]
}

// mustStore is what an operator makes users and rooms by.
func mustStore(t *testing.T, c *cluster) *membership.Store {
	t.Helper()
	nc := c.mustConnect("MEMBERSHIP")
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	s, err := membership.NewStore(js, membership.StoreConfig{})
	must(t, err)
	return s
}
