// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/unibus/unibus/internal/scaling"
)

// maxSteps ends a simulation that does not come to an end.
const maxSteps = 400

// simulation is a cluster in which every step succeeds at once. It tells what the real steps will be, since the same function decides.
type simulation struct {
	inv    inventory
	record *scaling.Record
	seen   scaling.Observed
}

// simulate returns the steps that lead from what is observed to what is wished, and the last one, which is Done or says what
// the cluster waits for.
func simulate(o observation) (steps []simulated, last scaling.Step) {
	if o.Blocked != nil {
		return nil, o.next()
	}
	s := &simulation{inv: o.inv, record: o.record.Record, seen: cloneSeen(o.seen)}
	for i := range s.seen.Places { // what the driver starts before it looks
		if p := &s.seen.Places[i]; i < s.seen.Size && p.Node == nil && !p.Started {
			s.startPlace(i)
		}
	}
	for range maxSteps {
		step := scaling.Next(s.record, o.desired(), s.seen)
		if step.Action == scaling.Done || step.Action == scaling.Wait || step.Person {
			return steps, step
		}
		before := s.members()
		s.apply(step)
		steps = append(steps, simulated{step, before, s.members()})
		s.seen.Now = s.seen.Now.Add(time.Second)
	}
	return steps, scaling.Step{Action: scaling.Wait, Reason: "the plan has no end", Remedy: "report this"}
}

// simulated is one step with the number of members before and after it.
type simulated struct {
	step          scaling.Step
	before, after int
}

func (s *simulation) members() int {
	if s.seen.Meta == nil {
		return 0
	}
	return len(s.seen.Meta.Peers)
}

func cloneSeen(o scaling.Observed) scaling.Observed {
	o.Places = slices.Clone(o.Places)
	for i, p := range o.Places {
		if p.Node != nil {
			n := *p.Node
			o.Places[i].Node = &n
		}
	}
	if o.Meta != nil {
		o.Meta = &scaling.Group{Leader: o.Meta.Leader, Peers: slices.Clone(o.Meta.Peers)}
	}
	o.Streams = slices.Clone(o.Streams)
	for i := range o.Streams {
		o.Streams[i].Peers = slices.Clone(o.Streams[i].Peers)
	}
	return o
}

func (s *simulation) apply(step scaling.Step) {
	switch step.Action {
	case scaling.WriteRecord:
		r := *step.Record
		if r.ClusterID == "" {
			r.ClusterID = "new"
		}
		s.record = &r
	case scaling.WriteKnownID:
		s.seen.KnownID = s.record.ClusterID
	case scaling.Resize:
		s.resize(step.Size)
	case scaling.SendOrder:
		s.order(s.seen.Places[step.Place].Node, step.Order)
	case scaling.RemovePeer:
		s.remove(step.Name)
	case scaling.MoveLeader:
		if step.Stream.Name == "" {
			s.seen.Meta.Leader = step.To
		} else {
			s.stream(step.Stream).Leader = step.To
		}
	case scaling.MoveReplica:
		st := s.stream(step.Stream)
		for i, p := range st.Peers {
			if p.Name == step.Name {
				st.Peers[i].Name = step.To
			}
		}
		if st.Leader == step.Name {
			st.Leader = step.To
		}
	case scaling.SetReplicas:
		s.replicas(s.stream(step.Stream), step.Replicas)
	}
}

func (s *simulation) stream(ref scaling.StreamRef) *scaling.Stream {
	i := slices.IndexFunc(s.seen.Streams, func(x scaling.Stream) bool { return x.Account == ref.Account && x.Name == ref.Name })
	return &s.seen.Streams[i]
}

func (s *simulation) resize(size int) {
	s.seen.Size = size
	for len(s.seen.Places) < size {
		s.seen.Places = append(s.seen.Places, scaling.Place{})
	}
	for i := range s.seen.Places {
		p := &s.seen.Places[i]
		switch {
		case i < size && p.Node == nil:
			s.startPlace(i)
		case i >= size && s.isLocal(i):
			p.Started, p.Node = false, nil
		}
	}
}

