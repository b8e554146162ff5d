// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

// verdict is what a ledger and the room say together.
type verdict struct {
	Ledger       string `json:"ledger"`
	Acknowledged uint64 `json:"acknowledged"`
	Found        uint64 `json:"found"`
	// Missing are acknowledged, and not in the room. Dropped are that, too, but older than all that the room has.
	Missing uint64 `json:"missing"`
	Dropped uint64 `json:"dropped"`
	// Duplicated are there more than once, OutOfOrder come after a higher number, Changed say something else or are elsewhere than was acknowledged.
	Duplicated uint64 `json:"duplicated"`
	OutOfOrder uint64 `json:"outOfOrder"`
	Changed    uint64 `json:"changed"`
	// Unacknowledged are in the room, and not in the ledger: the writer did not hear of them.
	Unacknowledged uint64 `json:"unacknowledged"`
	// FirstMissing are the numbers of the first that are missing.
	FirstMissing []uint64 `json:"firstMissing,omitempty"`
}

var verdictColumns = columns[verdict]{
	head: []string{"LEDGER", "ACKNOWLEDGED", "FOUND", "MISSING", "DROPPED", "DUPLICATED", "OUT OF ORDER", "CHANGED", "NOT ACKNOWLEDGED"},
	row: func(v verdict) []string {
		row := []string{v.Ledger}
		for _, n := range []uint64{v.Acknowledged, v.Found, v.Missing, v.Dropped, v.Duplicated, v.OutOfOrder, v.Changed, v.Unacknowledged} {
			row = append(row, fmt.Sprint(n))
		}
		return row
	},
	name: func(v verdict) string { return v.Ledger },
}

// mostNumbers is how many missing messages are named.
const mostNumbers = 20

func newVerify() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{
		Use: "verify ROOM --ledger FILE...", Short: "Read a room back against ledgers of unibus writer", Args: cobra.ExactArgs(1),
		ValidArgsFunction: completeRooms(o),
		Long: `Reads all that the room keeps and tells which acknowledged messages are missing, there twice, out of order or changed. Messages that are older
than all that the room still has may have been dropped by the bounds of its class; they count as missing unless --allow-dropped is given.

Exit code 6 says that something is missing, 1 that something else is wrong.`,
		Example: "  unibus verify lab --ledger a.jsonl --ledger b.jsonl",
	}))
	files := c.Flags().StringArray("ledger", nil, "`file` of a ledger; repeated for several")
	allow := c.Flags().Bool("allow-dropped", false, "what is older than all that the room has may be gone")
	c.RunE = run(o, func(s *session, args []string) error {
		if len(*files) == 0 {
			return console.Failf(console.ExitUsage, "--ledger is needed: the file of a ledger that unibus writer has written")
		}
		var checks []*check
		for _, path := range *files {
			l, err := readLedger(path)
			if err != nil {
				return err
			}
			checks = append(checks, newCheck(l))
		}
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		if err := fitting(checks, room); err != nil {
			return err
		}
		if err := s.readBack(room, checks); err != nil {
			return err
		}
		var all []verdict
		for _, c := range checks {
			all = append(all, c.judge())
		}
		return errors.Join(list(s.out, s.output, verdictColumns, all), failure(room.Name, all, *allow))
	})
	return c
}

// fitting refuses ledgers of other rooms, and two of the same writer.
func fitting(checks []*check, room *client.Room) error {
	seen := map[string]string{}
	for _, c := range checks {
		if c.head.RoomID != room.ID {
			return fmt.Errorf("%s is of room %s (%s), not of room %s (%s): a room that is made anew has nothing of the one before", c.path, c.head.Room, c.head.RoomID, room.Name, room.ID)
		}
		if other := seen[c.head.Writer]; other != "" {
			return fmt.Errorf("%s and %s are ledgers of the same writer: give one of them", other, c.path)
		}
		seen[c.head.Writer] = c.path
	}
	return nil
}

