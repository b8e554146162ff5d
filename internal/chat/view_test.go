// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// theirs is one of the 16 colours that each terminal has its own of: it may be that of its background.
var theirs = regexp.MustCompile(`\x1b\[(?:[0-9];)*(?:3|4|9|10)[0-7][;m]`)

// TestColours: all can be seen, on what is dark and on what is light.
func TestColours(t *testing.T) {
	for _, dark := range []bool{true, false} {
		m, _ := mustModel(t, 80, 24)
		m.paint(dark)
		m.input.SetValue("typed")
		if found := theirs.FindString(m.View().Content); found != "" {
			t.Errorf("dark %v: a colour that nobody has chosen: %q", dark, found)
		}
	}
}

// TestStatusFits: however much there is to tell, it is told whole, and how to get out as long as there is room.
func TestStatusFits(t *testing.T) {
	last := func(m *model) string {
		lines := strings.Split(plain(t, m), "\n")
		return strings.TrimRight(lines[len(lines)-1], " ")
	}
	m, f := mustModel(t, 80, 24)
	f.node = "unibus-0-0"
	tell(m, tickMsg(noon))
	enter(m, "hello")
	for width, want := range map[int]string{
		90: "○ connected to unibus-0-0, waiting for the room, 12 s as ann  Esc quit",
		80: "○ connected to unibus-0-0, waiting for the room, 12 s as ann  Esc quit",
		65: "○ connected to unibus-0-0, waiting for the room, 12 s  Esc quit",
		55: "○ connected to unibus-0-0, waiting for the room, 12 s",
		20: "○ connected to unib…",
	} {
		tell(m, tea.WindowSizeMsg{Width: width, Height: 24}, tickMsg(noon.Add(12*time.Second)))
		if got := last(m); got != want {
			t.Errorf("of %d cells: %q, want %q", width, got, want)
		}
	}
	tell(m, sentMsg{room: "k", id: m.open.own[0].id}, tea.WindowSizeMsg{Width: 80, Height: 24}, tickMsg(noon.Add(time.Hour)), tickMsg(noon.Add(2*time.Hour)))
	if got, want := last(m), "● connected to unibus-0-0 as ann  Tab room · PgUp older · Esc quit"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.open.scroll = 3
	if got, want := last(m), "● connected to unibus-0-0 as ann  PgDn newer (3) · Esc quit"; got != want {
		t.Errorf("after going back: %q, want %q", got, want)
	}
}
