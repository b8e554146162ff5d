// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// The price of a change and of a question must not depend on how many users and rooms there are: compare 100 with 10000.
func BenchmarkDirectory(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		x := newTable(b)
		var keys, hexes, ids []string
		for i := range n {
			key, hex := mustKey(b)
			room := "A" + strings.NewReplacer("0", "a", "1", "b", "8", "c", "9", "d").Replace(fmt.Sprintf("%025d", i))
			room = strings.ToUpper(room)
			x.user(key, hex)
			x.room(fmt.Sprint("room-", i), room, false)
			keys, hexes, ids = append(keys, key), append(hexes, hex), append(ids, room)
		}
		for i, hex := range hexes {
			for j := range 10 {
				x.member(ids[(i+j)%n], hex, v1.RoleMember)
			}
		}
		if s := x.State(); s.Users != n || s.Rooms != n || s.Members != 10*n || s.Bad != 0 {
			b.Fatalf("%+v", s)
		}
		for name, do := range map[string]func(i int){
			"IsAuthorized":  func(i int) { x.IsAuthorized(hexes[i%n]) },
			"Grants":        func(i int) { x.Grants(hexes[i%n]) },
			"Role":          func(i int) { x.Role(keys[i%n], ids[i%n]) },
			"Unsettled":     func(int) { x.Unsettled() }, // which is asked every second
			"RoomsOf":       func(i int) { x.RoomsOf(keys[i%n], "", 10) },
			"member change": func(i int) { x.member(ids[i%n], hexes[i%n], []v1.Role{v1.RoleReader, v1.RoleMember}[i/n%2]) },
			"room deleting": func(i int) { x.room(fmt.Sprint("room-", i%n), ids[i%n], i/n%2 == 0) },
			"user change":   func(i int) { x.user(keys[i%n], hexes[i%n]) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					do(i)
				}
			})
		}
	}
}
