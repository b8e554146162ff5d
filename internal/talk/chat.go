// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/chat"
	"github.com/unibus/unibus/internal/console"
)

// chatLast is how many of a room's newest messages are printed first where there is no screen.
const chatLast = 10

func newChat() *cobra.Command {
	o := &options{}
	c := o.linked(&cobra.Command{
		Use: "chat [ROOM]", Short: "Talk in your rooms, on the whole screen", Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeRooms(o),
		Long: `Shows your rooms, who is in them and what was said. A message of yours is marked with … until the room has it; in a room that keeps history
that is when most nodes do; what could not be sent comes back to be sent again. The last line tells how it stands with the connection: while a
node is down, messages wait.

    Enter          say what was typed
    Tab            the next room; Shift-Tab the one before; beside others is how much is new, in up to 200 rooms
    Up, PgUp       go back, as far as the room keeps what was said
    Esc, Ctrl-C    quit

Names of people take the HTTP API (--api); without it there are keys. NO_COLOR is heeded.

When standard input or output is no terminal, ROOM is needed: what was said in it is printed, the last 10 messages first, and each line of
input is a message. It goes on until the input ends, the room has all of it and it was printed.`,
		Example: "  unibus chat\n  unibus chat kitchen\n  echo 'tea is ready' | unibus chat kitchen",
	})
	c.RunE = run(o, func(s *session, args []string) error {
		if onTerminal(s.in) && onTerminal(s.out) {
			return s.chatOnScreen(args)
		}
		if len(args) == 0 {
			return console.Failf(console.ExitUsage, "without a terminal one room is talked in: unibus chat ROOM")
		}
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		return s.chatInLines(room)
	})
	return c
}

func (s *session) chatOnScreen(args []string) error {
	c := chat.Config{In: s.in, Out: console.File(s.out)}
	if len(args) > 0 {
		if _, err := s.room(args[0]); err != nil {
			return err
		}
		c.Room = args[0]
	}
	var err error
	if c.Client, err = s.connect(); err != nil {
		return err
	}
	if s.bus.API != "" {
		if c.API, err = s.api(); err != nil {
			return err
		}
	}
	s.over.Store(true) // the screen tells how it stands with the connection
	return chat.Run(s.ctx, c)
}

// chatInLines is tail and send in one.
func (s *session) chatInLines(room *client.Room) error {
	who, start := &people{s: s, room: room.Name}, client.StartNow()
	own := echo{room: room, me: s.wired.User(), run: rand.Text()}
	var said, heard atomic.Uint64 // as own counts
	if room.Kept() {
		err := s.pages(room, v1.HistoryRequest{Last: chatLast}, func(m client.Message) (bool, error) {
			heard.Store(m.Sequence)
			return true, printMessage(s.out, s.output, m, who)
		})
		if err != nil {
			return err
		}
		start = client.FromSequence(heard.Load() + 1)
	}
	var messages *client.Subscription
	err := s.within("room "+room.Name, func(ctx context.Context) (err error) {
		messages, err = room.Subscribe(ctx, start)
		return err
	})
	if err != nil {
		return err
	}
	defer messages.Close()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var over atomic.Bool
	sent := make(chan error, 1)
	go func() {
		err := s.eachLine(ctx, func(line []byte) error {
			m := client.Message{ID: own.id(said.Load() + 1), Data: line}
			receipt, err := s.publish(room, m)
			if m.Sender, m.Sequence = own.me, receipt.Sequence; err == nil {
				said.Store(max(said.Load(), own.number(m)))
			}
			return err
		})
		over.Store(true)
		if err == nil && heard.Load() < said.Load() {
			err = own.await(ctx, s.timeout)
		}
		sent <- err
		cancel()
	}()
	for {
		m, err := messages.Next(ctx)
		switch {
		case s.ctx.Err() != nil:
			return &console.Error{Code: console.ExitInterrupted, Err: errors.New("")}
		case err != nil && ctx.Err() != nil:
			return <-sent
		case errors.Is(err, client.ErrSlow):
			fmt.Fprintf(s.notice, "unibus: %v\n", err)
			continue
		case err != nil:
			return err
		}
		if err := printMessage(s.out, s.output, m, who); err != nil {
			return err
		}
		if heard.Store(max(heard.Load(), own.number(m))); over.Load() && heard.Load() >= said.Load() {
			cancel()
			return <-sent
		}
	}
}

// echo counts the messages of one run as they come back: where they are kept by sequences, where not by ids.
type echo struct {
	room    *client.Room
	me, run string
}

func (e echo) id(number uint64) string {
	if e.room.Kept() {
		return "" // the library's
	}
	return fmt.Sprintf("%s-%d", e.run, number)
}

// number is 0 for what others say where nothing is kept.
func (e echo) number(m client.Message) uint64 {
	if e.room.Kept() {
		return m.Sequence
	}
	text, ok := strings.CutPrefix(m.ID, e.run+"-")
	n, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil || m.Sender != e.me {
		return 0
	}
	return n
}

// await waits for the end of ctx, which comes when the last message has come back. What is not kept may be lost on the way.
func (e echo) await(ctx context.Context, limit time.Duration) error {
	var late <-chan time.Time
	if !e.room.Kept() {
		late = time.After(limit)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-late:
		return console.Failf(console.ExitTimeout, "room %s has not passed on your last message in %v: it keeps nothing, so the message may be lost; --timeout gives it longer", e.room.Name, limit)
	}
}
