// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

func TestFoundMakesAClusterOfOne(t *testing.T) {
	begin := time.Now()
	n := natstest.MustFound(t, natstest.Options{Secret: "s3cret"})
	founded := time.Since(begin)
	expectAlone(t, n)
	js := n.MustStream(t, "S", 1)
	if _, err := js.Publish(context.Background(), "S.a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	t.Logf("founded after %v, a stream after %v", founded, time.Since(begin))
	if _, err := os.Stat(filepath.Join(n.Config.StoreDir, "helper")); !os.IsNotExist(err) {
		t.Fatalf("the helper's folder is still there: %v", err)
	}
}

func TestFoundOverMutualTLS(t *testing.T) {
	ca, err := natstest.NewCA("routes")
	if err != nil {
		t.Fatal(err)
	}
	expectAlone(t, natstest.MustFound(t, natstest.Options{Secret: "s3cret", CA: ca}))
}

func TestFoundAgainIsResume(t *testing.T) {
	n := natstest.MustFound(t, natstest.Options{})
	mustPublish(t, n.MustStream(t, "S", 1), "S.a")
	n.Stop()
	n = natstest.MustStart(t, embeddednats.Found, n.Config)
	expectAlone(t, n)
	expectMessages(t, n, "S", 1)
}

// A founder must never take part in a cluster that lives: founding would end with two of them.
func TestFoundRefusesALivingCluster(t *testing.T) {
	nodes := natstest.MustCluster(t, 3, natstest.Options{})
	mustPublish(t, nodes[0].MustStream(t, "S", 3), "S.a")
	nodes[0].WithinSync(t)
	refused := func(how string, cfg embeddednats.ServerConfig) {
		t.Helper()
		s, err := embeddednats.Found(context.Background(), cfg)
		if err == nil {
			s.Stop()
		}
		if !errors.Is(err, embeddednats.ErrOtherMembers) {
			t.Errorf("founding %s: %v", how, err)
		}
	}
	stranger := nodes[0].Config
	stranger.ServerName, stranger.StoreDir = "n9", t.TempDir()
	c := *stranger.Cluster
	c.Port = natstest.MustFreePort(t) // nobody dials it: it must look for itself
	stranger.Cluster = &c
	refused("with routes to living members", stranger)

	nodes[0].Stop()
	refused("on a store with other members", nodes[0].Config)
	lost := nodes[0].Config
	lost.StoreDir = t.TempDir()
	refused("after the disk was lost", lost)
	expectMessages(t, nodes[1], "S", 1)

	nodes[1].Stop()
	nodes[2].Stop()
	alone := nodes[0].Config
	c = *alone.Cluster
	c.Routes = nil
	alone.Cluster = &c
	refused("on a store with members that nobody can see", alone)
}

func TestFoundKeepsItsHelpersName(t *testing.T) {
	cfg := natstest.MustConfigs(t, 1, natstest.Options{})[0]
	cfg.ServerName = embeddednats.HelperName
	if s, err := embeddednats.Found(context.Background(), cfg); err == nil {
		s.Stop()
		t.Fatal("a node may bear the helper's name")
	}
}

func expectAlone(t *testing.T, n *natstest.Node) {
	t.Helper()
	leader, size, members, ok := n.Meta()
	if !ok || leader != "n0" || size != 1 || !cmp.Equal(members, []string{"n0"}) {
		t.Fatalf("meta group: leader %q, size %d, members %v, %v", leader, size, members, ok)
	}
}
