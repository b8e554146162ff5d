// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// switches are the rules by name.
var switches = map[string]func(r *rules) *bool{
	"foundGuard":  func(r *rules) *bool { return &r.foundGuard },
	"known":       func(r *rules) *bool { return &r.known },
	"askOrder":    func(r *rules) *bool { return &r.askOrder },
	"cidCheck":    func(r *rules) *bool { return &r.cidCheck },
	"ghostKnown":  func(r *rules) *bool { return &r.ghostKnown },
	"retire":      func(r *rules) *bool { return &r.retire },
	"markWaiting": func(r *rules) *bool { return &r.markWaiting },
	"sizeByName":  func(r *rules) *bool { return &r.sizeByName },
	"removeGate":  func(r *rules) *bool { return &r.removeGate },
	"lowerSync":   func(r *rules) *bool { return &r.lowerSync },
	"noRefilling": func(r *rules) *bool { return &r.noRefilling },
	"lateRemove":  func(r *rules) *bool { return &r.lateRemove },
	"syncFirst":   func(r *rules) *bool { return &r.syncFirst },
	"recordFirst": func(r *rules) *bool { return &r.recordFirst },
	"refillFirst": func(r *rules) *bool { return &r.refillFirst },
	"deadFirst":   func(r *rules) *bool { return &r.deadFirst },
	"waitRemove":  func(r *rules) *bool { return &r.waitRemove },
	"resumeProof": func(r *rules) *bool { return &r.resumeProof },
	"takeBack":    func(r *rules) *bool { return &r.takeBack },
	"discard":     func(r *rules) *bool { return &r.discard },
	"neverCancel": func(r *rules) *bool { return &r.neverCancel },
	"evidence":    func(r *rules) *bool { return &r.evidence },
	"allAnswer":   func(r *rules) *bool { return &r.allAnswer },
	"joinGate":    func(r *rules) *bool { return &r.joinGate },
	"oneByOne":    func(r *rules) *bool { return &r.oneByOne },
	"nameByDisk":  func(r *rules) *bool { return &r.nameByDisk },
	"followMove":  func(r *rules) *bool { return &r.followMove },
	"findDisk":    func(r *rules) *bool { return &r.findDisk },
	"diskName":    func(r *rules) *bool { return &r.diskName },
	"everyStream": func(r *rules) *bool { return &r.everyStream },
}

// one is a cluster changed.
func one(c *cluster, change func(c *cluster)) *cluster { change(c); return c }

