// SPDX-License-Identifier: Apache-2.0

package natstest

import (
	"net/url"
	"testing"

	"github.com/unibus/unibus/internal/embeddednats"
)

// Mesh is the links between the nodes of a test: one for each direction in which a pair may dial.
type Mesh struct{ links map[[2]int]*Link }

// MustMesh puts a link into every route between the nodes that will be started with these
// configurations, and closes them at the end of the test.
func MustMesh(t testing.TB, cfgs []embeddednats.ServerConfig) *Mesh {
	t.Helper()
	m := &Mesh{links: map[[2]int]*Link{}}
	for i := range cfgs {
		routes := []*url.URL{{Scheme: "nats", Host: hostOf(cfgs[i])}}
		for j := range cfgs {
			if i == j {
				continue
			}
			k, err := NewLink(hostOf(cfgs[j]))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(k.Close)
			m.links[[2]int{i, j}] = k
			routes = append(routes, k.URL())
		}
		cfgs[i].Cluster.Routes = routes
	}
	for i := range cfgs {
		cfgs[i].Cluster.Advertise = "127.0.0.1:1" // what members tell each other must not lead around the links
	}
	return m
}

// Cut takes node i away from all others.
func (m *Mesh) Cut(i int) { m.each(i, (*Link).Cut) }

// Heal brings node i back.
func (m *Mesh) Heal(i int) { m.each(i, (*Link).Heal) }

func (m *Mesh) each(i int, do func(*Link)) {
	for pair, k := range m.links {
		if pair[0] == i || pair[1] == i {
			do(k)
		}
	}
}
