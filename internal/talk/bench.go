// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/benchmark"
	"github.com/unibus/unibus/internal/console"
)

const (
	mostBenchClients = 500
	mostPending      = 1 << 20
	// mostKept is how many messages of a user are on their way to be kept, of all its connections: half of what a node takes before it refuses
	// more, because a node learns some time after the client that one is kept.
	mostKept = 1024
)

func newBench() *cobra.Command {
	o, b := &options{}, &bench{size: 128}
	c := o.printed(o.linked(&cobra.Command{Use: "bench", Short: "Measure what a room gives: speaking, hearing, history, requests",
		Long: `Measures by the client library, as you, over as many connections as --clients says. It ends after --msgs messages or --duration, whichever comes
first; interrupted, it tells what it has come to.

Nothing of the room is changed, but one that keeps history keeps what is published: that may push out the oldest of what others have said, in all rooms of
the class. So publish and hear ask first, unless the room keeps nothing, or nobody else's words and is the only one of its class, as far as an
admin can see. Best take a room with a class of its own, and delete both afterwards.`}))
	f := c.PersistentFlags()
	f.Uint64Var(&b.Messages, "msgs", 10_000, "how many messages; 0 for as many as there is time for (default with --duration)")
	f.DurationVar(&b.Duration, "duration", 0, "for how long at most; 0 for as long as it takes")
	f.Var((*size)(&b.size), "size", "bytes of a message, such as 128 or 64KiB")
	f.IntVar(&b.clients, "clients", 1, "how many connections: that speak, hear, read or ask")
	f.IntVar(&b.Pending, "pending", 1024, "how many messages of a connection may be on their way; 1 to wait for each; all connections together have 1024 at most where the room keeps history")
	f.BoolVarP(&o.yes, "yes", "y", false, "go on without asking")
	for _, k := range []struct {
		kind           benchmark.Kind
		short, example string
	}{
		{benchmark.Publish, "Speak in a room; latency is until a message is kept or, with --pending 1, has reached a node",
			"  unibus bench publish lab\n  unibus bench publish lab --pending 1 --clients 4 --duration 10s -o json"},
		{benchmark.Hear, "Speak in a room and hear it, without running further ahead than --pending", "  unibus bench hear lab --clients 10"},
		{benchmark.History, "Read what a room keeps, in pages, whose latency is told", "  unibus bench history lab --msgs 100000"},
		{benchmark.Request, "Ask in a room, one request of a connection after the other, and answer", "  unibus bench request lab --clients 8 --duration 10s"},
	} {
		sub := &cobra.Command{Use: string(k.kind) + " ROOM", Short: k.short, Example: k.example, Args: cobra.ExactArgs(1), ValidArgsFunction: completeRooms(o)}
		sub.RunE = run(o, func(s *session, args []string) error {
			if b.Duration > 0 && !sub.Flags().Changed("msgs") {
				b.Messages = 0
			}
			if err := b.check(); err != nil {
				return err
			}
			b.session = s
			return b.run(k.kind, args[0])
		})
		c.AddCommand(sub)
	}
	return c
}

// bench is a run of a benchmark.
type bench struct {
	*session
	benchmark.Config
	size    int64
	clients int
}

func (b *bench) check() error {
	switch {
	case b.Duration < 0, b.Messages == 0 && b.Duration == 0:
		return console.Failf(console.ExitUsage, "--msgs %d --duration %v has no end: give one of them", b.Messages, b.Duration)
	case b.size > mostBody:
		return console.Failf(console.ExitUsage, "--size %d: no message is as large as %d", b.size, mostBody)
	case b.clients < 1, b.clients > mostBenchClients:
		return console.Failf(console.ExitUsage, "--clients %d: use 1 to %d", b.clients, mostBenchClients)
	case b.Pending < 1, b.Pending > mostPending:
		return console.Failf(console.ExitUsage, "--pending %d: use 1 to %d", b.Pending, mostPending)
	}
	return nil
}

