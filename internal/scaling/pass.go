// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// pass is what one call of Next knows.
type pass struct {
	rules
	rec  *Record
	want Desired
	seen Observed
	// names are the record's, by place, then by name.
	names []string
	// nodes are what answers, by place; nil where nothing does.
	nodes []*Node
	// led is true when a meta leader answers and one of the nodes that answer runs.
	led bool
	// members are the meta group's, current those that are online and have its whole log.
	members, current map[string]bool
	streams          []Stream
}

func newPass(r rules, record *Record, desired Desired, seen Observed) *pass {
	p := &pass{rules: r, rec: record, want: desired, seen: seen, streams: seen.Streams}
	for _, place := range seen.Places {
		p.nodes = append(p.nodes, place.Node)
	}
	if record != nil {
		p.names = slices.SortedFunc(maps.Keys(record.Names), func(a, b string) int {
			return cmp.Or(cmp.Compare(record.Names[a].Place, record.Names[b].Place), strings.Compare(a, b))
		})
	}
	running := slices.ContainsFunc(p.nodes, func(n *Node) bool { return n != nil && n.Running })
	p.led = seen.Meta != nil && running
	p.members, p.current = map[string]bool{}, map[string]bool{}
	if p.led {
		for _, peer := range seen.Meta.Peers {
			p.members[peer.Name] = true
			if peer.Current {
				p.current[peer.Name] = true
			}
		}
	}
	if !r.everyStream && len(p.streams) > 1 {
		p.streams = p.streams[:1]
	}
	return p
}

func wait(remedy, format string, args ...any) *Step {
	return &Step{Action: Wait, Reason: fmt.Sprintf(format, args...), Remedy: remedy}
}

func person(remedy, format string, args ...any) *Step {
	return &Step{Action: Wait, Person: true, Reason: fmt.Sprintf(format, args...), Remedy: remedy}
}

// write returns the step that writes the record with one name changed.
func (p *pass) write(name string, n Name, format string, args ...any) *Step {
	rec := Record{Names: map[string]Name{}}
	if p.rec != nil {
		rec.ClusterID, rec.Doomed = p.rec.ClusterID, slices.Clone(p.rec.Doomed)
		maps.Copy(rec.Names, p.rec.Names)
	}
	rec.Names[name] = n
	return &Step{Action: WriteRecord, Name: name, Record: &rec, Reason: fmt.Sprintf(format, args...)}
}

// phase returns the step that brings a name into another phase.
func (p *pass) phase(name string, to Phase, format string, args ...any) *Step {
	n := p.rec.Names[name]
	n.Phase, n.Since = to, p.seen.Now
	if to == Removed {
		n.DiskID, n.Kind, n.Old = "", "", ""
	}
	return p.write(name, n, "%s is %s: %s", name, to, fmt.Sprintf(format, args...))
}

func (p *pass) resize(size int, format string, args ...any) *Step {
	return &Step{Action: Resize, Size: size, Reason: fmt.Sprintf(format, args...),
		Remedy: "look why the size can't be set"}
}

// node returns what answers at a place, nil when nothing does.
func (p *pass) node(place int) *Node {
	if place < 0 || place >= len(p.nodes) {
		return nil
	}
	return p.nodes[place]
}

func (p *pass) started(place int) bool {
	return place < len(p.seen.Places) && p.seen.Places[place].Started
}

// at returns the node that answers with a name.
func (p *pass) at(name string) (place int, node *Node) {
	for i, n := range p.nodes {
		if n != nil && n.Name == name {
			return i, n
		}
	}
	return -1, nil
}

// place is where a name is: where it answers now, else where it was last.
func (p *pass) place(name string) int {
	if p.nameByDisk {
		if i, n := p.at(name); n != nil {
			return i
		}
	}
	return p.rec.Names[name].Place
}

func (p *pass) running(name string) bool {
	_, n := p.at(name)
	return n != nil && n.Running
}

func (p *pass) waiting(name string) bool {
	_, n := p.at(name)
	return n != nil && n.Waiting
}

// active is true for names that are members or may become so.
func (p *pass) active(name string) bool {
	switch p.rec.Names[name].Phase {
	case Ordered, Member, Leaving, Removing:
		return true
	}
	return false
}

// allCurrent tells whether every member is current, and else names one that isn't.
func (p *pass) allCurrent() (behind string, ok bool) {
	for _, peer := range p.seen.Meta.Peers {
		if !peer.Current {
			return peer.Name, false
		}
	}
	return "", true
}

// stays is true for members that are to remain.
func (p *pass) stays(name string) bool {
	return p.members[name] && p.rec.Names[name].Phase == Member && p.place(name) < p.want.Replicas
}

// have is the remedy for whoever is waited for.
const have = "start it, or see why it doesn't catch up; if its disk is lost for good, declare it dead"

func (r StreamRef) String() string {
	if r.Account == "" {
		return r.Name
	}
	return r.Account + "/" + r.Name
}

func (s Stream) ref() StreamRef { return StreamRef{Account: s.Account, Name: s.Name} }

func (s Stream) has(name string) bool {
	return slices.ContainsFunc(s.Peers, func(p Peer) bool { return p.Name == name })
}

// behind returns a replica that isn't in sync, empty when all are; of except nothing is asked.
func (s Stream) behind(except string) string {
	for _, p := range s.Peers {
		if !p.Current && p.Name != except {
			return p.Name
		}
	}
	return ""
}

func quorum(n int) int { return n/2 + 1 }
