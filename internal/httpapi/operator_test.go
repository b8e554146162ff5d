// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// TestOperator: an operator reads and writes history classes, and is a stranger elsewhere, as all who are none are everywhere.
func TestOperator(t *testing.T) {
	operator := (&bus{t: t}).stranger("operator")
	b := newBus(t, func(c *Config) { c.Operators = []string{operator.key} })
	operator.b = b
	stranger := b.stranger("stranger")
	chat := membership.DefaultClass("chat")
	for _, u := range []*user{operator, stranger} {
		for _, path := range []string{v1.PathUsers, v1.PathUsers + "/" + u.key, v1.PathRooms, v1.PathRooms + "/red", v1.PathAudit, v1.PathClasses + "es"} {
			if got := u.do("GET", path, nil); got.status == 200 {
				t.Errorf("%s reads %s", u.name, path)
			}
		}
		u.do("PUT", v1.PathRooms+"/red", v1.PutRoom{}).expect(t, 401, v1.CodeToken)
		u.do("PUT", v1.PathUsers+"/"+u.key, v1.PutUser{Name: u.name}).expect(t, 401, v1.CodeToken)
	}
	stranger.do("PUT", v1.PathClasses+"/chat", chat).expect(t, 401, v1.CodeToken)
	stranger.do("GET", v1.PathClasses, nil).expect(t, 401, v1.CodeToken)
	operator.do("PUT", v1.PathClasses+"/chat", chat).expect(t, 201, "")
	operator.do("GET", v1.PathClasses+"/chat", nil).expect(t, 200, "")
	if all := decode[v1.Classes](t, operator.do("GET", v1.PathClasses, nil).expect(t, 200, "")); len(all.Classes) != 1 {
		t.Errorf("classes %+v", all)
	}
	operator.do("DELETE", v1.PathClasses+"/chat", nil).expect(t, 204, "")
}