func (s *simulation) isLocal(i int) bool {
	return i >= len(s.inv.Places) || s.inv.Places[i].Local != nil
}

// startPlace has the node of a place answer as its disk will have it.
func (s *simulation) startPlace(i int) {
	p := &s.seen.Places[i]
	n := &scaling.Node{Waiting: true, DiskID: fmt.Sprintf("new-%d", i), Nonce: "nonce"}
	if p.Volume != "" && i < len(s.inv.Places) && s.inv.Places[i].DiskID != "" {
		n.DiskID = s.inv.Places[i].DiskID
	}
	p.Volume, p.Started, p.Node = fmt.Sprintf("place-%d", i), true, n
	if s.record == nil {
		return
	}
	last := ""
	for name, q := range s.record.Names {
		switch {
		case q.Phase != scaling.Removed && q.Phase != scaling.Void && q.DiskID == n.DiskID:
			if q.Phase != scaling.Ordered {
				n.Name, n.ClusterID, n.Running, n.Waiting = name, s.record.ClusterID, true, false
			}
			return
		case q.Phase == scaling.Removed && q.Place == i && name > last:
			last = name
		}
	}
	if last != "" && n.DiskID != fmt.Sprintf("new-%d", i) {
		n.Name, n.ClusterID, n.Mark = last, s.record.ClusterID, "retired"
	}
}

func (s *simulation) order(n *scaling.Node, o scaling.Order) {
	switch o.Kind {
	case "found":
		s.seen.Meta = &scaling.Group{Leader: o.Name, Peers: []scaling.Peer{{Name: o.Name, Current: true}}}
	case "join", "wipe-and-join":
		if s.seen.Meta == nil {
			break // an order is sent again while the meta group has no leader
		}
		s.seen.Meta.Peers = append(s.seen.Meta.Peers, scaling.Peer{Name: o.Name, Current: true})
		for i := range s.seen.Streams { // JetStream makes up for replicas that were removed
			if st := &s.seen.Streams[i]; len(st.Peers) < st.Replicas {
				st.Peers = append(st.Peers, scaling.Peer{Name: o.Name, Current: true})
			}
		}
	case "leave":
		n.Mark = "leaving"
		return
	case "retire":
		n.Running, n.Waiting, n.Off, n.Mark = false, true, false, "retired"
		return
	}
	n.Name, n.ClusterID, n.Running, n.Waiting = o.Name, s.record.ClusterID, true, false
	if !o.KeepMark {
		n.Mark = ""
	}
}

func (s *simulation) remove(name string) {
	is := func(p scaling.Peer) bool { return p.Name == name }
	s.seen.Meta.Peers = slices.DeleteFunc(s.seen.Meta.Peers, is)
	if s.seen.Meta.Leader == name && len(s.seen.Meta.Peers) > 0 {
		s.seen.Meta.Leader = s.seen.Meta.Peers[0].Name
	}
	for i := range s.seen.Streams {
		st := &s.seen.Streams[i]
		st.Peers = slices.DeleteFunc(st.Peers, is)
		if st.Leader == name && len(st.Peers) > 0 {
			st.Leader = st.Peers[0].Name
		}
	}
	for i := range s.seen.Places {
		if n := s.seen.Places[i].Node; n != nil && n.Name == name {
			n.Off = true
		}
	}
}

// replicas gives a stream n replicas, with its leader among them.
func (s *simulation) replicas(st *scaling.Stream, n int) {
	st.Replicas = n
	slices.SortStableFunc(st.Peers, func(a, b scaling.Peer) int {
		switch st.Leader {
		case a.Name:
			return -1
		case b.Name:
			return 1
		}
		return 0
	})
	if len(st.Peers) > n {
		st.Peers = st.Peers[:n]
	}
	for _, p := range s.seen.Meta.Peers {
		if len(st.Peers) < n && !slices.ContainsFunc(st.Peers, func(q scaling.Peer) bool { return q.Name == p.Name }) {
			st.Peers = append(st.Peers, scaling.Peer{Name: p.Name, Current: true})
		}
	}
}
