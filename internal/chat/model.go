// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

const (
	// tickEvery is how often the connection is looked at, listEvery how often rooms and members are read again.
	tickEvery = 250 * time.Millisecond
	listEvery = 30 * time.Second
	// backFor is how long it is told that the connection was lost, retryAfter when a room is tried again.
	backFor    = 10 * time.Second
	retryAfter = time.Second
	// slowAfter is when a message that is not acknowledged is told to wait.
	slowAfter = time.Second
	// mostFollowed is in how many rooms it is counted what is said while they are not looked at.
	mostFollowed = 200
	// mostTyped is the longest message that can be typed, in runes.
	mostTyped = 4000
)

type (
	tickMsg  time.Time
	retryMsg string // the id of a room that is to be followed
	againMsg string // the id of a room that is to be watched
)

// model is all that the screen shows. It changes by messages only.
type model struct {
	bus   bus
	me    string
	first string // the room to begin with
	zone  *time.Location

	width, height int
	theme         theme
	input         textinput.Model

	rooms []*room           // sorted by name
	open  *room             // nil before there is one
	known bool              // rooms were listed
	names map[string]string // of who is or was in a room; empty of who was looked for in vain
	note  string            // of the last thing that went wrong

	now, listed time.Time
	node        string        // that the user is connected to
	cut         bool          // there is no connection
	lost        time.Time     // since when nothing goes on: no connection, or nobody who takes a message; zero while it does
	away        time.Duration // how long that was the last time, 0 if it could not be seen
	back        time.Time
}

func newModel(b bus, me, first string) *model {
	m := &model{bus: b, me: me, first: first, zone: time.Local, now: time.Now(), node: b.server(), input: textinput.New(), names: map[string]string{}}
	m.listed = m.now
	m.input.CharLimit = mostTyped
	m.input.KeyMap.Paste = key.NewBinding(key.WithDisabled()) // terminals paste by themselves; this would run programs
	m.input.Focus()
	m.paint(true)
	return m
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return tea.Batch(tea.RequestBackgroundColor, m.bus.rooms(), tick()) }

func tick() tea.Cmd { return tea.Tick(tickEvery, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var do tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.input.SetWidth(max(m.width-len(m.input.Prompt)-1, 1))
	case tea.BackgroundColorMsg:
		m.paint(msg.IsDark())
	case tea.KeyPressMsg:
		do = m.press(msg)
	case tickMsg:
		do = m.tick(time.Time(msg))
	case roomsMsg:
		do = m.roomsAre(msg)
	case membersMsg:
		m.membersAre(msg)
	case heardMsg:
		do = m.heard(msg)
	case newsMsg:
		do = m.news(msg)
	case againMsg:
		if r := m.byID(string(msg)); r != nil && !r.entered {
			do = m.bus.watch(r.Room)
		}
	case retryMsg:
		if r := m.byID(string(msg)); r != nil {
			do = m.follow(r)
		}
	case olderMsg:
		m.olderAre(msg)
	case sentMsg:
		do = m.sent(msg)
	case tea.PasteMsg: // of what one has not typed oneself
		m.input, do = m.input.Update(tea.PasteMsg{Content: strings.Map(shown, strings.ToValidUTF8(msg.Content, ""))})
	default:
		m.input, do = m.input.Update(msg)
	}
	return m, do
}

// shown leaves out what can't be seen.
func shown(r rune) rune {
	if unicode.IsPrint(r) || unicode.IsSpace(r) {
		return r
	}
	return -1
}

