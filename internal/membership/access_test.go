// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func TestAccess(t *testing.T) {
	const me, other = "me", "other"
	callers := map[string]Caller{
		"outsider":   {Key: me},
		"reader":     {Key: me, Role: v1.RoleReader},
		"member":     {Key: me, Role: v1.RoleMember},
		"room admin": {Key: me, Role: v1.RoleAdmin},
		"bus admin":  {Key: me, Admin: true},
		"both":       {Key: me, Admin: true, Role: v1.RoleReader},
	}
	order := []string{"outsider", "reader", "member", "room admin", "bus admin", "both"}
	// One letter for each caller: y may, f is forbidden, h must not know.
	for _, c := range []struct {
		name   string
		action Action
		target string
		want   string
	}{
		{"list users", ListUsers, "", "ffffyy"},
		{"write itself", WriteUser, me, "ffffyy"},
		{"write another user", WriteUser, other, "ffffyy"},
		{"write a room", WriteRoom, "", "ffffyy"},
		{"write a class", WriteClass, "", "ffffyy"},
		{"read the audit", ReadAudit, "", "ffffyy"},
		{"read itself", ReadUser, me, "yyyyyy"},
		{"read another user", ReadUser, other, "hhhhyy"},
		{"read a room", ReadRoom, "", "hyyyyy"},
		{"read a member", ReadMember, other, "hyyyyy"},
		{"put itself into a room", PutMember, me, "hffyyy"},
		{"put another into a room", PutMember, other, "hffyyy"},
		{"leave", DeleteMember, me, "hyyyyy"},
		{"throw another out", DeleteMember, other, "hffyyy"},
		{"read messages", ReadMessages, "", "hyyyhy"},
		{"write messages", WriteMessages, "", "hfyyhf"},
		{"do what nobody knows", Action(99), "", "ffffff"},
	} {
		for i, who := range order {
			got := "y"
			switch err := callers[who].Check(c.action, c.target); {
			case errors.Is(err, ErrHidden):
				got = "h"
			case errors.Is(err, ErrForbidden):
				got = "f"
			case err != nil:
				t.Errorf("%s: %s: %v", who, c.name, err)
			}
			if got != c.want[i:i+1] {
				t.Errorf("%s: %s: %s, want %s", who, c.name, got, c.want[i:i+1])
			}
		}
	}
}