var benchColumns = columns[benchmark.Result]{
	head: []string{"WHAT", "KEPT", "CLIENTS", "SIZE", "PENDING", "MESSAGES", "ERRORS", "SECONDS", "MESSAGES/S", "MB/S", "P50", "P99", "MAX"},
	row: func(r benchmark.Result) []string {
		row := []string{r.What, map[bool]string{true: "yes", false: "no"}[r.Kept], fmt.Sprint(r.Clients), some(r.Size), some(r.Pending), fmt.Sprint(r.Messages),
			fmt.Sprint(r.Errors), fmt.Sprintf("%.2f", r.Seconds), fmt.Sprintf("%.0f", r.Rate), fmt.Sprintf("%.2f", r.Megabytes), "", "", ""}
		if l := r.Latency; l != nil {
			for i, s := range []float64{l.P50, l.P99, l.Max} {
				row[len(row)-3+i] = fmt.Sprintf("%.2f ms", 1000*s)
			}
		}
		return row
	},
	name: func(r benchmark.Result) string { return r.What },
}

func some(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func (b *bench) run(kind benchmark.Kind, name string) error {
	room, err := b.room(name)
	if err != nil {
		return err
	}
	switch {
	case kind == benchmark.History && !room.Kept():
		return fmt.Errorf("room %s keeps no history: there is nothing to read", room.Name)
	case room.Kept() && (kind == benchmark.Publish || kind == benchmark.Hear):
		if err := b.ask(room); err != nil {
			return err
		}
		speakers := kind.Seats(b.clients)
		if kind == benchmark.Hear {
			speakers = 1
		}
		b.Pending = min(b.Pending, max(1, mostKept/speakers))
	}
	defer func() {
		b.over.Store(true)
		for _, s := range b.Seats {
			s.Client.Close()
		}
	}()
	if err := b.sit(kind.Seats(b.clients), name); err != nil {
		return err
	}
	b.Size, b.Patience, b.Tell = int(b.size), b.timeout, func(text string) { fmt.Fprintln(b.notice, text) }
	results, err := benchmark.Run(b.ctx, kind, b.Config)
	if errors.Is(err, benchmark.ErrNothing) {
		err = fmt.Errorf("%w: publish something first, with unibus bench publish", err)
	}
	if b.ctx.Err() != nil {
		err = &console.Error{Code: console.ExitInterrupted, Err: errors.New("")} // what it has come to tells it
	}
	if len(results) > 0 {
		err = errors.Join(list(b.out, b.output, benchColumns, results), err)
	}
	for _, r := range results {
		if r.Errors > 0 && err == nil {
			err = fmt.Errorf("%s: %s, the first: %s", r.What, console.Count(r.Errors, "error"), r.FirstError)
		}
	}
	return err
}

// sit makes connections.
func (b *bench) sit(seats int, name string) error {
	o := b.settings()
	o.API, o.Name, o.MaxPending = "", "unibus bench", b.Pending
	for range seats {
		err := b.within("a connection to "+strings.Join(b.bus.Servers, ", "), func(ctx context.Context) error {
			c, err := client.Connect(ctx, o)
			if err != nil {
				return err
			}
			b.Seats = append(b.Seats, benchmark.Seat{Client: c})
			b.Seats[len(b.Seats)-1].Room, err = c.Room(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ask asks whether the oldest of what the class keeps may be pushed out, unless nobody else has anything there.
func (b *bench) ask(room *client.Room) error {
	others := ""
	err := b.pages(room, v1.HistoryRequest{From: 1}, func(m client.Message) (bool, error) {
		if m.Sender != b.wired.User() || !strings.HasPrefix(m.ID, benchmark.IDPrefix) {
			others = fmt.Sprintf("room %s keeps what was said, of which the oldest may go when more comes.", room.Name)
		}
		return others == "", nil
	})
	if err != nil {
		return err
	}
	if others == "" && !b.alone(room) {
		others = fmt.Sprintf("other rooms may share class %s, of which the oldest may go when more comes.", room.Class)
	}
	if others == "" {
		return nil
	}
	return b.confirm(others + " Publish in it all the same?")
}

// alone says whether no other room has the class, which only admins can see.
func (b *bench) alone(room *client.Room) bool {
	api, err := b.api()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(b.ctx, min(b.timeout, 10*time.Second))
	defer cancel()
	if me, _, err := api.User(ctx, b.wired.User()); err != nil || !me.Admin {
		return false
	}
	for r, err := range api.Rooms(ctx) {
		if err != nil || r.Class == room.Class && r.ID != room.ID {
			return false
		}
	}
	return true
}
