// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/console"
)

// mostBody is the most bytes of a request or an answer. No node takes more.
const mostBody = 64 << 20

func newRequest() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{
		Use: "request ROOM TEXT|-", Short: "Ask whoever answers in a room, and print the first answer", Args: cobra.ExactArgs(2),
		ValidArgsFunction: completeRooms(o),
		Long:              "TEXT - stands for all of standard input. The answer comes from somebody in the room; the bus does not vouch for who it was.",
		Example:           "  unibus request kitchen 'what time is it?'\n  unibus request jobs --to ann - < job.json",
	}))
	to := c.Flags().String("to", "", "ask one `user` only, by name or public key")
	c.RunE = run(o, func(s *session, args []string) error {
		text := []byte(args[1])
		if args[1] == "-" {
			var err error
			if text, err = readAll(s.ctx, s.in, mostBody); err != nil {
				return err
			}
		}
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		whom, err := (&people{s: s, room: room.Name}).key(*to)
		if err != nil {
			return err
		}
		var answer client.Message
		err = s.within("an answer in room "+room.Name, func(ctx context.Context) (err error) {
			answer, err = room.Request(ctx, whom, client.Message{Data: text})
			return err
		})
		if err != nil {
			return err
		}
		return s.printAnswer(answer)
	})
	return c
}

// printAnswer prints an answer as it is, for a program that reads it; a terminal is given nothing to obey.
func (s *session) printAnswer(m client.Message) error {
	if s.output == console.FormatJSON || s.output == console.FormatYAML {
		return console.EncodeOne(s.out, s.output, viewMessage(m, ""))
	}
	data := m.Data
	if onTerminal(s.out) {
		var shown []string
		for line := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
			shown = append(shown, console.Clean(line))
		}
		data = []byte(strings.Join(shown, "\n") + "\n")
	}
	_, err := s.out.Write(data)
	return err
}

func newReply() *cobra.Command {
	o := &options{}
	c := o.linked(&cobra.Command{
		Use: "reply ROOM [--queue NAME] -- COMMAND [ARG...]", Short: "Answer requests in a room with what a command prints",
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: completeRooms(o),
		Long: `Runs COMMAND for each request, one at a time, until it is interrupted: the request is its standard input, its standard output the answer. One
that fails is answered with an error, in the words of its last line on standard error. UNIBUS_SENDER tells it who asks, UNIBUS_ROOM where.

Anybody in the room decides what COMMAND reads: let it take nothing for granted.`,
		Example: "  unibus reply kitchen -- date\n  unibus reply jobs --queue workers -- ./work\n  unibus reply kitchen --echo",
	})
	queue := c.Flags().String("queue", "", "of all who answer in the same queue one gets a request (default: a queue for each user)")
	echo := c.Flags().Bool("echo", false, "answer with the request itself, to try the way there and back")
	limit := c.Flags().Duration("limit", 30*time.Second, "how long COMMAND may take")
	c.RunE = run(o, func(s *session, args []string) error {
		if *echo == (len(args) > 1) {
			return console.Failf(console.ExitUsage, "say what answers: either -- COMMAND, or --echo")
		}
		if err := console.CheckTime("limit", *limit); err != nil {
			return err
		}
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		answer := func(_ context.Context, m client.Message) (client.Message, error) { return m, nil }
		if !*echo {
			answer = func(ctx context.Context, m client.Message) (client.Message, error) {
				ctx, cancel := context.WithTimeout(ctx, *limit)
				defer cancel()
				out, err := s.execute(ctx, args[1:], room.Name, m)
				return client.Message{Data: out}, err
			}
		}
		fmt.Fprintf(s.notice, "answering in room %s; end with Ctrl-C\n", room.Name)
		err = room.Respond(s.ctx, *queue, answer)
		if s.ctx.Err() != nil {
			return &console.Error{Code: console.ExitInterrupted, Err: errors.New("")} // that is how it ends
		}
		return err
	})
	return c
}

// execute runs a command for a request. Who asked hears of a failure, and whoever started this too.
func (s *session) execute(ctx context.Context, args []string, room string, m client.Message) ([]byte, error) {
	var out, said bounded
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(m.Data), &out, &said
	c.Env = append(os.Environ(), "UNIBUS_SENDER="+m.Sender, "UNIBUS_ROOM="+room)
	c.WaitDelay = time.Second // what it has left behind keeps nobody waiting
	err := c.Run()
	if err == nil && out.over {
		err = errors.New("the answer is too large")
	}
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it took too long: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if last := lines[len(lines)-1]; last != "" {
		err = fmt.Errorf("%s (%w)", last, err)
	}
	fmt.Fprintf(s.notice, "unibus: a request of %s: %s\n", brief(m.Sender), console.Clean(err.Error()))
	return nil, err
}

// bounded takes no more than mostBody bytes.
type bounded struct {
	bytes.Buffer
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > mostBody {
		b.over = true
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
