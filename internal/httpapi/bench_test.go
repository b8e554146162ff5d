// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"runtime"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// BenchmarkFollowers tells what each of many who follow a room takes of a node's memory: while nothing is said, and at most when it does not read
// what is.
func BenchmarkFollowers(b *testing.B) {
	const size = 256 << 10
	for name, c := range map[string]struct{ many, said int }{"idle": {50, 0}, "full": {16, 64}} {
		memory := func() float64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return float64(m.HeapAlloc+m.StackInuse) / float64(c.many) / 1024
		}
		b.Run(name, func(b *testing.B) {
			for range b.N {
				s := newBus(b, func(config *Config) { config.Limits.FollowersOfUser, config.Limits.UserRate = c.many, 1000 })
				ann := s.user("ann", false)
				r := s.room("red", "", map[*user]v1.Role{ann: v1.RoleMember})
				nc := s.node.MustConnect(b, embeddednats.AccountClients)
				before := memory()
				var all []*line
				for range c.many {
					l := s.dial()
					l.send("%sAccept: %s\r\n\r\n", ann.head("GET", redMessages), contentEvents)
					if text, err := l.in.ReadString('\n'); err != nil || !strings.Contains(text, "200") {
						b.Fatalf("%q, %v", text, err)
					}
					all = append(all, l)
				}
				for range c.said {
					s.must(nil, nc.Publish(v1.RoomSubject(r.ID, ann.key, v1.SubjectMessage), []byte(strings.Repeat("x", size))))
				}
				s.must(nil, nc.Flush())
				most := memory()
				natstest.Until(eventTimeout/2, func() bool { most = max(most, memory()); return c.said == 0 })
				b.ReportMetric(most-before, "KiB/follower")
				for _, l := range all { // they were open until now
					l.Close()
				}
			}
		})
	}
}
