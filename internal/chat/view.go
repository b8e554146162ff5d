// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

const (
	// sideWidth is the width of the list of rooms and members, which is left out on screens narrower than sideFrom.
	sideWidth, sideFrom = 20, 60
	// indent is where a message begins, after its time; longestName is how much of a name is shown.
	indent, longestName = 6, 16
)

// theme is colours that can be read on what is behind them.
type theme struct {
	bar, dim, good, bad, bold lipgloss.Style
	people                    []lipgloss.Style
}

func (m *model) paint(dark bool) {
	pick := lipgloss.LightDark(dark)
	ink := func(light, dark string) lipgloss.Style {
		return lipgloss.NewStyle().Foreground(pick(lipgloss.Color(light), lipgloss.Color(dark)))
	}
	behind := pick(lipgloss.Color("254"), lipgloss.Color("236"))
	m.theme = theme{bar: ink("236", "252").Background(behind), dim: ink("242", "246"), good: ink("28", "114"), bad: ink("160", "203"),
		bold: lipgloss.NewStyle().Bold(true)}
	for _, c := range [][2]string{{"25", "75"}, {"28", "114"}, {"90", "176"}, {"130", "215"}, {"30", "80"}, {"124", "210"}} {
		m.theme.people = append(m.theme.people, ink(c[0], c[1]).Bold(true))
	}
	styles := textinput.DefaultStyles(dark) // in which the prompt and the cursor have a grey that can't be seen on white
	styles.Focused.Prompt, styles.Cursor.Color, styles.Cursor.Blink = m.theme.dim, m.theme.bar.GetForeground(), false
	m.input.SetStyles(styles)
}

// person is the colour of a user.
func (t theme) person(key string) lipgloss.Style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // it never fails
	return t.people[h.Sum32()%uint32(len(t.people))]
}

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	if m.width > 0 && m.height > 0 {
		v.Content = strings.Join(m.screen(), "\n")
	}
	return v
}

// bodyHeight is what the heading, the input and the status line leave.
func (m *model) bodyHeight() int { return max(m.height-3, 0) }

func (m *model) sideWidth() int {
	if m.width < sideFrom {
		return 0
	}
	return sideWidth
}

func (m *model) bodyWidth() int {
	if side := m.sideWidth(); side > 0 {
		return m.width - side - 2
	}
	return m.width
}

// screen is all lines.
func (m *model) screen() []string {
	lines := []string{m.theme.bar.Render(fit(" "+m.heading(), m.width))}
	side, body := m.side(), m.body()
	for i, line := range body {
		if m.sideWidth() > 0 {
			line = side[i] + m.theme.dim.Render("│") + " " + line
		}
		lines = append(lines, line)
	}
	lines = append(lines, m.input.View(), m.status())
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "") // of a screen that is too small for anything
	}
	return lines[:min(len(lines), m.height)]
}

// fit makes a text that wide.
func fit(s string, width int) string {
	s = ansi.Truncate(s, max(width, 0), "…")
	return s + strings.Repeat(" ", max(width-ansi.StringWidth(s), 0))
}

func (m *model) heading() string {
	r := m.open
	switch {
	case r == nil && m.known:
		return "You are in no room yet. Ask an admin of one to take you in."
	case r == nil:
		return "Looking for your rooms…"
	}
	kept := "keeps nothing: what is said now is all there is"
	if r.Kept() {
		kept = "keeps what is said"
	}
	return fmt.Sprintf("%s (%d of %d)  %s", console.Clean(r.Name), slices.Index(m.rooms, r)+1, len(m.rooms), cmp.Or(r.trouble, kept))
}

// side lists rooms and members.
func (m *model) side() []string {
	height := m.bodyHeight()
	var rooms, members []string
	at := 0
	for i, r := range m.rooms {
		line, style := "  "+console.Clean(r.Name), lipgloss.NewStyle()
		if r == m.open {
			at, style, line = i, m.theme.bold, "› "+line[2:]
		}
		if line = fit(line, sideWidth-5); r.unread > 0 {
			line, style = line+fmt.Sprintf(" %3d", min(r.unread, 999)), m.theme.good
		}
		rooms = append(rooms, style.Render(fit(line, sideWidth)))
	}
	if m.open != nil {
		for _, p := range m.open.members {
			line := "  " + console.Clean(cmp.Or(p.Name, brief(p.User)))
			if p.Role != v1.RoleMember {
				line = fit(line, sideWidth-8) + " " + console.Clean(string(p.Role))
			}
			members = append(members, m.theme.person(p.User).Bold(false).Render(fit(line, sideWidth)))
		}
	}
	all := []string{m.theme.dim.Render(fit("Rooms", sideWidth))}
	half := max(height/2-2, 1)
	from := max(min(at-half/2, len(rooms)-half), 0)
	all = append(all, rooms[from:min(from+half, len(rooms))]...)
	if len(members) > 0 {
		all = append(all, fit("", sideWidth), m.theme.dim.Render(fit(fmt.Sprintf("Members (%d)", len(members)), sideWidth)))
		all = append(all, members...)
	}
	for len(all) < height {
		all = append(all, fit("", sideWidth))
	}
	return all[:height]
}

