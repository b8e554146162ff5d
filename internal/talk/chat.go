// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

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
that is when most nodes do. The last line tells how it stands with the connection: while a node is down, messages wait.

    Enter          say what was typed
    Tab            the next room; Shift-Tab the one before
    Up, PgUp       go back, as far as the room keeps what was said
    Esc, Ctrl-C    quit

Names of people take the HTTP API (--api); without it there are keys. NO_COLOR is heeded.

When standard input or output is no terminal, ROOM is needed: what was said in it is printed, the last 10 messages first, and each line of
input is a message. It ends with the input, when the room has all of it and it was printed.`,
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
	c := chat.Config{In: s.in, Out: s.out}
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
	var said, heard atomic.Uint64 // sequences
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
			receipt, err := s.publish(room, client.Message{Data: line})
			said.Store(max(said.Load(), receipt.Sequence))
			return err
		})
		sent <- err
		if over.Store(true); err != nil || heard.Load() >= said.Load() {
			cancel() // or else it ends when the last one is heard
		}
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
		if heard.Store(m.Sequence); over.Load() && m.Sequence >= said.Load() {
			return <-sent
		}
	}
}
