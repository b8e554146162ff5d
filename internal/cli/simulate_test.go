// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	"github.com/unibus/unibus/internal/scaling"
)

// TestPlanFromWhatIsHalfSeen plans from every state on the way of a change, as seen by a driver to whom something does not answer
// now: a cluster between two leaders, nodes that are down.
func TestPlanFromWhatIsHalfSeen(t *testing.T) {
	blind := map[string]func(o *scaling.Observed, i int){
		"no leader": func(o *scaling.Observed, _ int) { o.Meta, o.Streams = nil, nil },
		"no leader, a node down": func(o *scaling.Observed, i int) {
			o.Meta, o.Streams = nil, nil
			o.Places[i%len(o.Places)].Node = nil
		},
		"a node down": func(o *scaling.Observed, i int) { o.Places[i%len(o.Places)].Node = nil },
		"nodes wait": func(o *scaling.Observed, _ int) {
			o.Meta, o.Streams = nil, nil
			for _, p := range o.Places {
				if p.Node != nil {
					p.Node.Running, p.Node.Waiting, p.Node.Name, p.Node.ClusterID = false, true, "", ""
				}
			}
		},
	}
	tried := 0
	for _, way := range [][2]int{{1, 3}, {3, 5}, {1, 5}, {3, 1}, {5, 3}, {5, 1}} {
		o := mustRunning(way[0], way[1])
		s := &simulation{inv: o.inv, record: o.record.Record, seen: cloneSeen(o.seen)}
		for range maxSteps {
			step := scaling.Next(s.record, o.desired(), s.seen)
			if step.Action == scaling.Done || step.Action == scaling.Wait {
				break
			}
			for what, dim := range blind {
				for i := range s.seen.Places {
					half := o
					half.record.Record, half.seen = s.record, cloneSeen(s.seen)
					dim(&half.seen, i)
					func() {
						defer func() {
							if r := recover(); r != nil {
								t.Errorf("from %d to %d, %s %d, next %v: %v", way[0], way[1], what, i, step.Action, r)
							}
						}()
						if p := planFor(half); p.Blocked == "" && len(p.Steps) == 0 {
							t.Errorf("from %d to %d, %s %d: neither steps nor a reason", way[0], way[1], what, i)
						}
					}()
					tried++
				}
			}
			s.apply(step)
		}
		if s.members() != way[1] {
			t.Errorf("from %d to %d the way ends at %d members", way[0], way[1], s.members())
		}
	}
	t.Logf("%d views", tried)
}
