// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// takenBack makes the sole member a member again when its place is wanted, while it is unmarked and no removal of it can be under way.
func (p *pass) takenBack() *Step {
	if !p.takeBack {
		return nil
	}
	for i, n := range p.nodes {
		if n == nil || n.Name == "" || n.Mark != "" || i >= p.want.Replicas || len(p.members) != 1 || !p.members[n.Name] {
			continue
		}
		q := p.rec.Names[n.Name]
		if q.Phase == Removing && !p.fresh(n.Name) {
			return p.phase(n.Name, Member, "it is the sole member, and its place is wanted")
		}
	}
	return nil
}

// fresh is true while a step that was decided before the name's phase began may still be under way.
func (p *pass) fresh(name string) bool {
	return p.seen.Now.Sub(p.rec.Names[name].Since) <= ActionLife
}

// removals finishes what is being removed: dead ones first, then those that wait, then those that run. Nothing else starts
// meanwhile, but a join when there is nowhere to evacuate to.
func (p *pass) removals() *Step {
	for turn := range 3 {
		for _, name := range slices.Backward(p.names) {
			if p.rec.Names[name].Phase != Removing || !p.members[name] {
				continue
			}
			first := p.deadFirst && (p.dead(name) || turn == 1 && p.waiting(name))
			if turn < 2 && !first {
				continue
			}
			step, nowhere := p.remove(name)
			if nowhere && p.joining() == "" {
				if join := p.refill(); join != nil && join.Action != Wait {
					return join
				}
			}
			return step
		}
	}
	return nil
}

// remove returns the next step of removing a name, and whether it is stuck because its replicas have nowhere to go.
func (p *pass) remove(name string) (step *Step, nowhere bool) {
	switch {
	case p.dead(name), p.waitRemove && p.waiting(name):
		return p.removeAbsent(name), false
	case p.running(name), p.waiting(name):
		return p.removePresent(name)
	}
	return wait(have, "%s is being removed and does not answer", name), false
}

// removeAbsent removes a member without its help: the rest of each stream's quorum must have the data. One that waits is retired when
// that is so; from then on it can't come back with anything, and only its removal can help a stream that lost its leader meanwhile.
func (p *pass) removeAbsent(name string) *Step {
	dead := p.dead(name)
	if _, n := p.at(name); n != nil && n.Waiting && n.Mark == "retired" {
		return p.removePeer(name, "%s is retired", name)
	}
	for _, s := range p.streams {
		if s.Leader == "" && (len(s.Peers) == 0 || s.has(name)) {
			if lost := p.lost(s); lost > 0 && len(s.Peers)-lost < quorum(len(s.Peers)) {
				return person("bring a disk back, or restore the stream from a backup",
					"stream %s lost its quorum: %d of %d replicas are on disks that are gone", s.ref(), lost, len(s.Peers))
			}
			return wait("start the nodes of its replicas", "%s is not removed while stream %s has no leader", name, s.ref())
		}
		if !s.has(name) {
			continue
		}
		if len(s.Peers) == 1 {
			return person("bring the disk back, or delete the stream and restore it from a backup",
				"stream %s has its only replica on %s", s.ref(), name)
		}
		if behind := s.behind(name); !dead && p.syncFirst && behind != "" {
			return wait(have, "%s waits and has data: it is removed when %s is in sync for stream %s", name, behind, s.ref())
		}
	}
	if i, n := p.at(name); p.retire && p.markWaiting && n != nil {
		return p.order(i, "retire", name, "%s is about to be removed: no order may start its disk any more, late ones included", name)
	}
	if dead {
		return p.removePeer(name, "the disk of %s is gone, and the others have its data", name)
	}
	return p.removePeer(name, "%s waits to leave, and the others have its data", name)
}

// lost counts the replicas of a stream whose disks are gone.
func (p *pass) lost(s Stream) (n int) {
	for _, peer := range s.Peers {
		if _, known := p.rec.Names[peer.Name]; known && p.dead(peer.Name) {
			n++
		}
	}
	return n
}

// removePresent removes a member that runs: nothing may be left on it, and it must know the log to learn of its removal.
func (p *pass) removePresent(name string) (step *Step, nowhere bool) {
	for _, peer := range p.seen.Meta.Peers {
		if !peer.Current && (peer.Name != name || p.running(name)) && p.removeGate {
			return wait(have, "%s leaves when all members are current; %s is not", name, peer.Name), false
		}
	}
	if step, nowhere := p.empty(name); step != nil {
		return step, nowhere
	}
	if step := p.metaLeaderOff(name); step != nil {
		return step, false
	}
	if i, n := p.at(name); p.retire && n != nil && n.Running && n.Mark == "" {
		return p.order(i, "leave", name, "%s is about to be removed: its disk must not start by itself any more", name), false
	}
	return p.removePeer(name, "%s is empty, and all members are current", name), false
}

// metaLeaderOff moves the meta group's leader off a member that is about to be removed, so that nobody waits for an election.
func (p *pass) metaLeaderOff(name string) *Step {
	if p.seen.Meta.Leader != name {
		return nil
	}
	to := p.successor(p.seen.Meta.Peers, name)
	if to == "" {
		return nil
	}
	return &Step{Action: MoveLeader, Name: name, To: to, Reason: name + " leaves, and leads the meta group",
		Remedy: "look why " + to + " doesn't take the lead"}
}

// successor is who may lead a group after name: a current peer that stays, else any other current one.
func (p *pass) successor(peers []Peer, name string) string {
	other := ""
	for _, peer := range peers {
		if peer.Name == name || !peer.Current || !p.running(peer.Name) {
			continue
		}
		if p.stays(peer.Name) {
			return peer.Name
		}
		if other == "" {
			other = peer.Name
		}
	}
	return other
}
