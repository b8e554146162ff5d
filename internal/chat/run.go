// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Config is what a program works with. Client, In and Out are required.
type Config struct {
	Client *client.Client
	// API tells who is in a room. Without it there are keys instead of names.
	API *client.API
	// Room is the name of the room that is shown first; the first one if empty.
	Room string
	// In and Out are the terminal.
	In  io.Reader
	Out io.Writer
	// Width and Height in cells are those of an Out that is no terminal.
	Width, Height int
}

// Run shows the program until its user quits or the context ends, which is no error. The terminal is then as it was before, also when it fails or
// panics. It fails when the terminal can't be used, and with ErrUnsent when messages were not acknowledged.
func Run(ctx context.Context, c Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &wire{ctx: ctx, client: c.Client, api: c.API, subs: map[string]*client.Subscription{}}
	defer w.close()
	return show(ctx, newModel(w, c.Client.User(), c.Room), c)
}

// ErrUnsent is that the program ended while messages were still on their way.
var ErrUnsent = errors.New("not acknowledged")

func show(ctx context.Context, m *model, c Config) error {
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithoutSignalHandler(), // signals end the context
		tea.WithInput(c.In), tea.WithOutput(c.Out)}
	if os.Getenv("NO_COLOR") != "" { // which says so with any value
		options = append(options, tea.WithEnvironment(append(os.Environ(), "NO_COLOR=1")))
	}
	if c.Width > 0 {
		options = append(options, tea.WithWindowSize(c.Width, c.Height))
	}
	if _, err := tea.NewProgram(m, options...).Run(); err != nil && (ctx.Err() == nil || errors.Is(err, tea.ErrProgramPanic)) {
		return fmt.Errorf("the screen: %w", err)
	}
	if n := m.unsent(); n > 0 {
		return fmt.Errorf("%d of your messages: %w: read the room's history to see what became of them", n, ErrUnsent)
	}
	return nil
}

// bus is what a model asks for. Each answer comes as the message that is named.
type bus interface {
	server() string // the node's name, empty while there is no connection
	rooms() tea.Cmd // roomsMsg
	members(*client.Room) tea.Cmd
	next(r *client.Room, after uint64) tea.Cmd
	watch(*client.Room) tea.Cmd  // newsMsg
	unwatch(room string) tea.Cmd // nothing
	older(r *client.Room, before uint64) tea.Cmd
	publish(*client.Room, client.Message) tea.Cmd
}

type (
	roomsMsg struct {
		rooms []*client.Room
		err   error
	}
	membersMsg struct {
		room    string
		members []v1.MemberView
		err     error
	}
	heardMsg struct {
		room    string
		message client.Message
		err     error
	}
	newsMsg struct {
		room, sender string
		err          error
	}
	olderMsg struct {
		room     string
		messages []client.Message
		more     bool
		err      error
	}
	sentMsg struct {
		room, id string
		receipt  client.Receipt
		err      error
	}
)

// wire is the bus as it is.
type wire struct {
	ctx    context.Context
	client *client.Client
	api    *client.API

	mu   sync.Mutex
	subs map[string]*client.Subscription
}

const (
	// pageSize is how many of the newest messages a room begins with, and roughly how far it goes back at a time.
	pageSize = 100
	// listLimit is how long a list is waited for.
	listLimit = 10 * time.Second
	// ratePause is how long a message waits that is more than the room takes a second.
	ratePause = 100 * time.Millisecond
)

func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.subs { // one that is made meanwhile ends with the client
		s.Close()
	}
}

func (w *wire) server() string { return w.client.Server() }

func (w *wire) rooms() tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(w.ctx, listLimit)
		defer cancel()
		rooms, err := w.client.Rooms(ctx)
		return roomsMsg{rooms, err}
	}
}

func (w *wire) members(r *client.Room) tea.Cmd {
	if w.api == nil {
		return nil
	}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(w.ctx, listLimit)
		defer cancel()
		msg := membersMsg{room: r.ID}
		for m, err := range w.api.Members(ctx, r.Name) {
			if msg.err = err; err != nil {
				break
			}
			msg.members = append(msg.members, m)
		}
		return msg
	}
}

// next waits for the next message of a room, which at first is one of the newest that are kept, or the one after a sequence.
func (w *wire) next(r *client.Room, after uint64) tea.Cmd {
	return func() tea.Msg {
		from := client.StartNow()
		switch {
		case r.Kept() && after > 0:
			from = client.FromSequence(after + 1)
		case r.Kept():
			from = client.LastN(pageSize)
		}
		msg := heardMsg{room: r.ID}
		msg.message, msg.err = w.take(r.ID, r, from)
		return msg
	}
}

// watching is the key of a subscription that only counts.
func watching(room string) string { return "watch " + room }

// watch waits for the next message that is said in a room from now on.
func (w *wire) watch(r *client.Room) tea.Cmd {
	return func() tea.Msg {
		m, err := w.take(watching(r.ID), r, client.StartNow())
		return newsMsg{r.ID, m.Sender, err}
	}
}

func (w *wire) unwatch(room string) tea.Cmd {
	return func() tea.Msg {
		w.drop(watching(room))
		return nil
	}
}

// take waits for the next message of a subscription, which begins if there is none of that key.
func (w *wire) take(key string, r *client.Room, from client.Start) (m client.Message, err error) {
	s, err := w.subscription(key, r, from)
	if err == nil {
		m, err = s.Next(w.ctx)
	}
	if errors.Is(err, client.ErrForbidden) {
		w.drop(key)
	}
	return m, err
}

func (w *wire) drop(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.subs[key]; s != nil {
		s.Close()
		delete(w.subs, key)
	}
}

func (w *wire) subscription(key string, r *client.Room, from client.Start) (*client.Subscription, error) {
	w.mu.Lock()
	s := w.subs[key]
	w.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := r.Subscribe(w.ctx, from)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs[key] = s
	return s, nil
}

// older reads what is kept before a sequence. A room's sequences have gaps, as wide as its class is busy: it goes further back until there is
// something.
func (w *wire) older(r *client.Room, before uint64) tea.Cmd {
	return func() tea.Msg {
		msg := olderMsg{room: r.ID}
		for span := uint64(pageSize); len(msg.messages) == 0; span *= 8 {
			from := max(before, span+1) - span
			if msg.messages, msg.err = w.between(r, from, before); msg.err != nil {
				return msg
			}
			if msg.more = from > 1; !msg.more {
				break
			}
		}
		return msg
	}
}

// between reads all from a sequence on that is before another.
func (w *wire) between(r *client.Room, from, before uint64) (all []client.Message, err error) {
	for {
		page, end, err := r.History(w.ctx, v1.HistoryRequest{From: from, Limit: int(min(before-from, v1.MaxPage))})
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if m.Sequence >= before {
				return all, nil
			}
			all = append(all, m)
		}
		if !end.More || end.Next >= before {
			return all, nil
		}
		from = end.Next
	}
}

func (w *wire) publish(r *client.Room, m client.Message) tea.Cmd {
	return func() tea.Msg {
		for {
			receipt, err := r.Publish(w.ctx, m)
			if !errors.Is(err, client.ErrRate) {
				return sentMsg{r.ID, m.ID, receipt, err}
			}
			select {
			case <-w.ctx.Done():
				return sentMsg{r.ID, m.ID, receipt, err}
			case <-time.After(ratePause): // it was not taken
			}
		}
	}
}
