// SPDX-License-Identifier: Apache-2.0

package scaling

import "testing"

// The table of decisions when a leader answers, by number.

func TestDecision1PhasesFollowTheLeader(t *testing.T) {
	c := formed(3)
	c.phase(2, Ordered)
	c.expect(t, "write-record c-2-0=member@2")
	c.behind(2)
	c.expect(t, "wait")

	for _, phase := range []Phase{Member, Leaving, Removing} {
		c := formed(3)
		c.phase(2, phase)
		c.group(0, 1)
		c.expect(t, "write-record c-2-0=removed@2")
	}

	c = formed(3)
	c.phase(2, Void)
	c.expect(t, "write-record c-2-0=ordered@2")
	c.group(0, 1)
	c.expect(t, "write-record c-2-0=ordered@2")

	c = formed(3) // a ghost
	c.phase(2, Removed)
	c.expect(t, "remove-peer c-2-0")
}

func TestDecision2Retire(t *testing.T) {
	c := formed(3)
	c.phase(2, Removed)
	c.group(0, 1)
	c.seen.Places[2].Node.Off = true
	c.expect(t, "send-order retire c-2-0@2")
}

func TestDecision3Death(t *testing.T) {
	for _, phase := range []Phase{Ordered, Member, Leaving} {
		c := formed(3)
		c.phase(2, phase)
		c.exchange(2)
		c.expect(t, "write-record c-2-0=removing@2")
	}
	for name, change := range map[string]func(c *cluster){
		"silence":                 func(c *cluster) { c.seen.Places[2].Node = nil },
		"not started":             func(c *cluster) { c.seen.Places[2] = Place{Volume: "vol2"} },
		"another place is silent": func(c *cluster) { c.places(4); c.seen.Places[3].Node = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := formed(3)
			c.exchange(2)
			change(c)
			c.expect(t, "wait")
		})
	}
	c := formed(3) // exchanged, not lost
	c.places(4)
	c.exchange(2)
	c.run(3, id(2))
	c.expect(t, "write-record c-2-0=member@3")
}

func TestDeclaredDead(t *testing.T) {
	c := formed(3)
	c.want.Dead = []string{id(2)}
	c.behind(2)
	c.seen.Places[2].Node = nil
	c.expect(t, "write-record c-2-0=removing@2") // its place is silent: that is what the person spoke of
	c.seen.Places[2] = Place{}
	c.expect(t, "write-record c-2-0=removing@2")
	c.seen.Places[1].Node = nil
	c.expect(t, "wait") // of other places the person said nothing
	c.run(1, id(1))
	c.run(2, id(2))
	c.expect(t, "wait") // it lives

	c = formed(3) // the quorum rules stay
	c.want.Dead = []string{id(1), id(2)}
	c.seen.Places[1].Node, c.seen.Places[2].Node, c.seen.Meta = nil, nil, nil
	c.expectReason(t, "wait person", "quorum of 3 members is lost", "c-1-0, c-2-0", "rescue")

	c = formed(3)
	c.want.Dead = []string{id(2)}
	c.phase(2, Removing)
	c.behind(2)
	c.seen.Places[2].Node = nil
	c.streams(1, 2)
	c.expectReason(t, "wait person", "stream A/one", "only replica on c-2-0")

	c = formed(5) // one word is no evidence for another's death
	c.want.Dead = []string{id(4)}
	c.exchange(3)
	c.phase(4, Removing)
	c.behind(4)
	c.seen.Places[4].Node = nil
	c.expect(t, "remove-peer c-4-0")
}