// ruleCases has a situation for each rule, and what is done in it with the rule and without.
var ruleCases = map[string]struct {
	c             *cluster
	with, without string
}{
	"foundGuard": {one(empty(3), func(c *cluster) { c.seen.Places[2].Node.Aside = true }),
		"wait person", "write-record c-0-0=ordered@0"},
	"known": {one(empty(1), func(c *cluster) { c.seen.KnownID = "id" }),
		"wait person", "write-record c-0-0=ordered@0"},
	"askOrder": {one(empty(3), func(c *cluster) { c.run(0, "x"); c.seen.Size = 1 }),
		"wait person", "resize 3"},
	"cidCheck": {one(formed(3), func(c *cluster) { c.seen.Places[0].Node.ClusterID = "x" }),
		"wait person", "done"},
	"ghostKnown": {one(formed(3), func(c *cluster) { delete(c.rec.Names, id(2)) }),
		"wait person", "remove-peer c-2-0"},
	"retire": {one(formed(3), func(c *cluster) { c.phase(2, Removed); c.group(0, 1) }),
		"send-order retire c-2-0@2", "wait"},
	"markWaiting": {one(formed(3), func(c *cluster) { c.phase(2, Removing); c.wait(2, "leaving") }),
		"send-order retire c-2-0@2", "remove-peer c-2-0"},
	"sizeByName": {one(formed(3), func(c *cluster) { c.phase(2, Removing); c.want.Replicas = 1; c.group(0, 1); c.seen.Size = 2 }),
		"resize 3", "write-record c-2-0=removed@2"},
	"removeGate": {one(formed(3), func(c *cluster) { c.phase(2, Removing); c.behind(1) }),
		"wait", "set-replicas A/one=2"},
	"lowerSync": {one(formed(3), func(c *cluster) {
		c.phase(2, Leaving)
		c.want.Replicas = 1
		c.seen.Streams[0].Peers[1].Current = false
		c.seen.Streams[1].Replicas, c.seen.Streams[1].Peers = 1, peers([]int{0})
	}), "wait", "set-replicas A/one=1"},
	"noRefilling": {one(formed(3), func(c *cluster) {
		c.phase(2, Leaving)
		c.want.Replicas = 1
		c.streams(3, 0, 1)
	}), "set-replicas A/one=1", "write-record c-2-0=removing@2"},
	"lateRemove": {one(formed(3), func(c *cluster) { c.phase(2, Removing); c.want.Replicas = 1 }),
		"send-order leave c-2-0@2", "set-replicas A/one=1"},
	"syncFirst": {one(formed(3), func(c *cluster) {
		c.phase(2, Removing)
		c.wait(2, "leaving")
		c.seen.Streams[1].Peers[1].Current = false
	}), "wait", "send-order retire c-2-0@2"},
	"recordFirst": {one(formed(3), func(c *cluster) { c.exchange(2) }),
		"write-record c-2-0=removing@2", "remove-peer c-2-0"},
	"refillFirst": {one(formed(5), func(c *cluster) {
		c.want.Replicas = 3
		c.phase(1, Removed)
		c.seen.Places[1].Node = virgin(1)
		c.group(0, 2, 3, 4)
	}), "write-record c-1-1=ordered@1", "write-record c-4-0=leaving@4"},
	"deadFirst": {one(formed(5), func(c *cluster) { c.phase(1, Removing); c.exchange(1); c.phase(4, Removing) }),
		"remove-peer c-1-0", "wait"},
	"waitRemove": {one(formed(3), func(c *cluster) { c.phase(2, Removing); c.wait(2, "retired"); c.behind(1); c.streams(1, 0) }),
		"remove-peer c-2-0", "wait"},
	"resumeProof": {one(formed(3), func(c *cluster) {
		c.phase(2, Removing)
		c.wait(2, "leaving")
		c.seen.Meta = nil
		c.seen.Places[1].Node = nil
	}),
		"wait", "send-order resume c-2-0@2 keep"},
	"takeBack": {one(formed(1), func(c *cluster) { c.phase(0, Removing); c.streams(1, 0) }),
		"write-record c-0-0=member@0", "wait"},
	"discard": {one(formed(1), func(c *cluster) { c.want.DeleteDisks = true; c.seen.Places = append(c.seen.Places, Place{Volume: "v"}) }),
		"write-record doomed=v", "delete-volume v@1"},
	"neverCancel": {one(formed(1), func(c *cluster) {
		c.rec.Names[id(1)] = Name{Phase: Ordered, Place: 1, DiskID: "disk1", Kind: Join}
	}), "resize 2", "write-record c-1-0=void@1"},
	"evidence": {one(formed(3), func(c *cluster) { c.seen.Places[2].Node = nil; c.behind(2) }),
		"wait", "write-record c-2-0=removing@2"},
	"allAnswer": {one(formed(3), func(c *cluster) { c.exchange(2); c.seen.Places[1].Node = nil }),
		"wait", "write-record c-2-0=removing@2"},
	"joinGate": {one(formed(1), func(c *cluster) { c.want.Replicas = 3; c.places(3); c.behind(0) }),
		"wait", "write-record c-1-0=ordered@1"},
	"oneByOne": {one(formed(1), func(c *cluster) {
		c.want.Replicas = 3
		c.places(3)
		c.rec.Names[id(1)] = Name{Phase: Ordered, Place: 1, DiskID: "disk1", Kind: Join}
		c.run(1, id(1))
	}), "wait", "write-record c-2-0=ordered@2"},
	"nameByDisk": {one(formed(3), func(c *cluster) {
		c.phase(0, Removed)
		c.seen.Places[0].Node = c.seen.Places[2].Node
		c.seen.Places[2].Node = virgin(2)
		c.seen.Places[2].Node.DiskID = "new"
		c.group(1, 2)
		c.want.Replicas = 1
	}), "write-record c-2-0=member@0", "wait"},
	"followMove": {one(formed(3), func(c *cluster) {
		c.places(4)
		c.run(3, id(2))
		c.seen.Places[3].Node.DiskID = "disk2"
		c.seen.Places[2].Node = &Node{Waiting: true, DiskID: "new"}
	}), "write-record c-2-0=member@3", "write-record c-2-1=ordered@2"},
	"findDisk": {one(formed(3), func(c *cluster) {
		c.exchange(2)
		c.seen.Meta = nil
		c.seen.Places = append(c.seen.Places, Place{Volume: "vol3"})
	}), "resize 4", "wait"},
	"diskName": {one(formed(3), func(c *cluster) {
		c.phase(1, Void)
		c.rec.Names[id(1)] = Name{Phase: Void, Place: 1, DiskID: "disk1", Kind: Join}
		c.seen.Places[1].Node = virgin(1)
		c.group(0, 2)
	}), "write-record c-1-0=ordered@1", "write-record c-1-1=ordered@1"},
	"everyStream": {one(formed(3), func(c *cluster) {
		c.streams(1, 0)
		c.seen.Streams[0].Replicas, c.seen.Streams[0].Peers = 3, peers(seq(3))
	}),
		"set-replicas B/two=3", "done"},
}

func TestRule(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(maps.Keys(switches)), slices.Sorted(maps.Keys(ruleCases))); diff != "" {
		t.Fatalf("rules without a case (-rules +cases):\n%s", diff)
	}
	if want, got := reflect.TypeFor[rules]().NumField(), len(switches); want != got {
		t.Fatalf("%d rules, %d switches", want, got)
	}
	for name, test := range ruleCases {
		t.Run(name, func(t *testing.T) {
			test.c.expect(t, test.with)
			r := allRules()
			*switches[name](&r) = false
			if diff := cmp.Diff(test.without, test.c.brief(next(r, test.c.rec, test.c.want, test.c.seen))); diff != "" {
				t.Errorf("without the rule (-want +got):\n%s", diff)
			}
		})
	}
}
