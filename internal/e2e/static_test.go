// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
)

// routes are those of places, as a configuration has them.
func routes(places ...*bus.Place) string {
	var urls []string
	for _, p := range places {
		urls = append(urls, p.Route())
	}
	return strings.Join(urls, ",")
}

// expectReady waits until places say that they are.
func (c *cluster) expectReady(places ...*bus.Place) {
	c.t.Helper()
	for _, p := range places {
		c.within(fmt.Sprintf("place %d is ready", p.Number), func() string {
			status, body, err := p.Health(c.t.Context(), "/readyz")
			if err != nil || status != 200 {
				return fmt.Sprintf("%d %s %v", status, body, err)
			}
			return ""
		})
	}
}

// TestColdStartByBootstrap: three nodes with empty disks that start together become one cluster, once.
func TestColdStartByBootstrap(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	for i, p := range c.Places {
		must(t, p.Set(map[string]string{"formation": "bootstrap", "server-name": fmt.Sprint("node-", i), "routes": routes(c.Places...)}))
	}
	c.mustStart(c.Places[:2]...)
	for _, p := range c.Places[:2] { // two of three found nothing
		if s := c.expectPhase(p, v1.NodeStarting, "2 of 3 nodes"); s.ServerName != "" || s.ClusterID != "" {
			t.Errorf("place %d has formed without the third: %+v", p.Number, s)
		}
	}
	c.mustStart(c.Places[2])
	c.expectReady(c.Places...)
	ids := map[string]bool{}
	for _, p := range c.Places {
		c.within("a cluster id", func() string {
			s, err := p.Status(t.Context())
			if err != nil || s.ClusterID == "" {
				return fmt.Sprintf("%+v %v", s, err)
			}
			ids[s.ClusterID] = true
			return ""
		})
	}
	if len(ids) != 1 {
		t.Errorf("the nodes have the cluster ids %v", ids)
	}
	c.mustWrite(50)
	for _, p := range c.Places {
		must(t, p.Stop(t.Context()))
	}
	c.mustStart(c.Places[2], c.Places[0], c.Places[1]) // the mode is the same; now they resume
	c.expectReady(c.Places...)
	c.expectKept(1)

	// One whose disk is lost does not bootstrap beside the others.
	lost := c.Places[1]
	must(t, lost.Stop(t.Context()))
	must(t, lost.Lose())
	c.expectRefused(lost, "this is no first start")
}

// TestTrapJoinersWithoutThemselves: joiners whose routes leave themselves out take each other for the whole cluster, and its
// streams are lost. Such routes are refused, and with the right ones two joiners elect nobody while the founder is away.
func TestTrapJoinersWithoutThemselves(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	c.mustForm(1)
	first, a, b := c.Places[0], c.Places[1], c.Places[2]
	must(t, a.Set(map[string]string{"formation": "join", "server-name": "node-1", "routes": routes(first, b)}))
	c.expectRefused(a, "--routes", "none is this node's own")
	must(t, a.Set(map[string]string{"formation": "order", "server-name": "", "routes": ""}))

	founder, err := first.Status(t.Context())
	must(t, err)
	first.Kill()
	c.mustStart(a, b)
	for i, p := range []*bus.Place{a, b} {
		order := v1.Order{Kind: v1.OrderJoin, ClusterID: founder.ClusterID, ServerName: fmt.Sprintf("unibus-%d-0", i+1)}
		for _, q := range c.Places {
			if q != p {
				order.Routes = append(order.Routes, q.Route())
			}
		}
		var refused *v1.Error
		if err := p.Send(t.Context(), order); !errors.As(err, &refused) {
			t.Fatalf("an order whose routes leave the node out is taken: %v", err)
		}
		order.Routes = append(order.Routes, p.Route())
		must(t, p.Send(t.Context(), order))
	}
	for _, p := range []*bus.Place{a, b} {
		c.expectPhase(p, v1.NodeRunning, "")
	}
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) { // three elections' time
		for _, p := range []*bus.Place{a, b} {
			if s, err := p.Status(t.Context()); err == nil && s.Meta != nil && s.Meta.Leader != "" {
				t.Fatalf("the joiners have elected %s without the founder: %+v", s.Meta.Leader, s)
			}
		}
	}
	c.mustStart(first)
	c.within("three members", func() string {
		s, err := first.Status(t.Context())
		if err != nil || s.Meta == nil || s.Meta.Size != 3 {
			return fmt.Sprintf("%+v %v", s, err)
		}
		return ""
	})
	c.mustWrite(50)
	c.expectKept(1)
}
