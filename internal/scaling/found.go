// SPDX-License-Identifier: Apache-2.0

package scaling

import "fmt"

// found begins a cluster, once: a second founding beside data that exists is the worst that can happen. So there must be no record,
// no cluster id beside it, and every volume that exists must answer, live, that it is virgin. Until that is seen places are only
// started, to ask.
func (p *pass) found() *Step {
	if p.rec != nil {
		return nil
	}
	if p.known && p.seen.KnownID != "" {
		return person("restore the record; without one from a backup, adopt the nodes by hand",
			"cluster id %s is known, but its record is lost", p.seen.KnownID)
	}
	if p.askOrder {
		if step := p.askFirst(); step != nil {
			return step
		}
	}
	size := p.want.Replicas
	if p.foundGuard {
		for i, place := range p.seen.Places {
			if place.Volume != "" && i+1 > size {
				size = i + 1
			}
		}
		size = max(size, p.seen.Size)
	}
	if p.seen.Size < size {
		return p.resize(size, "no record: every place is started and asked whether it is empty")
	}
	founder := p.node(0)
	if founder == nil || !founder.Waiting || founder.Name != "" || founder.Journal {
		return wait("look why it doesn't come up empty", "no record, and place 0 does not yet wait with an empty disk")
	}
	for i, place := range p.seen.Places {
		if n := place.Node; p.foundGuard && place.Volume != "" {
			if n == nil {
				return wait("start it; a volume that can't be asked may hold the cluster's data",
					"no record, and place %d has a volume that has not answered", i)
			}
			if !n.Waiting || n.Name != "" || n.Aside || n.Journal {
				return person("restore the record, or take that volume away if its data is not wanted",
					"no record, and the disk %s at place %d is not virgin", n.DiskID, i)
			}
		}
	}
	name := fmt.Sprintf("%s-0-0", p.want.Name)
	return p.write(name, Name{Phase: Ordered, Place: 0, DiskID: founder.DiskID, Kind: Found, Since: p.seen.Now},
		"%s founds the cluster on disk %s at place 0: no record, no known cluster id, and all volumes are virgin", name, founder.DiskID)
}

// askFirst lets one place after another answer, and starts nothing more beside a node that has an identity.
func (p *pass) askFirst() *Step {
	answered := false
	for i, place := range p.seen.Places {
		n := place.Node
		answered = answered || n != nil
		switch {
		case n != nil && n.Name != "":
			return person("restore the record; without one from a backup, adopt the nodes by hand",
				"no record, but the node at place %d has an identity: %s of cluster id %s", i, n.Name, n.ClusterID)
		case place.Started && n == nil:
			return wait("look why it doesn't answer", "no record, and place %d has not answered yet", i)
		}
	}
	if p.seen.Size == 0 {
		return p.resize(1, "no record: the first place is started and asked whether it is empty")
	}
	if !answered { // it may not even be there yet
		return wait("look why it doesn't come up", "no record, and no place has answered yet")
	}
	return nil
}

// knownID has the cluster id written down a second time before anything is founded under it.
func (p *pass) knownID() *Step {
	if !p.known || p.seen.KnownID == p.rec.ClusterID {
		return nil
	}
	if p.seen.KnownID != "" {
		return person("find out which of the two is this cluster's, and restore the other from a backup",
			"cluster id %s is known, the record is of %s", p.seen.KnownID, p.rec.ClusterID)
	}
	return &Step{Action: WriteKnownID, Reason: fmt.Sprintf("cluster id %s is written down beside its record", p.rec.ClusterID),
		Remedy: "look why it can't be written"}
}
