// SPDX-License-Identifier: Apache-2.0

package scaling

// empty returns the next step towards no data of any stream being on name alone, nil when there is nothing left to do. Each stream
// goes on by itself: one that has to wait hinders no other.
//
// While name is being removed nothing is lowered: a removal that another driver has decided may be late, and lowering could leave a
// stream on the very peer that it takes. Lowering that was decided before may be late as well; it is waited out should a stream have
// come back to the leaver.
func (p *pass) empty(name string) (step *Step, nowhere bool) {
	for _, s := range p.streams {
		next, none := p.emptyStream(s, name)
		if next == nil {
			continue
		}
		if next.Action != Wait {
			return next, false
		}
		if step == nil {
			step = next
		}
		nowhere = nowhere || none
	}
	return step, nowhere
}

// emptyStream moves a stream's replica from name to a member that stays. When those have one each already, it lowers the number
// of replicas to theirs; JetStream keeps the leader then, whoever it is, so the leader is moved first, and the next pass looks again.
func (p *pass) emptyStream(s Stream, name string) (step *Step, nowhere bool) {
	if s.Leader == "" && (len(s.Peers) == 0 || s.has(name)) {
		return wait("start the nodes of its replicas", "stream %s has no leader, and may have a replica on %s", s.ref(), name), false
	}
	staying := 0
	for _, peer := range s.Peers {
		if p.stays(peer.Name) {
			staying++
		}
	}
	if !s.has(name) {
		return p.settleSize(s, name, staying), false
	}
	if !p.removeGate {
		if staying > 0 && staying < len(s.Peers) {
			return p.setReplicas(s, staying), false
		}
		return nil, false
	}
	if to := p.room(s, name); to != "" {
		if step := p.streamLeaderOff(s, name); step != nil {
			return step, false
		}
		return &Step{Action: MoveReplica, Stream: s.ref(), Name: name, To: to,
			Reason: name + " leaves, and has a replica of stream " + s.ref().String(),
			Remedy: "see what JetStream answered, and whether " + to + " has space; to keep " + name + ", ask for more replicas"}, false
	}
	if behind := s.behind(""); behind != "" && p.lowerSync {
		return wait(have, "the replicas of stream %s are lowered when all are in sync; %s is not", s.ref(), behind), false
	}
	if staying%2 == 1 && staying < len(s.Peers) && !p.mayVanish(name) {
		if step := p.streamLeaderOff(s, name); step != nil {
			return step, false
		}
		return p.setReplicas(s, staying), false
	}
	if p.mayVanish(name) && p.fresh(name) {
		return wait("see whether another driver is at work", "stream %s has a replica on %s again: its removal waits until no earlier step can be under way", s.ref(), name), false
	}
	if len(s.Peers) > 1 && s.behind(name) == "" {
		return nil, false // the others have all: the removal takes this replica with it
	}
	return wait("bring another node up for it", "stream %s has a replica on %s, and nowhere to go", s.ref(), name), true
}

// mayVanish is true once a removal of name can be under way.
func (p *pass) mayVanish(name string) bool {
	return p.lateRemove && p.rec.Names[name].Phase == Removing
}

// settleSize has a stream that lacks replicas do without them: JetStream would give it one on name, which is just leaving.
func (p *pass) settleSize(s Stream, name string, staying int) *Step {
	if !p.noRefilling || p.mayVanish(name) || len(s.Peers) >= s.Replicas {
		return nil
	}
	if behind := s.behind(""); behind != "" {
		return wait(have, "the replicas of stream %s are lowered when all are in sync; %s is not", s.ref(), behind)
	}
	if staying%2 == 1 {
		return p.setReplicas(s, staying)
	}
	return p.setReplicas(s, len(s.Peers))
}

// room is a member without a replica of the stream that can take the one of name: one that stays, or any other when none does.
func (p *pass) room(s Stream, name string) string {
	anyStays := false
	for member := range p.members {
		anyStays = anyStays || p.stays(member)
	}
	for _, peer := range p.seen.Meta.Peers {
		if anyStays && !p.stays(peer.Name) || peer.Name == name || s.has(peer.Name) {
			continue
		}
		if peer.Current && p.running(peer.Name) {
			return peer.Name
		}
	}
	return ""
}

// streamLeaderOff moves a stream's leader to a replica that stays, so that lowering keeps that one and no write waits for an election.
func (p *pass) streamLeaderOff(s Stream, name string) *Step {
	if p.stays(s.Leader) {
		return nil
	}
	to := p.successor(s.Peers, name)
	if to == "" || s.Leader != name && !p.stays(to) {
		return nil
	}
	return &Step{Action: MoveLeader, Stream: s.ref(), Name: s.Leader, To: to,
		Reason: s.Leader + " leaves, and leads stream " + s.ref().String(), Remedy: "look why " + to + " doesn't take the lead"}
}

func (p *pass) setReplicas(s Stream, n int) *Step {
	if s.Replicas == n {
		return wait("look why JetStream doesn't follow", "stream %s is on its way from %d to %d replicas", s.ref(), len(s.Peers), n)
	}
	step := wait("look at what JetStream answered", "stream %s has %d replicas, and %d members are to have one each", s.ref(), s.Replicas, n)
	step.Action, step.Stream, step.Replicas = SetReplicas, s.ref(), n
	return step
}
