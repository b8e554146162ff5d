// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	long = now.Add(-time.Hour)
)

// cluster is an input of Next that tests change at will.
type cluster struct {
	rec  *Record
	want Desired
	seen Observed
}

// id is the name of the first node at a place.
func id(place int) string { return fmt.Sprintf("c-%d-0", place) }

// empty is a cluster that was never founded, with n empty disks that wait.
func empty(n int) *cluster {
	c := &cluster{want: Desired{Name: "c", Replicas: n}, seen: Observed{Now: now, Size: n}}
	for i := range n {
		c.seen.Places = append(c.seen.Places, Place{Volume: fmt.Sprint("vol", i), Started: true, Node: virgin(i)})
	}
	return c
}

func virgin(place int) *Node {
	return &Node{Waiting: true, DiskID: fmt.Sprint("disk", place), Nonce: fmt.Sprint("nonce", place)}
}

// formed is a healthy cluster of n with two streams.
func formed(n int) *cluster {
	c := empty(n)
	c.rec = &Record{ClusterID: "id", Names: map[string]Name{}}
	c.seen.KnownID = "id"
	for i := range n {
		kind := Join
		if i == 0 {
			kind = Found
		}
		c.rec.Names[id(i)] = Name{Phase: Member, Place: i, DiskID: fmt.Sprint("disk", i), Kind: kind, Since: long}
		c.run(i, id(i))
	}
	c.group(seq(n)...)
	c.streams(n, seq(n)...)
	return c
}

func seq(n int) (places []int) {
	for i := range n {
		places = append(places, i)
	}
	return places
}

// run has a name run at a place.
func (c *cluster) run(place int, name string) {
	n := virgin(place)
	n.Waiting, n.Running, n.ClusterID, n.Name = false, true, "id", name
	c.seen.Places[place].Node = n
}

// wait has the node at a place wait with the identity that it has.
func (c *cluster) wait(place int, mark string) {
	n := c.seen.Places[place].Node
	n.Running, n.Waiting, n.Mark, n.Members = false, true, mark, nil
}

// group sets the meta group, all current, led by the first, as every running node sees it.
func (c *cluster) group(places ...int) {
	c.seen.Meta = &Group{Leader: id(places[0]), Peers: peers(places)}
	for _, p := range c.seen.Places {
		if p.Node == nil || !p.Node.Running {
			continue
		}
		p.Node.Members = nil
		for _, i := range places {
			p.Node.Members = append(p.Node.Members, id(i))
		}
	}
}

// streams sets both streams' replicas, all in sync, led by the first.
func (c *cluster) streams(replicas int, places ...int) {
	c.seen.Streams = []Stream{
		{Account: "A", Name: "one", Replicas: replicas, Leader: id(places[0]), Peers: peers(places)},
		{Account: "B", Name: "two", Replicas: replicas, Leader: id(places[0]), Peers: peers(places)},
	}
}

func peers(places []int) (ps []Peer) {
	for _, i := range places {
		ps = append(ps, Peer{Name: id(i), Current: true})
	}
	return ps
}

// behind makes a member not current, in the meta group and in all streams.
func (c *cluster) behind(place int) {
	groups := [][]Peer{c.seen.Meta.Peers}
	for _, s := range c.seen.Streams {
		groups = append(groups, s.Peers)
	}
	for _, g := range groups {
		for i := range g {
			if g[i].Name == id(place) {
				g[i].Current = false
			}
		}
	}
}

// exchange puts an empty disk into a place; the member that was there is gone.
func (c *cluster) exchange(place int) {
	c.behind(place)
	c.seen.Places[place].Node = &Node{Waiting: true, DiskID: fmt.Sprint("new", place), Nonce: "n"}
}

// places adds places that are started, with empty disks.
func (c *cluster) places(n int) {
	for i := len(c.seen.Places); i < n; i++ {
		c.seen.Places = append(c.seen.Places, Place{Volume: fmt.Sprint("vol", i), Started: true, Node: virgin(i)})
	}
	c.seen.Size = max(c.seen.Size, n)
}

func (c *cluster) phase(place int, phase Phase) {
	n := c.rec.Names[id(place)]
	n.Phase, n.Place = phase, place
	c.rec.Names[id(place)] = n
}

func (c *cluster) next() Step { return Next(c.rec, c.want, c.seen) }

// brief is a step in short words.
func (c *cluster) brief(s Step) string {
	var w []string
	add := func(x ...any) { w = append(w, fmt.Sprint(x...)) }
	add(s.Action)
	if s.Person {
		add("person")
	}
	switch s.Action {
	case WriteRecord:
		var old Record
		if c.rec != nil {
			old = *c.rec
		}
		for _, name := range slices.Sorted(maps.Keys(s.Record.Names)) {
			if n := s.Record.Names[name]; n != old.Names[name] {
				add(name, "=", n.Phase, "@", n.Place)
			}
		}
		if !slices.Equal(s.Record.Doomed, old.Doomed) {
			add("doomed=", strings.Join(s.Record.Doomed, ","))
		}
	case Resize:
		add(s.Size)
	case SendOrder:
		add(s.Order.Kind)
		add(s.Order.Name, "@", s.Place)
		if s.Order.KeepMark {
			add("keep")
		}
	case RemovePeer:
		add(s.Name)
	case MoveReplica, MoveLeader:
		add(s.Stream, " ", s.Name, ">", s.To)
	case SetReplicas:
		add(s.Stream, "=", s.Replicas)
	case DeleteVolume:
		add(s.Volume, "@", s.Place)
	}
	return strings.Join(w, " ")
}

// expect compares the next step, and sees that persons get a remedy and that nothing that was given is changed.
func (c *cluster) expect(t *testing.T, want string) Step {
	t.Helper()
	before := fmt.Sprintf("%+v", *c)
	if c.rec != nil {
		before += fmt.Sprintf("%+v", *c.rec)
	}
	step := c.next()
	if diff := cmp.Diff(want, c.brief(step)); diff != "" {
		t.Errorf("next step (-want +got):\n%s\nreason: %s", diff, step.Reason)
	}
	after := fmt.Sprintf("%+v", *c)
	if c.rec != nil {
		after += fmt.Sprintf("%+v", *c.rec)
	}
	if before != after {
		t.Errorf("Next changed its arguments:\n%s", cmp.Diff(before, after))
	}
	if step.Reason == "" || step.Person != (step.Remedy != "") {
		t.Errorf("reason %q, person %v, remedy %q: every step has a reason, a remedy goes with a person", step.Reason, step.Person, step.Remedy)
	}
	if diff := cmp.Diff(step, c.next()); diff != "" {
		t.Errorf("not deterministic:\n%s", diff)
	}
	return step
}

// expectReason is expect, and looks for words in reason and remedy.
func (c *cluster) expectReason(t *testing.T, want string, words ...string) {
	t.Helper()
	step := c.expect(t, want)
	for _, w := range words {
		if !strings.Contains(step.Reason+" | "+step.Remedy, w) {
			t.Errorf("reason %q, remedy %q: no word of %q", step.Reason, step.Remedy, w)
		}
	}
}