func TestDecision4Removing(t *testing.T) {
	removing := func() *cluster {
		c := formed(3)
		c.want.Replicas = 1
		c.phase(2, Removing)
		c.streams(1, 0)
		return c
	}
	t.Run("running", func(t *testing.T) {
		c := removing()
		c.expect(t, "send-order leave c-2-0@2")
		c.seen.Places[2].Node.Mark = "leaving"
		c.expect(t, "remove-peer c-2-0")
		c.seen.Meta.Leader = id(2)
		c.expect(t, "move-leader  c-2-0>c-0-0")
		c.behind(2)
		c.expectReason(t, "wait", "c-2-0 is not") // itself included
	})
	t.Run("running, with a replica again", func(t *testing.T) {
		c := removing()
		c.streams(3, 0, 1, 2)
		c.expect(t, "send-order leave c-2-0@2") // the removal takes it along
		n := c.rec.Names[id(2)]
		n.Since = now.Add(-ActionLife)
		c.rec.Names[id(2)] = n
		c.expectReason(t, "wait", "A/one has a replica on c-2-0 again") // but not while a lowering may be under way
	})
	t.Run("waiting", func(t *testing.T) {
		c := removing()
		c.wait(2, "leaving")
		c.behind(2)
		c.expect(t, "send-order retire c-2-0@2")
		c.wait(2, "retired")
		c.expect(t, "remove-peer c-2-0")
		c.streams(3, 0, 1, 2)
		c.behind(2)
		c.expect(t, "remove-peer c-2-0")
		c.seen.Streams[1].Leader = "" // it can't come back any more: nothing is waited for
		c.expect(t, "remove-peer c-2-0")
		c.streams(3, 0, 1, 2)
		c.wait(2, "leaving")
		c.behind(1)
		c.expectReason(t, "wait", "when c-1-0 is in sync")
		c.seen.Streams[1].Leader = ""
		c.wait(2, "leaving")
		c.seen.Streams[1].Peers = nil // unknown: it may need the leaver
		c.expect(t, "send-order resume c-2-0@2 keep")
	})
	t.Run("dead", func(t *testing.T) {
		c := removing()
		c.exchange(2)
		c.expect(t, "remove-peer c-2-0")
		c.streams(3, 0, 1, 2)
		c.behind(1)
		c.expect(t, "remove-peer c-2-0")
		c.seen.Streams[1].Leader = ""
		c.expectReason(t, "wait", "stream B/two has no leader")
		c.seen.Streams[1].Peers = peers([]int{2})
		c.expectReason(t, "wait person", "stream B/two lost its quorum", "backup")
	})
	t.Run("silent", func(t *testing.T) {
		c := removing()
		c.behind(2)
		c.seen.Places[2].Node = nil
		c.expectReason(t, "wait", "c-2-0 is being removed and does not answer")
	})
}

func TestDecision4Order(t *testing.T) {
	t.Run("dead ones first, then waiting, then running", func(t *testing.T) {
		c := formed(5)
		c.want.Replicas = 3
		c.phase(1, Removing)
		c.phase(3, Removing)
		c.phase(4, Removing)
		c.streams(3, 0, 1, 2)
		c.wait(3, "retired")
		c.behind(3)
		c.exchange(1)
		c.expect(t, "remove-peer c-1-0")
		c.phase(1, Removed)
		c.group(0, 2, 3, 4)
		c.streams(3, 0, 2)
		c.behind(3)
		c.expect(t, "remove-peer c-3-0")
		c.phase(3, Removed)
		c.group(0, 2, 4)
		c.expect(t, "send-order leave c-4-0@4")
	})
	t.Run("nowhere to evacuate to: a join first", func(t *testing.T) {
		c := formed(3)
		c.places(3)
		c.want.Replicas = 1
		c.phase(0, Removed)
		c.phase(1, Removed)
		c.phase(2, Removing)
		c.group(2)
		c.streams(1, 2)
		c.seen.Places[0].Node = virgin(0)
		c.seen.Places[0].Node.DiskID = "new"
		c.seen.Places[1].Node = virgin(1)
		c.expect(t, "write-record c-0-1=ordered@0")
	})
	t.Run("the sole member is taken back", func(t *testing.T) {
		c := formed(1)
		c.phase(0, Removing)
		c.expect(t, "write-record c-0-0=member@0")
		n := c.rec.Names[id(0)]
		n.Since = now.Add(-ActionLife)
		c.rec.Names[id(0)] = n
		c.expect(t, "wait")
	})
}

func TestDecision5Ordered(t *testing.T) {
	c := formed(3)
	c.places(3)
	c.phase(2, Ordered)
	c.group(0, 1)
	c.streams(1, 0)
	c.seen.Places[2].Node = virgin(2)
	n := c.rec.Names[id(2)]
	n.Kind = Join
	c.rec.Names[id(2)] = n
	c.expect(t, "send-order join c-2-0@2")
	c.want.Replicas = 1 // cancelled: the join is completed all the same
	c.expect(t, "send-order join c-2-0@2")
	c.run(2, id(2))
	c.expectReason(t, "wait", "c-2-0 joins", "disk2")
	c.seen.Places[2].Node = &Node{Waiting: true, DiskID: "other"}
	c.expect(t, "write-record c-2-0=void@2")
	c.seen.Places[2].Node = nil
	c.expect(t, "wait")

	n.Kind, n.Old = WipeAndJoin, "c-2-x"
	c.rec.Names[id(2)] = n
	c.seen.Places[2].Node = virgin(2)
	c.expect(t, "wait") // emptied: not the disk as it was ordered
	c.seen.Places[2].Node.Name, c.seen.Places[2].Node.ClusterID = "c-2-x", "id"
	if step := c.expect(t, "send-order wipe-and-join c-2-0@2"); step.Order.Old != "c-2-x" {
		t.Errorf("order %+v names not what it sets aside", step.Order)
	}
}

