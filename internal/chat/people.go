// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"cmp"

	tea "charm.land/bubbletea/v2"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

// ask asks who is in a room, unless that is being done.
func (m *model) ask(r *room) tea.Cmd {
	if r.asking {
		return nil
	}
	r.asking = true
	return m.bus.members(r.Room)
}

func (m *model) membersAre(msg membersMsg) {
	r := m.byID(msg.room)
	if r == nil {
		return
	}
	r.asking = false
	if msg.err != nil {
		m.fails("members of "+r.Name, msg.err)
		return
	}
	r.members = msg.members
	for _, member := range msg.members {
		m.names[member.User] = member.Name
	}
}

// name is what a user is called, or the beginning of the key.
func (m *model) name(key string) string { return console.Clean(cmp.Or(m.names[key], brief(key))) }

// meet asks who somebody is that nobody has heard of, once: a new member, or one who was in the room before.
func (m *model) meet(r *room, key string) tea.Cmd {
	if _, met := m.names[key]; met || r.asking || r.members == nil {
		return nil
	}
	m.names[key] = ""
	return m.ask(r)
}

func brief(key string) string {
	if v1.IsUserKey(key) {
		return key[:10] + "…"
	}
	return cmp.Or(key, "?")
}
