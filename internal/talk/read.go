// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

// position is where in a room's history to begin.
type position struct {
	from  uint64
	since string
	last  int
}

func (p *position) add(c *cobra.Command, last int, help string) {
	f := c.Flags()
	f.Uint64Var(&p.from, "from", 0, "begin with the message of this `sequence`, or the next one that is there")
	f.StringVar(&p.since, "since", "", "begin with what was kept since this `time`: 2006-01-02T15:04:05Z, or so long ago: 90m")
	f.IntVar(&p.last, "last", last, help)
}

// request is what the flags ask for.
func (p *position) request(c *cobra.Command, now time.Time) (q v1.HistoryRequest, err error) {
	given := 0
	for _, name := range []string{"from", "since", "last"} {
		if c.Flags().Changed(name) {
			given++
		}
	}
	switch {
	case given > 1:
		return q, console.Failf(console.ExitUsage, "--from, --since and --last say different things: use one of them")
	case p.since != "":
		at, err := time.Parse(time.RFC3339Nano, p.since)
		if err != nil {
			ago, err := time.ParseDuration(p.since)
			if err != nil || ago < 0 {
				return q, console.Failf(console.ExitUsage, "--since %q: use a time such as 2006-01-02T15:04:05Z, or how long ago, such as 90m", p.since)
			}
			at = now.Add(-ago)
		}
		q.Since = &at
	case c.Flags().Changed("from"):
		if p.from == 0 {
			return q, console.Failf(console.ExitUsage, "--from 0: sequences begin with 1")
		}
		q.From = p.from
	default:
		if p.last < 0 || p.last > v1.MaxPage {
			return q, console.Failf(console.ExitUsage, "--last %d: use 0 to %d", p.last, v1.MaxPage)
		}
		q.Last = p.last
	}
	return q, nil
}

func startOf(q v1.HistoryRequest) client.Start {
	switch {
	case q.Since != nil:
		return client.FromTime(*q.Since)
	case q.From > 0:
		return client.FromSequence(q.From)
	case q.Last > 0:
		return client.LastN(q.Last)
	}
	return client.StartNow()
}

func newTail() *cobra.Command {
	o, p := &options{}, &position{}
	c := o.printed(o.linked(&cobra.Command{
		Use: "tail ROOM", Short: "Follow what is said in a room", Args: cobra.ExactArgs(1), ValidArgsFunction: completeRooms(o),
		Long: `Prints the newest messages of a room and then each new one, until it is interrupted. Of a room that keeps history none is left out or
printed twice, whatever becomes of nodes and connections; one that keeps nothing is heard from now on.

A table has one line for each message. -o json has one object in a line, -o name the sequences only.`,
		Example: "  unibus tail kitchen\n  unibus tail kitchen --since 1h\n  unibus tail kitchen -o json | jq -r .text",
	}))
	p.add(c, 10, "begin with so many of the newest messages; 0 for new ones only")
	count := c.Flags().Int("count", 0, "end after so many messages; 0 for never")
	c.RunE = run(o, func(s *session, args []string) error {
		q, err := p.request(c, time.Now())
		if err != nil {
			return err
		}
		if *count < 0 {
			return console.Failf(console.ExitUsage, "--count %d: use 0 or more", *count)
		}
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		if !room.Kept() {
			if c.Flags().Changed("last") && p.last > 0 || q.From > 0 || q.Since != nil {
				return fmt.Errorf("room %s keeps no history: leave out --from, --since and --last", room.Name)
			}
			q = v1.HistoryRequest{}
		}
		return s.follow(room, q, *count)
	})
	return c
}

// follow prints messages until the context ends, or so many.
func (s *session) follow(room *client.Room, q v1.HistoryRequest, count int) error {
	var messages *client.Subscription
	err := s.within("room "+room.Name, func(ctx context.Context) (err error) {
		messages, err = room.Subscribe(ctx, startOf(q))
		return err
	})
	if err != nil {
		return err
	}
	defer messages.Close()
	if onTerminal(s.notice) {
		fmt.Fprintf(s.notice, "following room %s; end with Ctrl-C\n", room.Name)
	}
	who := &people{s: s, room: room.Name}
	for n := 0; count <= 0 || n < count; {
		m, err := messages.Next(s.ctx)
		switch {
		case errors.Is(err, client.ErrSlow):
			fmt.Fprintf(s.notice, "unibus: %v\n", err)
			continue
		case err != nil && s.ctx.Err() != nil:
			return &console.Error{Code: console.ExitInterrupted, Err: errors.New("")} // that is how it ends
		case err != nil:
			return err
		}
		if err := printMessage(s.out, s.output, m, who); err != nil {
			return err
		}
		n++
	}
	return nil
}

func newHistory() *cobra.Command {
	o, p := &options{}, &position{}
	c := o.printed(o.linked(&cobra.Command{
		Use: "history ROOM", Short: "Print what a room has kept", Args: cobra.ExactArgs(1), ValidArgsFunction: completeRooms(o),
		Long:    "Prints all that the room's history has, the oldest first, or what the flags ask for, and ends.",
		Example: "  unibus history kitchen --last 20\n  unibus history kitchen --since 2026-01-01T00:00:00Z -o json > kitchen.jsonl",
	}))
	p.add(c, 0, fmt.Sprintf("so many of the newest messages, at most %d", v1.MaxPage))
	limit := c.Flags().Int("limit", 0, "at most so many messages; 0 for all")
	c.RunE = run(o, func(s *session, args []string) error {
		q, err := p.request(c, time.Now())
		if err != nil {
			return err
		}
		if *limit < 0 {
			return console.Failf(console.ExitUsage, "--limit %d: use 0 or more", *limit)
		}
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		who, n := &people{s: s, room: room.Name}, 0
		return s.pages(room, q, func(m client.Message) (bool, error) {
			n++
			return *limit <= 0 || n < *limit, printMessage(s.out, s.output, m, who)
		})
	})
	return c
}

// pages reads page after page, until take wants no more or there is no more now.
func (s *session) pages(room *client.Room, q v1.HistoryRequest, take func(client.Message) (more bool, err error)) error {
	for {
		var page []client.Message
		var end v1.HistoryAnswer
		err := s.within("the history of room "+room.Name, func(ctx context.Context) (err error) {
			page, end, err = room.History(ctx, q)
			return err
		})
		if err != nil {
			return err
		}
		for _, m := range page {
			if more, err := take(m); err != nil || !more {
				return err
			}
		}
		if !end.More {
			return nil
		}
		q = v1.HistoryRequest{From: end.Next, AtLeast: q.AtLeast}
	}
}