// readBack shows all that the room has to the checks.
func (s *session) readBack(room *client.Room, checks []*check) error {
	var newest uint64
	for _, c := range checks {
		_, sequence := c.last()
		newest = max(newest, sequence)
	}
	read, told := 0, time.Now()
	take := func(m client.Message) (bool, error) {
		for _, c := range checks {
			c.see(m)
		}
		if read++; time.Since(told) > tellEvery {
			told = time.Now()
			fmt.Fprintf(s.notice, "%d messages read, up to sequence %d\n", read, m.Sequence)
		}
		return true, nil
	}
	err := s.pages(room, v1.HistoryRequest{From: 1, AtLeast: newest}, take)
	if err == nil || read > 0 || newest == 0 || s.ctx.Err() != nil || !isLate(err) {
		return err
	}
	// That is what it looks like when the newest are lost.
	fmt.Fprintf(s.notice, "no node has sequence %d, which was acknowledged; what there is, is read\n", newest)
	return s.pages(room, v1.HistoryRequest{From: 1}, take)
}

// isLate says whether an error is that no node could answer in time.
func isLate(err error) bool {
	var e *console.Error
	return errors.Is(err, client.ErrUnavailable) || errors.As(err, &e) && e.Code == console.ExitTimeout
}

// check compares one ledger with what it sees of the room.
type check struct {
	ledger
	at    map[uint64]uint64 // the first sequence of each number
	first uint64            // the oldest sequence of the room
	high  uint64            // the highest number so far
	v     verdict
}

func newCheck(l ledger) *check {
	return &check{ledger: l, at: map[uint64]uint64{}, v: verdict{Ledger: l.path}}
}

// see takes the next message of the room.
func (c *check) see(m client.Message) {
	if c.first == 0 {
		c.first = m.Sequence
	}
	n := c.head.number(m.ID)
	if n == 0 || m.Sender != c.head.User {
		return
	}
	if _, twice := c.at[n]; twice {
		c.v.Duplicated++
		return
	}
	if c.at[n] = m.Sequence; n < c.high {
		c.v.OutOfOrder++
	}
	c.high = max(c.high, n)
	if !c.head.says(n, m.Data) {
		c.v.Changed++
	}
}

// judge is called when all has been seen.
func (c *check) judge() verdict {
	v := c.v
	v.Acknowledged = uint64(len(c.records))
	for _, r := range c.records {
		switch at, found := c.at[r.Number]; {
		case found && at == r.Sequence:
			v.Found++
		case found:
			v.Found++
			v.Changed++
		case r.Sequence < c.first:
			v.Dropped++
		default:
			if v.Missing++; len(v.FirstMissing) < mostNumbers {
				v.FirstMissing = append(v.FirstMissing, r.Number)
			}
		}
	}
	v.Unacknowledged = uint64(len(c.at)) - v.Found
	return v
}

// failure says in words what is wrong, nil if nothing is.
func failure(room string, all []verdict, allowDropped bool) error {
	var sum verdict
	for _, v := range all {
		sum.Missing += v.Missing
		sum.Dropped += v.Dropped
		sum.Duplicated += v.Duplicated
		sum.OutOfOrder += v.OutOfOrder
		sum.Changed += v.Changed
	}
	var wrong []string
	say := func(n uint64, what string) {
		if n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", n, what))
		}
	}
	say(sum.Missing, "missing")
	if !allowDropped {
		say(sum.Dropped, "older than all that the room still has (--allow-dropped if its class may drop them)")
	}
	lost := len(wrong) > 0
	say(sum.Duplicated, "there more than once")
	say(sum.OutOfOrder, "out of order")
	say(sum.Changed, "changed")
	switch {
	case lost:
		return console.Failf(console.ExitLost, "room %s: of the acknowledged messages %s", room, strings.Join(wrong, ", "))
	case len(wrong) > 0:
		return fmt.Errorf("room %s: of the acknowledged messages %s", room, strings.Join(wrong, ", "))
	}
	return nil
}
