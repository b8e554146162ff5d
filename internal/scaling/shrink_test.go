// SPDX-License-Identifier: Apache-2.0

package scaling

import "testing"

// Shrinking, step by step: what is seen, and what is next.
func TestDecision8Shrink(t *testing.T) {
	c := formed(3)
	c.want.Replicas = 1
	c.behind(1)
	c.expect(t, "write-record c-2-0=leaving@2")
	c.phase(2, Leaving)
	c.expectReason(t, "wait", "c-1-0 is not")
	c.group(0, 1, 2)
	c.streams(3, 2, 1, 0) // led by the leaver: off it first, each stream on its own
	c.expect(t, "move-leader A/one c-2-0>c-0-0")
	c.seen.Streams[0].Leader = id(0)
	c.expect(t, "set-replicas A/one=1")
	c.seen.Streams[0] = Stream{Account: "A", Name: "one", Replicas: 1, Leader: id(1), Peers: peers([]int{1})}
	c.expect(t, "move-leader B/two c-2-0>c-0-0")
	c.seen.Streams[1].Leader = id(0)
	c.seen.Streams[1].Peers[1].Current = false
	c.expectReason(t, "wait", "lowered when all are in sync", "B/two")
	c.seen.Streams[1].Peers[1].Current = true
	c.expect(t, "set-replicas B/two=1")
	c.seen.Streams[1] = Stream{Account: "B", Name: "two", Replicas: 1, Leader: id(2), Peers: peers([]int{2})}
	c.expect(t, "move-replica B/two c-2-0>c-0-0") // JetStream kept the leaver
	c.seen.Streams[1].Peers = peers([]int{0})
	c.seen.Streams[1].Leader = id(0)
	c.expect(t, "write-record c-2-0=removing@2")
	c.phase(2, Removed)
	c.group(0, 1)
	c.wait(2, "leaving")
	c.expect(t, "write-record c-1-0=leaving@1")
	c.phase(1, Leaving)
	c.expect(t, "move-replica A/one c-1-0>c-0-0")
}

func TestShrinkFiveToThree(t *testing.T) {
	c := formed(5)
	c.want.Replicas = 3
	c.phase(4, Leaving)
	c.expect(t, "set-replicas A/one=3")
	c.streams(3, 3, 4, 0) // lowered, and the wrong ones were kept
	c.expect(t, "move-leader A/one c-3-0>c-0-0")
	c.seen.Streams[0].Leader = id(0)
	c.expect(t, "move-replica A/one c-4-0>c-1-0")
	c.seen.Streams[0].Peers = peers([]int{0, 1, 3})
	c.seen.Streams[1].Leader = id(0)
	c.expect(t, "move-replica B/two c-4-0>c-1-0")
	c.seen.Streams[1].Peers = peers([]int{0, 1, 3})
	c.expect(t, "write-record c-4-0=removing@4")
}

func TestShrinkNeverLowersToAnEvenNumber(t *testing.T) {
	c := formed(5)
	c.want.Replicas = 3
	c.phase(1, Removed)
	c.seen.Places[1].Node = virgin(1)
	c.group(0, 2, 3, 4)
	c.phase(4, Removing)
	c.streams(5, 0, 2, 3, 4)
	c.expect(t, "send-order leave c-4-0@4") // the removal takes its replica, and leaves three
}

// A stream that must wait hinders no other.
func TestEachStreamOnItsOwn(t *testing.T) {
	c := formed(3)
	c.want.Replicas = 1
	c.phase(2, Leaving)
	c.seen.Streams[0].Peers[1].Current = false
	c.expect(t, "set-replicas B/two=1")
	c.seen.Streams[1] = Stream{Account: "B", Name: "two", Replicas: 1, Leader: id(0), Peers: peers([]int{0})}
	c.expectReason(t, "wait", "A/one")
	c.seen.Streams[0].Leader = ""
	c.expectReason(t, "wait", "A/one has no leader")
}

// The wish changes in the middle: nothing is begun anew before what was recorded is brought to its end.
func TestCancelInTheMiddle(t *testing.T) {
	c := formed(3) // growing, cancelled at two: the join that was ordered completes, then it leaves
	c.want.Replicas = 1
	c.phase(2, Ordered)
	c.rec.Names["c-2-0"] = Name{Phase: Removed, Place: 2}
	c.group(0, 1)
	c.streams(1, 0)
	c.phase(1, Ordered)
	c.expect(t, "write-record c-1-0=member@1")
	c.phase(1, Member)
	c.seen.Places[2].Node = virgin(2)
	c.expect(t, "write-record c-1-0=leaving@1")

	c = formed(3) // shrinking, taken back while leaving
	c.phase(2, Leaving)
	c.streams(1, 0)
	c.expect(t, "write-record c-2-0=member@2")
	c.phase(2, Member)
	c.expect(t, "set-replicas A/one=3")

	c = formed(3) // while removing: it goes, and comes back under a new name
	c.phase(2, Removing)
	c.streams(1, 0)
	c.expect(t, "send-order leave c-2-0@2")
}
