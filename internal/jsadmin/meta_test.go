// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"slices"
	"testing"
)

// A leader that is cut off goes on calling itself leader for many seconds: its word must never be taken.
func TestMetaOfACutOffLeader(t *testing.T) {
	l := mustCluster(t, 3, true)
	all := l.mustAdmin()
	m, err := all.Meta(t.Context())
	must(t, err)
	old := m.Leader
	cutOff := l.mustAdmin(old)

	l.cut(old)
	claims := 0
	l.within("the others elect a leader", func() bool {
		if l.srv[old].JetStreamIsLeader() {
			claims++
		}
		if got, err := cutOff.Meta(t.Context()); err == nil {
			t.Fatalf("the word of %s alone was taken: %+v", old, got)
		} else {
			expectError(t, err, ErrNoLeader)
		}
		m, err := all.Meta(t.Context())
		return err == nil && m.Leader != old
	})
	if claims == 0 {
		t.Fatalf("%s never called itself leader after the cut: nothing was tested", old)
	}
}

func TestMoveMetaLeader(t *testing.T) {
	l := mustCluster(t, 3, false)
	a := l.mustAdmin()
	m, err := a.Meta(t.Context())
	must(t, err)
	i := slices.IndexFunc(m.Members, func(p Member) bool { return p.Name != m.Leader })
	to := m.Members[i].Name
	l.within("leadership at "+to, func() bool {
		_ = a.MoveMetaLeader(t.Context(), to) // refused while the election is under way
		m, err := a.Meta(t.Context())
		return err == nil && m.Leader == to
	})
	expectError(t, a.MoveMetaLeader(t.Context(), "stranger"), ErrNotMember)
}

func TestPeerID(t *testing.T) {
	l := mustCluster(t, 1+2, false)
	for _, s := range l.srv {
		if got := PeerID(s.Name()); got != s.Node() {
			t.Errorf("peer id of %s is %s, the server says %s", s.Name(), got, s.Node())
		}
	}
}
