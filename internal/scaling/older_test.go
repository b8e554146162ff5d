// SPDX-License-Identifier: Apache-2.0

package scaling

import "testing"

// putBack is a healthy cluster in which place 2 was removed and came back under the name c-2-1; then its disk was put back to what
// it was before, and shows c-2-0.
func putBack(kind Kind) *cluster {
	c := formed(3)
	c.rec.Names[id(2)] = Name{Phase: Removed, Place: 2, Since: long}
	c.rec.Names["c-2-1"] = Name{Phase: Member, Place: 2, DiskID: "disk2", Kind: kind, Old: id(2), Since: long}
	c.seen.Meta.Peers[2] = Peer{Name: "c-2-1"}
	for i := range c.seen.Streams {
		c.seen.Streams[i].Peers[2] = Peer{Name: "c-2-1"}
	}
	c.wait(2, "retired")
	return c
}

// TestDiskPutBack: a disk that shows the name that it had before its member's is not that member's disk any more.
func TestDiskPutBack(t *testing.T) {
	c := putBack(WipeAndJoin)
	if s := Next(c.rec, c.want, c.seen); s.Action != WriteRecord || s.Record.Names["c-2-1"].Phase != Removing {
		t.Errorf("a disk put back: %+v", s)
	}
	for what, change := range map[string]func(c *cluster){
		"a wipe is under way":              func(c *cluster) { c.seen.Places[2].Node.Journal = true },
		"the order is still on its way":    func(c *cluster) { c.phaseOf("c-2-1", Ordered) },
		"another place is silent":          func(c *cluster) { c.seen.Places[1].Node = nil },
		"the name answers at another":      func(c *cluster) { c.places(4); c.run(3, "c-2-1") },
		"the older name was never removed": func(c *cluster) { c.phaseOf(id(2), Void) },
		"the disk never had another name":  func(c *cluster) { *c = *putBack(Join) },
	} {
		c := putBack(WipeAndJoin)
		change(c)
		if s := Next(c.rec, c.want, c.seen); s.Record != nil && s.Record.Names["c-2-1"].Phase == Removing {
			t.Errorf("%s: the member is taken for dead: %+v", what, s)
		}
	}
}

func (c *cluster) phaseOf(name string, phase Phase) {
	n := c.rec.Names[name]
	n.Phase = phase
	c.rec.Names[name] = n
}

// TestLeaderOnAnOlderDisk: a leader whose disk is older than other members does not know them. They were not removed, and nothing
// is done to them on its word.
func TestLeaderOnAnOlderDisk(t *testing.T) {
	for _, phase := range []Phase{Member, Leaving} {
		c := formed(3)
		c.seen.Meta.Peers = peers(seq(1))
		c.seen.Places[0].Node.Members = []string{id(0)}
		c.phase(2, phase)
		c.expect(t, "wait")
		c.seen.Quiet = Patience
		c.expectReason(t, "wait person", "does not list c-1-0", "older copy", "move its store folder away")
	}
	c := formed(3) // a removal that was decided on
	c.seen.Meta.Peers = peers(seq(2))
	c.phase(2, Removing)
	c.expect(t, "write-record c-2-0=removed@2")
}

// TestAloneOnAnOlderDisk: a disk from when its server was the only member leads by itself as soon as it starts. It doesn't, as long
// as the record has other members.
func TestAloneOnAnOlderDisk(t *testing.T) {
	c := formed(3)
	c.wait(0, "")
	c.seen.Places[0].Node.Alone = true
	c.behind(0)
	c.seen.Meta.Leader = id(1)
	c.expectReason(t, "wait person", "disk of c-0-0 at place 0", "only member", "move its store folder away")
	c.seen.Meta = nil
	c.expectReason(t, "wait person", "only member")

	c = formed(3) // being removed, it may be retired and removed like any other that waits
	c.wait(2, "")
	c.phase(2, Removing)
	c.seen.Places[2].Node.Alone = true
	c.expect(t, "send-order retire c-2-0@2")

	c = formed(1) // it waits for another reason, such as a record that was out of date
	c.rec.Names[id(1)] = Name{Phase: Removed, Place: 1, Since: long}
	c.wait(0, "")
	c.seen.Places[0].Node.Alone = true
	c.seen.Meta = nil
	c.expect(t, "send-order resume c-0-0@0")
}

// TestNoDiskIsNoEvidence: what answers at a member's place without the id of a disk proves nothing about the member's disk.
func TestNoDiskIsNoEvidence(t *testing.T) {
	c := formed(3)
	c.exchange(2)
	c.seen.Places[2].Node = &Node{}
	c.expect(t, "wait")
}
