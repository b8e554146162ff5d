// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func testIdentity() identity {
	return identity{ClusterID: "c1", ClusterName: "bus", ServerName: "a-1", DiskID: "d1", Formed: formedJoin, State: stateNew,
		Mark: v1.MarkLeaving, Routes: []string{"nats://10.0.0.1:6222"}}
}

func TestIdentityEncodes(t *testing.T) {
	want := testIdentity()
	b, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeIdentity(b)
	if err != nil {
		t.Fatal(err)
	}
	want.Version = identityVersion
	if d := cmp.Diff(want, *got, cmp.AllowUnexported(identity{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestIdentityThatMakesNoSenseIsNotWritten(t *testing.T) {
	for name, change := range map[string]func(*identity){
		"no cluster id":      func(i *identity) { i.ClusterID = "" },
		"no cluster name":    func(i *identity) { i.ClusterName = "" },
		"path as name":       func(i *identity) { i.ServerName = "../a" },
		"no disk id":         func(i *identity) { i.DiskID = "" },
		"unknown state":      func(i *identity) { i.State = "done" },
		"unknown formation":  func(i *identity) { i.Formed = "clone" },
		"unknown mark":       func(i *identity) { i.Mark = "gone" },
		"route with secrets": func(i *identity) { i.Routes = []string{"nats://u:p@a:1"} },
		"complete without id": func(i *identity) {
			i.ClusterID, i.Formed, i.State = "", formedBootstrap, stateComplete
		},
	} {
		i := testIdentity()
		change(&i)
		if b, err := i.encode(); err == nil {
			t.Errorf("%s: encoded as %s", name, b)
		}
	}
	i := testIdentity()
	i.ClusterID, i.Formed, i.State = "", formedBootstrap, stateBegun
	if _, err := i.encode(); err != nil {
		t.Errorf("a bootstrap that has not agreed: %v", err)
	}
}

// TestEveryChangedByteIsSeen changes each byte of the file, and cuts it at each.
func TestEveryChangedByteIsSeen(t *testing.T) {
	b, err := testIdentity().encode()
	if err != nil {
		t.Fatal(err)
	}
	want, _ := decodeIdentity(b)
	for n := range b {
		changed := append([]byte(nil), b...)
		changed[n] ^= 1
		// What means the same, as a space that became another, does no harm.
		if got, err := decodeIdentity(changed); err == nil && !cmp.Equal(got, want) {
			t.Errorf("byte %d changed: %s", n, changed)
		}
		if n < len(b)-1 {
			if _, err := decodeIdentity(b[:n]); !errors.Is(err, errGarbled) {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
}

// FuzzIdentity: whatever is in the file, it is refused, or it is an identity that can be written again and is then read
// as the same.
func FuzzIdentity(f *testing.F) {
	b, _ := testIdentity().encode()
	f.Add(b)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := decodeIdentity(b)
		if err != nil {
			return
		}
		again, err := i.encode()
		if err != nil {
			t.Fatalf("read, but can't be written: %v", err)
		}
		back, err := decodeIdentity(again)
		if err != nil || !cmp.Equal(i, back) {
			t.Fatalf("%v: %s", err, cmp.Diff(i, back))
		}
	})
}