// body is the window on the room's messages.
func (m *model) body() []string {
	height := m.bodyHeight()
	var lines []string
	if m.open != nil {
		lines, _ = m.lines(m.open, height+m.open.scroll)
		lines = lines[:max(len(lines)-m.open.scroll, min(len(lines), height))]
	}
	lines = lines[max(len(lines)-height, 0):]
	return append(make([]string, height-len(lines)), lines...)
}

// lines are the last lines of a room, at least so many unless that is all there are.
func (m *model) lines(r *room, least int) (lines []string, all bool) {
	entries := slices.Concat(r.heard, r.own)
	var parts [][]string
	n := 0
	for i := len(entries) - 1; i >= 0 && n < least; i-- {
		e := entries[i]
		part := m.wrap(r, e)
		if day := e.at.In(m.zone).Format(time.DateOnly); i == 0 || day != entries[i-1].at.In(m.zone).Format(time.DateOnly) {
			part = append([]string{m.theme.dim.Render(fit("── "+day+" ──", min(m.bodyWidth(), 16)))}, part...)
		}
		parts = append(parts, part)
		n += len(part)
	}
	if n < least {
		all = true
		switch {
		case r.loading:
			parts = append(parts, []string{m.theme.dim.Render(fit("looking for older messages…", m.bodyWidth()))})
		case r.full():
			parts = append(parts, []string{m.theme.dim.Render(fit("older ones: unibus history", m.bodyWidth()))})
		case r.Kept() && !r.more:
			parts = append(parts, []string{m.theme.dim.Render(fit("nothing older is kept", m.bodyWidth()))})
		}
	}
	slices.Reverse(parts)
	return slices.Concat(parts...), all
}

// wrap makes the lines of a message.
func (m *model) wrap(r *room, e entry) (lines []string) {
	width := max(m.bodyWidth()-indent, 1)
	name := ansi.Truncate(m.name(e.sender), min(longestName, max(width/2, 1)), "…") + ":"
	texts := slices.Clone(e.lines)
	texts[0] = name + " " + texts[0]
	style := lipgloss.NewStyle()
	switch e.state {
	case pending:
		style = m.theme.dim
		texts[len(texts)-1] += " …"
	case failed:
		style = m.theme.bad
		texts = append(texts, "not acknowledged: "+e.trouble)
	}
	head := m.theme.dim.Render(fit(e.at.In(m.zone).Format("15:04"), min(indent, m.bodyWidth())))
	for _, text := range texts {
		for line := range strings.SplitSeq(ansi.Wrap(text, width, ""), "\n") {
			if rest, ok := strings.CutPrefix(line, name); ok && len(lines) == 0 {
				line = m.theme.person(e.sender).Render(name) + style.Render(rest)
			} else {
				line = style.Render(line)
			}
			lines = append(lines, head+line)
			head = strings.Repeat(" ", min(indent, m.bodyWidth()))
		}
	}
	return lines
}

// scrollBy goes up by so many lines, and reads on when that is as far as is known.
func (m *model) scrollBy(by int) tea.Cmd {
	r := m.open
	if r == nil {
		return nil
	}
	want, height := max(r.scroll+by, 0), m.bodyHeight()
	lines, all := m.lines(r, want+height+1)
	r.scroll = min(want, max(len(lines)-height, 0))
	if r.scroll == 0 {
		r.trim()
		return m.follow(r) // if that was given up meanwhile
	}
	if by < 0 || !all || !r.more || r.loading || r.oldest() == 0 || r.full() {
		return nil
	}
	r.loading = true
	return m.bus.older(r.Room, r.oldest())
}

// status says how it stands with the connection, and who the user is.
func (m *model) status() string {
	mark, style, where := "●", m.theme.good, "connected to "+console.Clean(m.node)
	switch {
	case m.cut:
		mark, style, where = "○", m.theme.bad, fmt.Sprintf("reconnecting, %d s", int(m.now.Sub(m.lost).Seconds()))
	case !m.lost.IsZero():
		mark, style, where = "○", m.theme.bad, fmt.Sprintf("%s, waiting for the room, %d s", where, int(m.now.Sub(m.lost).Seconds()))
	case m.back.IsZero() || m.now.Sub(m.back) >= backFor:
	case m.away == 0:
		where = "moved to " + console.Clean(m.node)
	default:
		where += fmt.Sprintf(" after a pause of %.1f s", m.away.Seconds())
	}
	where = mark + " " + where
	line := ""
	for _, rest := range m.rest() {
		if line = where + rest; ansi.StringWidth(line) <= m.width {
			break
		}
	}
	return style.Render(mark) + strings.TrimPrefix(fit(line, m.width), mark)
}

// rest is what the status ends with, in as many words as there may be room for, the most first: the way out goes last.
func (m *model) rest() []string {
	me := " as " + m.name(m.me)
	if m.note != "" {
		return []string{me + "  " + m.note}
	}
	newer := ""
	if m.open != nil && m.open.scroll > 0 {
		newer = fmt.Sprintf("PgDn newer (%d) · ", m.open.scroll)
	}
	return []string{me + "  Tab room · PgUp older · " + newer + "Esc quit", me + "  " + newer + "Esc quit", me + "  Esc quit", "  Esc quit", ""}
}
