// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/console"
)

// mostLine is the longest line in bytes that is sent as a message. No node takes more.
const mostLine = 64 << 20

// receiptView says what became of a message.
type receiptView struct {
	// Sequence is absent in a room that keeps nothing.
	Sequence  uint64 `json:"sequence,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

func newSend() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{
		Use: "send ROOM [TEXT|-]", Short: "Say something in a room", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: completeRooms(o),
		Long: `Without TEXT, or with -, each line of standard input is a message, sent when the one before it has been taken. In a room that keeps
history that is when most nodes have it: then its sequence is printed. Lines that come faster than the room takes them wait.`,
		Example: "  unibus send kitchen 'tea is ready'\n  tail -f app.log | unibus send logs",
	}))
	c.RunE = run(o, func(s *session, args []string) error {
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		if len(args) == 2 && args[1] != "-" {
			return s.say(room, client.Message{Data: []byte(args[1])})
		}
		return s.eachLine(s.ctx, func(line []byte) error { return s.say(room, client.Message{Data: line}) })
	})
	return c
}

// eachLine says each line of standard input.
func (s *session) eachLine(ctx context.Context, say func([]byte) error) error {
	if onTerminal(s.notice) && onTerminal(s.in) {
		fmt.Fprintln(s.notice, "each line is a message; end with Ctrl-D")
	}
	n := 0
	for line, err := range lines(ctx, s.in) {
		if err == nil {
			n++
			err = say(line)
		}
		if err != nil {
			return fmt.Errorf("line %d of standard input: %w", max(n, 1), err)
		}
	}
	return nil
}

// lines gives the lines of r, until the context ends.
func lines(ctx context.Context, r io.Reader) func(func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		got, failed := make(chan []byte), make(chan error, 1)
		go func() { // it ends with its next line when nobody wants it any more
			in := bufio.NewScanner(r)
			in.Buffer(nil, mostLine)
			for in.Scan() {
				select {
				case got <- append([]byte(nil), in.Bytes()...):
				case <-ctx.Done():
					return
				}
			}
			failed <- in.Err()
		}()
		for {
			select {
			case line := <-got:
				if !yield(line, nil) {
					return
				}
			case err := <-failed:
				if err != nil {
					yield(nil, fmt.Errorf("read the next one: %w", err))
				}
				return
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// say publishes a message and prints what became of it.
func (s *session) say(room *client.Room, m client.Message) error {
	receipt, err := s.publish(room, m)
	if err != nil {
		return err
	}
	switch {
	case s.output == console.FormatJSON || s.output == console.FormatYAML:
		return console.EncodeOne(s.out, s.output, receiptView{receipt.Sequence, receipt.Duplicate})
	case receipt.Sequence > 0:
		_, err = fmt.Fprintln(s.out, receipt.Sequence)
	}
	return err
}

// ratePause is how long a message waits that is more than the room takes a second.
const ratePause = 100 * time.Millisecond

// publish publishes a message, as soon as the room takes it. Only a refusal for the rate is tried again here: it was not taken.
func (s *session) publish(room *client.Room, m client.Message) (receipt client.Receipt, err error) {
	err = s.within("room "+room.Name+" to take a message", func(ctx context.Context) error {
		for {
			if receipt, err = room.Publish(ctx, m); !errors.Is(err, client.ErrRate) {
				return err
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(ratePause):
			}
		}
	})
	return receipt, err
}
