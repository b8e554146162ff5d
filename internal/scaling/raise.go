// SPDX-License-Identifier: Apache-2.0

package scaling

// raise gives every stream as many replicas as there are members, once all are current and nothing else is open.
func (p *pass) raise() *Step {
	if behind, ok := p.allCurrent(); !ok {
		return wait(have, "%s is not current in the meta group", behind)
	}
	if len(p.members) != p.want.Replicas {
		return wait("look at the meta group's members", "the meta group has %d members, %d are wished", len(p.members), p.want.Replicas)
	}
	var late *Step
	for _, s := range p.streams {
		if s.Leader == "" {
			late = or(late, wait("start the nodes of its replicas; if their disks are lost, restore the stream from a backup",
				"stream %s has no leader", s.ref()))
			continue
		}
		if s.Replicas != len(p.members) {
			return p.setReplicas(s, len(p.members))
		}
		if len(s.Peers) != s.Replicas {
			late = or(late, wait("look why JetStream doesn't place another replica: space, or the account's limits",
				"stream %s has %d of %d replicas so far", s.ref(), len(s.Peers), s.Replicas))
		}
		if behind := s.behind(""); behind != "" {
			late = or(late, wait(have, "%s is not in sync for stream %s", behind, s.ref()))
		}
	}
	return late
}

func or(a, b *Step) *Step {
	if a != nil {
		return a
	}
	return b
}

// rest is where the wish is fulfilled.
func (p *pass) rest() Step {
	return Step{Action: Done, Reason: "every member is current, and every stream has a replica in sync on each"}
}
