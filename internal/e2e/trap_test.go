// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
)

// mustStandalone runs a server without a cluster on a store folder, with what it does in it.
func mustStandalone(t *testing.T, dir string, do func(nats.JetStreamContext)) {
	t.Helper()
	s, err := server.NewServer(&server.Options{ServerName: "alone", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir})
	must(t, err)
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(limit) {
		t.Fatal("the standalone server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	must(t, err)
	defer nc.Close()
	js, err := nc.JetStream()
	must(t, err)
	do(js)
}

// tree is every file of a folder with a digest of what is in it.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	}))
	return files
}

// TestTrapStandaloneStoreReopenedAsCluster: a clustered server deletes the streams of a standalone one 30 s after it starts,
// healthy all the while. So no way of starting takes such a store.
func TestTrapStandaloneStoreReopenedAsCluster(t *testing.T) {
	for _, mode := range []string{"order", "found", "bootstrap", "join"} {
		t.Run(mode, func(t *testing.T) {
			c := mustBus(t, bus.Config{Places: 1})
			p := c.Places[0]
			mustStandalone(t, p.Disk, func(js nats.JetStreamContext) {
				_, err := js.AddStream(&nats.StreamConfig{Name: "OLD", Subjects: []string{"old"}})
				must(t, err)
				_, err = js.Publish("old", []byte("kept"))
				must(t, err)
			})
			before := tree(t, filepath.Join(p.Disk, "jetstream"))
			settings := map[string]string{"formation": mode, "server-name": "node-0"}
			if mode == "join" || mode == "bootstrap" {
				settings["routes"] = p.Route() + ",nats://127.0.0.1:1"
			}
			must(t, p.Set(settings))
			c.expectRefused(p, "standalone", "remedy", "move the store away")
			if d := cmp.Diff(before, tree(t, filepath.Join(p.Disk, "jetstream"))); d != "" {
				t.Errorf("the store was touched (-before +after):\n%s", d)
			}
			mustStandalone(t, p.Disk, func(js nats.JetStreamContext) {
				if m, err := js.GetMsg("OLD", 1); err != nil || string(m.Data) != "kept" {
					t.Errorf("the message is gone: %v", err)
				}
			})
		})
	}
}

// TestTrapFounderDiskLost: a founder that founds again beside the cluster that it once founded makes a second group, and the
// streams have no leader any more. So it waits, the others go on, and it comes back under a new name.
func TestTrapFounderDiskLost(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	c.mustForm(3)
	first := c.Places[0]
	before, err := first.Status(t.Context())
	must(t, err)
	for _, p := range c.Places {
		must(t, p.Stop(t.Context()))
	}
	must(t, first.Lose())
	c.mustStart(c.Places...)
	s := c.expectPhase(first, v1.NodeWaiting, "empty")
	if s.DiskID == before.DiskID || s.ServerName != "" || s.ClusterID != "" {
		t.Errorf("the lost disk is remembered: %+v", s)
	}
	c.mustWrite(50) // the two others are a quorum
	c.expectKept(2)

	must(t, c.Run(t.Context(), c.Grow(3)...))
	c.expectSettled(3)
	c.expectKept(3)
	after := c.expectPhase(first, v1.NodeRunning, "")
	if after.ServerName == before.ServerName || after.ClusterID != before.ClusterID {
		t.Errorf("the founder was %s of %s and came back as %s of %s", before.ServerName, before.ClusterID, after.ServerName, after.ClusterID)
	}
}

// TestTrapFiveLostDisks: five empty servers with five routes elect a leader in an instant and forget in silence. So nodes whose
// disks are lost start nothing.
func TestTrapFiveLostDisks(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 5})
	c.mustForm(5)
	for _, p := range c.Places {
		must(t, p.Stop(t.Context()))
		must(t, p.Lose())
	}
	c.mustStart(c.Places...)
	for _, p := range c.Places {
		c.expectPhase(p, v1.NodeWaiting, "empty")
	}
	if nc, err := c.Connect(account, 0); err == nil {
		nc.Close()
		t.Error("a node without a disk takes clients")
	}
	// Nor does the command make a new cluster of them: the record has a cluster, and nobody has its data.
	ctx, cancel := contextFor(t, limit)
	defer cancel()
	if err := c.Run(ctx, c.Grow(5)...); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("no person is asked for: %v", err)
	}
	for _, p := range c.Places {
		if s := c.expectPhase(p, v1.NodeWaiting, "empty"); s.ServerName != "" {
			t.Errorf("place %d has an identity: %+v", p.Number, s)
		}
	}
}

// TestTrapOldDisksAndNamesComeBack: members that were removed, and come back with their old disks and names, look healthy and
// hold nothing. So they are told to stop, and join anew under names that nobody had.
func TestTrapOldDisksAndNamesComeBack(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	c.mustForm(3)
	names := map[string]bool{}
	for _, p := range c.Places[1:] {
		s, err := p.Status(t.Context())
		must(t, err)
		names[s.ServerName] = true
		must(t, p.Stop(t.Context()))
		must(t, p.Keep(p.Disk+".kept"))
		must(t, p.Start())
		c.expectSettled(3)
	}
	must(t, c.Run(t.Context(), c.Shrink(1)...))
	c.expectSettled(1)
	c.mustWrite(50)
	for _, p := range c.Places[1:] {
		p.Kill()
		must(t, p.PutBack(p.Disk+".kept"))
	}
	c.mustStart(c.Places[1:]...)
	must(t, c.Run(t.Context(), c.Grow(3)...))
	c.expectSettled(3)
	c.expectKept(3)
	for _, p := range c.Places[1:] {
		if s := c.expectPhase(p, v1.NodeRunning, ""); names[s.ServerName] {
			t.Errorf("place %d is %s again", p.Number, s.ServerName)
		}
	}
}

// TestTrapFounderDiskFromWhenItWasAlone: a founder on a disk from when it was the only member is a quorum by itself. Where it leads the
// others, which know more, nothing is done to them on its word; a person is told, and nothing is lost.
func TestTrapFounderDiskFromWhenItWasAlone(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	c.mustForm(1)
	first := c.Places[0]
	must(t, first.Stop(t.Context()))
	must(t, first.Keep(first.Disk+".kept"))
	c.mustStart(c.Places...)
	must(t, c.Run(t.Context(), c.Grow(3)...))
	c.expectSettled(3)
	c.mustWrite(100)
	for _, p := range c.Places {
		must(t, p.Stop(t.Context()))
	}
	must(t, first.PutBack(first.Disk+".kept"))
	c.mustStart(c.Places...)

	ctx, cancel := contextFor(t, limit)
	defer cancel()
	driver, err := c.Drive(ctx, c.Grow(3)...)
	must(t, err)
	if !driver.AwaitOutput(ctx, regexp.MustCompile("does not list unibus-1-0, a member that was not removed")) {
		// The two others have elected a leader before it came, and it follows that one.
		must(t, driver.Wait(ctx))
		c.expectSettled(3)
		c.expectKept(3)
		return
	}
	driver.Kill()
	for _, p := range c.Places[1:] {
		if s := c.expectPhase(p, v1.NodeRunning, ""); s.Mark != "" {
			t.Errorf("place %d is marked %s", p.Number, s.Mark)
		}
	}
	// What the remedy says: away with that disk, and an empty one in its place.
	must(t, first.Stop(t.Context()))
	must(t, first.Lose())
	c.mustStart(first)
	must(t, c.Run(t.Context(), c.Grow(3)...))
	c.expectSettled(3)
	c.expectKept(3)
}
