// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"testing"
	"time"
)

func TestDoneWhenNothingIsToDo(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		formed(n).expect(t, "done")
	}
}

func TestEvenAndOddSizes(t *testing.T) {
	for _, n := range []int{-1, 2, 4, 6, 7} {
		c := formed(3)
		c.want.Replicas = n
		c.expectReason(t, "wait person", fmt.Sprint(n, " replicas"), "1, 3 or 5")
	}
}

func TestReplicasZeroStopsAndKeeps(t *testing.T) {
	c := formed(3)
	c.want.Replicas, c.want.DeleteDisks = 0, true
	c.expect(t, "resize 0")
	c.seen.Size = 0
	c.expect(t, "wait")
	for i := range c.seen.Places {
		c.seen.Places[i].Started, c.seen.Places[i].Node = false, nil
	}
	c.expect(t, "done")
	c.want.Replicas = 3
	c.expect(t, "resize 3")
}

func TestPatience(t *testing.T) {
	c := formed(3)
	c.behind(2)
	c.expect(t, "wait")
	c.seen.Quiet = Patience
	c.expectReason(t, "wait person", "c-2-0 is not current", "nothing has changed for 2m0s", "declare it dead")

	c = formed(3)
	c.want.Replicas = 1
	c.phase(2, Leaving)
	c.seen.Meta.Peers = peers([]int{0, 1, 2})
	c.streams(1, 2)
	c.seen.Quiet = 3 * time.Minute
	c.expectReason(t, "move-replica person A/one c-2-0>c-0-0", "3m0s", "has space")
	c.seen.Quiet = 0
	c.expect(t, "move-replica A/one c-2-0>c-0-0")

	c = formed(3)
	c.seen.Quiet = time.Hour
	c.expect(t, "done")
}

// O2: a node of another cluster, a copy of a disk, or a member that nobody knows stops everything.
func TestO2Strangers(t *testing.T) {
	c := formed(3)
	c.seen.Places[1].Node.ClusterID = "other"
	c.expectReason(t, "wait person", "place 1", "cluster id other", "of id")

	c = formed(3)
	c.seen.Places[2].Node.DiskID = "disk0"
	c.expectReason(t, "wait person", "disk disk0", "place 0", "place 2", "copy")

	c = formed(3)
	c.seen.Meta.Peers = append(c.seen.Meta.Peers, Peer{Name: "who"})
	c.expectReason(t, "wait person", "lists who")
}

// O3: as many places run as names need; the size is lowered only when no name needs them.
func TestO3Size(t *testing.T) {
	c := formed(3)
	c.want.Replicas = 1
	c.seen.Size = 1
	c.expect(t, "resize 3")
	for _, phase := range []Phase{Ordered, Leaving, Removing} {
		c.phase(2, phase)
		c.expect(t, "resize 3")
	}
	c.phase(2, Removed)
	c.expect(t, "resize 2")
	c.phase(2, Void)
	c.expect(t, "resize 2")
}

// O4: no leader, and a member's place answers with another disk.
func TestO4FindDisk(t *testing.T) {
	c := formed(3) // a stream has no leader: the same
	c.places(4)
	c.exchange(0)
	c.seen.Size, c.seen.Places[3].Started, c.seen.Places[3].Node = 3, false, nil
	c.expect(t, "write-record c-0-0=removing@0")
	c.seen.Streams[0].Leader = ""
	c.expect(t, "resize 4")

	c = formed(3)
	c.places(5)
	c.exchange(0)
	c.seen.Meta = nil
	c.seen.Size, c.seen.Places[4].Started, c.seen.Places[4].Node = 3, false, nil
	c.seen.Places[3].Started, c.seen.Places[3].Node = false, nil
	c.expect(t, "resize 5")
	c.run(0, id(0))
	c.expect(t, "wait")
}

// O5: a name is where it answers now, and the record follows.
func TestO5DiskMoved(t *testing.T) {
	c := formed(3)
	c.run(1, id(2))
	c.seen.Places[1].Node.DiskID = "disk2"
	c.run(2, id(1))
	c.seen.Places[2].Node.DiskID = "disk1"
	c.expect(t, "write-record c-1-0=member@2")
}

// O6: who may be resumed.
func TestO6Resume(t *testing.T) {
	c := formed(3)
	c.wait(2, "")
	c.expect(t, "send-order resume c-2-0@2")
	c.phase(2, Leaving)
	c.expect(t, "send-order resume c-2-0@2")

	c.group(0, 1) // nobody lists it
	c.expect(t, "write-record c-2-0=removed@2")

	c = formed(3) // removing: resumed only when a stream has no leader without it
	c.wait(2, "leaving")
	c.phase(2, Removing)
	c.want.Replicas = 1
	c.expect(t, "send-order retire c-2-0@2")
	c.seen.Streams[1].Leader = ""
	c.expect(t, "send-order resume c-2-0@2 keep")
	c.seen.Streams[1].Peers = peers([]int{0, 1}) // but not for a stream that it has no part in
	c.expect(t, "send-order retire c-2-0@2")

	c = formed(3) // retired disks are never resumed
	c.wait(2, "retired")
	c.behind(2)
	c.expect(t, "wait")
}

func TestO6ResumeWithoutLeader(t *testing.T) {
	leaderless := func() *cluster {
		c := formed(3)
		c.want.Replicas = 1
		c.phase(2, Removing)
		c.wait(2, "leaving")
		c.seen.Places[1].Node = nil
		c.seen.Meta = nil
		return c
	}
	c := leaderless() // of three, two others must list it
	c.expectReason(t, "wait", "no meta leader", "no answer from c-1-0", "not running: c-2-0")
	c.run(1, id(1))
	c.seen.Places[1].Node.Members = []string{id(0), id(1), id(2)}
	c.expect(t, "send-order resume c-2-0@2 keep")
	c.seen.Places[1].Node.Members = []string{id(0), id(1)} // one excludes it
	c.expect(t, "wait")
	c.seen.Places[1].Node.Members = []string{id(0), id(1), id(2)}
	c.seen.Places[1].Node.Off = true // one that was removed proves nothing
	c.expect(t, "wait")

	c = leaderless() // of two, one
	c.phase(1, Removed)
	c.seen.Places[0].Node.Members = []string{id(0), id(2)}
	c.expect(t, "send-order resume c-2-0@2 keep")
}
