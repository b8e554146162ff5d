// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"sync/atomic"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// TestRevokeWhileNobodyIsAdmitted: a node that admits nobody, since it may not know everything, goes by what it hears all the same. Who is
// removed goes, and who gains or loses a room stays.
func TestRevokeWhileNobodyIsAdmitted(t *testing.T) {
	b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
	var shut atomic.Bool
	b.auth = mustAuth(t, Config{Keys: b.keys, IsAuthorized: func(key string) bool { return !shut.Load() && b.has(key) }, IsListed: b.has, Grants: b.grants})
	b.srv = mustServer(t, b.auth, nil)
	stays, goes := b.mustUser(t), b.mustUser(t)
	kept, dropped := b.mustConn(t, stays), b.mustConn(t, goes)
	shut.Store(true)
	expectRefused(t, b.srv, stays.option())
	b.refresh(stays, "RED", v1.RoleReader)
	kept.mustSubscribe(t, v1.RoomSubjects("RED"), "")
	b.remove(goes.hex)
	b.auth.Refresh(goes.hex)
	withinGone(t, dropped, 1)
	if err := kept.FlushTimeout(patience); err != nil || kept.gone.Load() != 0 {
		t.Errorf("a user who gained a room was dropped: %v", err)
	}
}