func (m *model) byID(id string) *room {
	for _, r := range m.rooms {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (m *model) press(k tea.KeyPressMsg) (do tea.Cmd) {
	switch k.String() {
	case "ctrl+c", "esc":
		return tea.Quit
	case "enter":
		return m.send()
	case "tab", "ctrl+n":
		return m.step(1)
	case "shift+tab", "ctrl+p":
		return m.step(-1)
	case "up":
		return m.scrollBy(1)
	case "down":
		return m.scrollBy(-1)
	case "pgup":
		return m.scrollBy(max(m.bodyHeight()-1, 1))
	case "pgdown":
		return m.scrollBy(-max(m.bodyHeight()-1, 1))
	}
	m.input, do = m.input.Update(k)
	return do
}

// step goes to another room, so far down the list.
func (m *model) step(by int) tea.Cmd {
	if len(m.rooms) == 0 {
		return nil
	}
	i := slices.Index(m.rooms, m.open) + by
	return m.enter(m.rooms[(i+len(m.rooms))%len(m.rooms)])
}

func (m *model) enter(r *room) tea.Cmd {
	m.open, m.note, r.unread, r.entered = r, "", 0, true
	m.giveBack()
	return tea.Batch(m.follow(r), m.ask(r))
}

// roomsAre takes in the list of rooms.
func (m *model) roomsAre(msg roomsMsg) tea.Cmd {
	if msg.err != nil {
		if m.fails("rooms", msg.err); !m.known {
			m.listed = time.Time{} // once more
		}
		return nil
	}
	m.known, m.note = true, ""
	var rooms []*room
	var do []tea.Cmd
	for _, found := range msg.rooms {
		r := m.byID(found.ID)
		if r == nil {
			r = &room{more: found.Kept()}
			if r.Room = found; len(rooms) < mostFollowed {
				do = append(do, m.attend(r))
			}
		} else if r.trouble != "" && !r.following { // the user was taken in again, or is about to hear that not
			r.trouble = ""
			do = append(do, m.attend(r))
		}
		r.Room = found
		rooms = append(rooms, r)
	}
	for _, r := range m.rooms { // what is not there any more can still be read
		if (r == m.open || len(r.own) > 0) && !slices.Contains(rooms, r) {
			rooms = append(rooms, r)
		}
	}
	m.rooms = rooms
	if m.open == nil && len(rooms) > 0 {
		i := slices.IndexFunc(rooms, func(r *room) bool { return r.Name == m.first })
		do = append(do, m.enter(rooms[max(i, 0)]))
	}
	return tea.Batch(do...)
}

func (m *model) olderAre(msg olderMsg) {
	r := m.byID(msg.room)
	if r == nil {
		return
	}
	r.loading = false
	if msg.err != nil {
		m.fails("room "+r.Name, msg.err)
		return
	}
	var older []entry
	for _, o := range msg.messages {
		older = append(older, newEntry(o, m.now))
	}
	r.prepend(older)
	r.more = msg.more
}

// send says what was typed. The messages of a room go one after the other, so that they keep their order.
func (m *model) send() tea.Cmd {
	text := strings.TrimSpace(m.input.Value())
	r := m.open
	switch {
	case text == "" || r == nil:
		return nil
	case r.Role == v1.RoleReader:
		m.note = "you only read in this room: ask one of its admins to make you a member"
		return nil
	}
	m.input.Reset()
	m.giveBack()
	m.note, r.scroll = "", 0
	r.trim()
	r.own = slices.DeleteFunc(r.own, func(e entry) bool { return e.state == failed }) // that was told
	message := client.Message{ID: rand.Text(), Sender: m.me, Data: []byte(text)}
	e := newEntry(message, m.now)
	e.state = pending
	r.own = append(r.own, e)
	if r.outbox = append(r.outbox, message); len(r.outbox) > 1 {
		return m.follow(r)
	}
	return tea.Batch(m.publish(r), m.follow(r))
}

// publish sends the first message of those that are to be sent.
func (m *model) publish(r *room) tea.Cmd {
	r.sent = m.now
	return m.bus.publish(r.Room, r.outbox[0])
}

// sent takes in what became of a message, and sends the next one.
func (m *model) sent(msg sentMsg) tea.Cmd {
	r := m.byID(msg.room)
	if r == nil {
		return nil
	}
	r.acknowledged(msg.id, msg.err)
	if m.giveBack(); len(r.outbox) == 0 {
		return nil
	}
	return m.publish(r)
}

// giveBack puts into the input what could not be sent, so that nobody has to type it again: one after the other, when nothing else is typed.
func (m *model) giveBack() {
	if r := m.open; r != nil && len(r.back) > 0 && m.input.Value() == "" {
		m.input.SetValue(string(r.back[0].Data))
		m.input.CursorEnd()
		r.back = r.back[1:]
	}
}

// unsent is how many messages were not acknowledged.
func (m *model) unsent() (n int) {
	for _, r := range m.rooms {
		for _, e := range r.own {
			if e.state == pending {
				n++
			}
		}
	}
	return n
}

func (m *model) fails(what string, err error) {
	if !errors.Is(err, context.Canceled) {
		m.note = console.Clean(fmt.Sprintf("%s: %v", what, err))
	}
}
