// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

var names = []string{
	"a", "0", "a-b", "a--b", "x1", strings.Repeat("a", 63),
	"", "-", "-a", "a-", "A", "a b", "a.b", "a*", ">", "a>", "ä", "a\n", "a\x00", "a_b", strings.Repeat("a", 64), strings.Repeat("a", 1<<16),
}

func TestNames(t *testing.T) {
	for i, name := range names {
		err := CheckName("room", name)
		if good := i < 6; good != (err == nil) {
			t.Errorf("%.80q: %v", name, err)
		}
		if err == nil {
			continue
		}
		expectErr(t, name, err, ErrInvalid)
		if text := err.Error(); !strings.Contains(text, "room name") || !strings.Contains(text, "lower-case letters") || len(text) > 600 {
			t.Errorf("%.80q: the error does not say what is wrong and what is allowed: %s", name, text)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, name := range names {
		f.Add(name)
	}
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\z`)
	f.Fuzz(func(t *testing.T, name string) {
		if err := CheckName("user", name); (err == nil) != label.MatchString(name) {
			t.Errorf("%q: %v", name, err)
		}
	})
}

func TestRoles(t *testing.T) {
	for _, r := range []v1.Role{v1.RoleReader, v1.RoleMember, v1.RoleAdmin} {
		if err := CheckRole(r); err != nil {
			t.Error(err)
		}
	}
	for _, r := range []v1.Role{"", "Admin", "owner", "member "} {
		expectErr(t, string(r), CheckRole(r), ErrInvalid)
	}
}

func TestLimitsHaveDefaultsAndBounds(t *testing.T) {
	got, err := Limits{Users: 7}.Check()
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultLimits
	want.Users = 7
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, l := range []Limits{{Users: -1}, {Rooms: -1}, {RoomsPerUser: 1001}, {MembersPerRoom: -1}} {
		_, err := l.Check()
		expectErr(t, cmp.Diff(l, Limits{}), err, ErrInvalid)
	}
}

func TestClasses(t *testing.T) {
	const payload = 1 << 20
	good := DefaultClass("default")
	change := func(do func(*v1.Class)) v1.Class { c := good; do(&c); return c }
	for _, c := range []v1.Class{
		good,
		change(func(c *v1.Class) { c.MaxAge = 0 }),
		change(func(c *v1.Class) { c.MaxAge = v1.DuplicateWindow }),
		change(func(c *v1.Class) { c.MaxBytes = MinClassBytes }),
		change(func(c *v1.Class) { c.MaxMessageBytes = payload }),
		change(func(c *v1.Class) { c.Full = v1.FullRefuses }),
		change(func(c *v1.Class) { c.PublisherRate, c.RoomRate = 0, 0.5 }),
	} {
		if err := CheckClass(c, payload); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for field, c := range map[string]v1.Class{
		"name":               change(func(c *v1.Class) { c.Name = "A" }),
		"maxBytes":           change(func(c *v1.Class) { c.MaxBytes = MinClassBytes - 1 }),
		"maxBytes -1":        change(func(c *v1.Class) { c.MaxBytes = -1 }),
		"maxMessagesPerRoom": change(func(c *v1.Class) { c.MaxMessagesPerRoom = 0 }),
		"maxMessageBytes":    change(func(c *v1.Class) { c.MaxMessageBytes = payload + 1 }),
		"maxMessageBytes 0":  change(func(c *v1.Class) { c.MaxMessageBytes = 0 }),
		"maxAge":             change(func(c *v1.Class) { c.MaxAge = v1.DuplicateWindow - 1 }),
		"maxAge -":           change(func(c *v1.Class) { c.MaxAge = -time.Hour }),
		"full":               change(func(c *v1.Class) { c.Full = "drop" }),
		"publisherRate":      change(func(c *v1.Class) { c.PublisherRate = -1 }),
		"publisherRate NaN":  change(func(c *v1.Class) { c.PublisherRate = math.NaN() }),
		"roomRate":           change(func(c *v1.Class) { c.RoomRate = math.Inf(1) }),
	} {
		err := CheckClass(c, payload)
		expectErr(t, field, err, ErrInvalid)
		if name, _, _ := strings.Cut(field, " "); err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error does not name it: %v", field, err)
		}
	}
}

func TestFits(t *testing.T) {
	const gib = 1 << 30
	class := func(name string, size int64) v1.Class { return v1.Class{Name: name, MaxBytes: size} }
	for _, c := range []struct {
		what         string
		existing     []v1.Class
		other, limit int64
		want         v1.Class
		free         string // empty if it fits
	}{
		{what: "alone", limit: gib, want: class("a", gib/8*7)},
		{what: "the reserve is kept", limit: gib, want: class("a", gib/8*7+1), free: "939524096"},
		{what: "a small store keeps the smallest reserve", limit: 20 << 20, want: class("a", 5<<20), free: "4194304"},
		{what: "beside others", existing: []v1.Class{class("b", gib/2)}, other: gib / 8, limit: gib, want: class("a", gib/4)},
		{what: "others take it", existing: []v1.Class{class("b", gib/2)}, other: gib / 8, limit: gib, want: class("a", gib/4+1), free: "268435456"},
		{what: "it replaces itself", existing: []v1.Class{class("a", gib/2)}, limit: gib, want: class("a", gib/8*7)},
		{what: "overfull", existing: []v1.Class{class("b", gib), class("c", gib)}, limit: gib, want: class("a", 1), free: " 0 of"},
		{what: "absurd", existing: []v1.Class{class("b", math.MaxInt64), class("c", math.MaxInt64)}, other: math.MaxInt64, limit: gib,
			want: class("a", 1), free: " 0 of"},
		{what: "absurd wish", limit: gib, want: class("a", math.MaxInt64), free: "939524096"},
		{what: "absurd others without a store", other: math.MaxInt64, want: class("a", 1), free: " 0 of"},
		{what: "no store", want: class("a", 1), free: " 0 of"},
	} {
		err := Fits(c.existing, c.other, c.limit, c.want)
		switch {
		case c.free == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.free != "" && (!errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), c.free)):
			t.Errorf("%s: %v, want ErrLimit and %q", c.what, err, c.free)
		}
	}
}