func TestDecision6LeavingIsTakenBack(t *testing.T) {
	c := formed(3)
	c.phase(2, Leaving)
	c.expect(t, "write-record c-2-0=member@2")
	c.want.Replicas = 1
	c.streams(1, 0)
	c.expect(t, "write-record c-2-0=removing@2")
}

func TestDecision7Refill(t *testing.T) {
	c := formed(1)
	c.want.Replicas = 3
	c.expect(t, "resize 3")
	c.places(3)
	c.expect(t, "write-record c-1-0=ordered@1")
	c.behind(0)
	c.expect(t, "wait")

	c = formed(1)
	c.want.Replicas = 3
	c.places(3)
	c.seen.Places[1].Node = nil
	c.expectReason(t, "wait", "place 1 is empty")
	c.seen.Quiet = Patience
	c.expectReason(t, "wait person", "place 1 is empty", "see why it doesn't come up")

	c = formed(3) // a removed name's disk
	c.phase(2, Removed)
	c.group(0, 1)
	c.wait(2, "retired")
	c.expect(t, "write-record c-2-1=ordered@2")
	if n := c.next().Record.Names["c-2-1"]; n.Kind != WipeAndJoin || n.Old != id(2) || n.DiskID != "disk2" {
		t.Errorf("ordered: %+v", n)
	}
	c.seen.Places[2].Node.Name = "who"
	c.expectReason(t, "wait person", "disk disk2 at place 2", "who")

	c = formed(3) // a disk has one name for ever, wherever it is
	c.group(0, 2)
	c.phase(1, Void)
	c.rec.Names["c-1-1"] = Name{Phase: Removed, Place: 1}
	c.seen.Places[1].Node = virgin(1)
	c.expect(t, "write-record c-1-0=ordered@1")
	c.seen.Places[1].Node.DiskID = "new"
	c.expect(t, "write-record c-1-2=ordered@1")

	c.rec.Doomed = []string{"vol1"} // never on a doomed volume
	c.expect(t, "delete-volume vol1@1")
}

func TestDecision9LowerSize(t *testing.T) {
	c := formed(1)
	c.places(3)
	c.expect(t, "resize 1")
	c.seen.Size = 1
	c.expect(t, "done")

	c = formed(3) // a disk that is missed may be in a place that doesn't answer
	c.places(5)
	c.seen.Places[4].Node = nil
	c.expect(t, "resize 3")
	c.behind(2)
	c.expect(t, "wait")
	c.seen.Places[4].Node = virgin(4)
	c.expect(t, "resize 3")
}

func TestDecision10Volumes(t *testing.T) {
	c := formed(1)
	c.want.DeleteDisks = true
	c.seen.Places = append(c.seen.Places, Place{Volume: "vol1"}, Place{Volume: "vol2", Started: true})
	c.rec.Doomed = []string{"gone"}
	c.expect(t, "write-record doomed=vol1")
	c.rec.Doomed = []string{"vol1"}
	c.expect(t, "delete-volume vol1@1")
	c.seen.Places[1].Volume = ""
	c.expect(t, "done")
	c.want.DeleteDisks = false
	c.seen.Places[2].Started = false
	c.expect(t, "done")
}

func TestDecision11Raise(t *testing.T) {
	c := formed(3)
	c.streams(1, 0)
	c.expect(t, "set-replicas A/one=3")
	c.seen.Streams[0].Replicas = 3
	c.expect(t, "set-replicas B/two=3") // while the first still copies
	c.seen.Streams[1].Replicas = 3
	c.expectReason(t, "wait", "A/one has 1 of 3")
	c.streams(3, 0, 1, 2)
	c.seen.Streams[1].Peers[2].Current = false
	c.expectReason(t, "wait", "c-2-0 is not in sync for stream B/two")
	c.seen.Streams[1].Leader = ""
	c.expectReason(t, "wait", "stream B/two has no leader")
	c.streams(1, 0)
	c.behind(1)
	c.expect(t, "wait")
}
