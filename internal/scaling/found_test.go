// SPDX-License-Identifier: Apache-2.0

package scaling

import "testing"

// F1: a cluster is founded only beside nothing.
func TestF1Found(t *testing.T) {
	empty(1).expect(t, "write-record c-0-0=ordered@0")
	empty(3).expect(t, "write-record c-0-0=ordered@0")

	c := &cluster{want: Desired{Name: "c", Replicas: 3}, seen: Observed{Now: now}}
	c.expect(t, "resize 1")
	c.seen.Size = 1
	c.expectReason(t, "wait", "no place has answered yet")
	c.seen.Places = []Place{{Started: true}}
	c.expectReason(t, "wait", "place 0 has not answered")
	c.seen.Places[0].Node = virgin(0)
	c.expect(t, "resize 3")

	for name, change := range map[string]func(c *cluster){
		"known id":      func(c *cluster) { c.seen.KnownID = "id" },
		"identity":      func(c *cluster) { c.run(1, id(1)) },
		"waiting":       func(c *cluster) { c.run(1, id(1)); c.wait(1, "leaving") },
		"set aside":     func(c *cluster) { c.seen.Places[2].Node.Aside = true },
		"half wiped":    func(c *cluster) { c.seen.Places[2].Node.Journal = true },
		"founder aside": func(c *cluster) { c.seen.Places[0].Node.Aside = true },
	} {
		t.Run(name, func(t *testing.T) {
			c := empty(3)
			change(c)
			c.expect(t, "wait person")
		})
	}
	for name, change := range map[string]func(c *cluster){
		"silent place":     func(c *cluster) { c.seen.Places[1].Node = nil },
		"unmounted volume": func(c *cluster) { c.seen.Places[2] = Place{Volume: "vol2"} },
		"no founder":       func(c *cluster) { c.seen.Places[0] = Place{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := empty(3)
			change(c)
			c.expect(t, "wait")
		})
	}
}

// F1: pods are started for every volume, and nothing shrinks meanwhile.
func TestF1StartsEveryVolume(t *testing.T) {
	c := empty(1)
	c.seen.Places = append(c.seen.Places, Place{}, Place{Volume: "vol2"})
	c.expect(t, "resize 3")
	c.seen.Size = 5
	c.seen.Places[2] = Place{Volume: "vol2", Started: true, Node: virgin(2)}
	c.expect(t, "write-record c-0-0=ordered@0")
}

// F2: the record, then the id beside it, then the order.
func TestF2Found(t *testing.T) {
	c := empty(1)
	step := c.expect(t, "write-record c-0-0=ordered@0")
	if n := step.Record.Names["c-0-0"]; n.DiskID != "disk0" || n.Kind != Found || n.Since != now || step.Record.ClusterID != "" {
		t.Errorf("record: %+v, cluster id %q", n, step.Record.ClusterID)
	}
	c.rec = step.Record
	c.rec.ClusterID = "id"
	c.expect(t, "write-known-id")
	c.seen.KnownID = "id"
	step = c.expect(t, "send-order found c-0-0@0")
	if step.Order.DiskID != "disk0" || step.Order.Nonce != "nonce0" {
		t.Errorf("order: %+v", step.Order)
	}
	c.seen.KnownID = "other"
	c.expectReason(t, "wait person", "other is known")
}

func TestFoundersDiskLostBeforeFounding(t *testing.T) {
	c := empty(1)
	c.rec = c.next().Record
	c.rec.ClusterID, c.seen.KnownID = "id", "id"
	c.seen.Places[0].Node.DiskID = "another"
	c.expectReason(t, "wait person", "disk disk0 of c-0-0 was lost from place 0", "delete the record")
	c.seen.Places[0].Node = nil
	c.expectReason(t, "wait", "no answer from c-0-0")
}
