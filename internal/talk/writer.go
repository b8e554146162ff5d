// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

func newWriter() *cobra.Command {
	o, w := &options{}, &writer{}
	c := o.printed(o.linked(&cobra.Command{
		Use: "writer ROOM --ledger FILE", Short: "Write numbered messages and keep a ledger of those that were acknowledged", Args: cobra.ExactArgs(1),
		ValidArgsFunction: completeRooms(o),
		Long: `Writes one message after the other into a room that keeps history. Each that is acknowledged is a line of the ledger, on disk before the next
one is written. Killed at any point and run again with the same ledger, it goes on with the next number. unibus verify reads the
room against ledgers: that shows whether anything was lost, whatever was done to nodes meanwhile.`,
		Example: "  unibus writer lab --ledger a.jsonl --rate 50\n  unibus writer lab --ledger a.jsonl --count 10000 && unibus verify lab --ledger a.jsonl",
	}))
	f := c.Flags()
	f.StringVar(&w.file, "ledger", "", "`file` of the ledger; it is made, or gone on with")
	f.Float64Var(&w.rate, "rate", 10, "messages a second; 0 for as fast as they are acknowledged")
	f.IntVar(&w.size, "size", 64, "bytes of a message")
	f.Uint64Var(&w.count, "count", 0, "end when the ledger has so many; 0 for never")
	c.RunE = run(o, func(s *session, args []string) error {
		if w.file == "" {
			return console.Failf(console.ExitUsage, "--ledger is needed: the file of the ledger, which is made, or gone on with")
		}
		if !(w.rate >= 0) || math.IsInf(w.rate, 1) || w.size < 0 || w.size > mostBody {
			return console.Failf(console.ExitUsage, "--rate %v --size %d: neither is below 0, and no message is as large as %d", w.rate, w.size, mostBody)
		}
		room, err := s.room(args[0])
		if err != nil {
			return err
		}
		if !room.Kept() {
			return fmt.Errorf("room %s keeps no history, so that nothing is acknowledged: take a room that has a class", room.Name)
		}
		w.session, w.room = s, room
		return w.run()
	})
	return c
}

// writer writes one message after the other.
type writer struct {
	*session
	file  string
	rate  float64
	size  int
	count uint64

	room   *client.Room
	ledger *ledger
	sum    writerSum
	began  time.Time
	acked  time.Time
	told   time.Time
}

// writerSum is what a run of a writer comes to.
type writerSum struct {
	Written uint64 `json:"written"`
	// Total is how many the ledger has.
	Total uint64 `json:"total"`
	// Rate is messages a second, Gap the longest time between two acknowledgements, in seconds.
	Rate float64 `json:"rate"`
	Gap  float64 `json:"longestGap"`
	Last uint64  `json:"lastSequence"`
}

var sumColumns = columns[writerSum]{
	head: []string{"WRITTEN", "IN THE LEDGER", "RATE", "LONGEST GAP", "LAST SEQUENCE"},
	row: func(w writerSum) []string {
		return []string{fmt.Sprint(w.Written), fmt.Sprint(w.Total), fmt.Sprintf("%.1f/s", w.Rate), fmt.Sprintf("%.3f s", w.Gap), fmt.Sprint(w.Last)}
	},
	name: func(w writerSum) string { return fmt.Sprint(w.Last) },
}

const tellEvery = 2 * time.Second

func (w *writer) run() (err error) {
	c, err := w.connect()
	if err != nil {
		return err
	}
	w.ledger, err = openLedger(w.file, ledgerHead{Room: w.room.Name, RoomID: w.room.ID, User: c.User(), Started: time.Now().UTC()})
	if err != nil {
		return err
	}
	defer w.ledger.close()
	if n, _ := w.ledger.last(); n > 0 {
		fmt.Fprintf(w.notice, "going on after number %d\n", n)
	}
	w.began = time.Now()
	w.acked, w.told = w.began, w.began
	err = w.adopt()
	for err == nil && (w.count == 0 || uint64(len(w.ledger.records)) < w.count) {
		if err = w.pace(); err == nil {
			err = w.write()
		}
	}
	w.sum.Rate = float64(w.sum.Written) / max(time.Since(w.began).Seconds(), 1e-9)
	w.sum.Total, w.sum.Last = w.ledger.last()
	if w.ctx.Err() != nil {
		err = &console.Error{Code: console.ExitInterrupted, Err: errors.New("")} // the sum tells it
	}
	return errors.Join(one(w.out, w.output, sumColumns, w.sum), err)
}

// adopt writes down what was kept of an earlier run that did not live to write it down itself.
func (w *writer) adopt() error {
	n, _ := w.ledger.last()
	sequence, err := w.find(n + 1)
	if err != nil || sequence == 0 {
		return err
	}
	return w.ledger.add(ledgerRecord{Number: n + 1, ID: w.ledger.head.id(n + 1), Sequence: sequence, Time: time.Now().UTC()})
}

// find looks for a message of that number after the last of the ledger, and returns its sequence, 0 if it is not there. Nodes forget ids
// after a while, so that sending a message again may not show that it was kept.
func (w *writer) find(number uint64) (sequence uint64, err error) {
	_, last := w.ledger.last()
	err = w.pages(w.room, v1.HistoryRequest{From: last + 1, AtLeast: last}, func(m client.Message) (bool, error) {
		if m.Sender == w.ledger.head.User && w.ledger.head.number(m.ID) == number {
			sequence = m.Sequence
		}
		return sequence == 0, nil
	})
	return sequence, err
}

// pace waits until the next message is due. A writer that was held up does not hurry after it.
func (w *writer) pace() error {
	if w.rate > 0 {
		due := w.acked.Add(time.Duration(float64(time.Second) / w.rate))
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		select {
		case <-w.ctx.Done():
		case <-t.C:
		}
	}
	return w.ctx.Err()
}

// write writes the next message, and the ledger.
func (w *writer) write() error {
	last, _ := w.ledger.last()
	number := last + 1
	m := client.Message{ID: w.ledger.head.id(number), Data: w.ledger.head.body(number, w.size)}
	var sequence uint64
	for sequence == 0 {
		receipt, err := w.publish(w.room, m)
		switch {
		case err == nil:
			sequence = receipt.Sequence
		case w.ctx.Err() != nil, !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
			return err
		default:
			fmt.Fprintf(w.notice, "number %d is tried again: %v\n", number, err)
			if sequence, err = w.find(number); err != nil && w.ctx.Err() != nil {
				return err
			}
		}
	}
	now := time.Now()
	if err := w.ledger.add(ledgerRecord{Number: number, ID: m.ID, Sequence: sequence, Time: now.UTC()}); err != nil {
		return err
	}
	w.sum.Written++
	w.sum.Gap = max(w.sum.Gap, now.Sub(w.acked).Seconds())
	w.acked = now
	if now.Sub(w.told) > tellEvery {
		w.told = now
		fmt.Fprintf(w.notice, "%d written, %.1f/s, longest gap %.3f s\n", w.sum.Written, float64(w.sum.Written)/now.Sub(w.began).Seconds(), w.sum.Gap)
	}
	return nil
}
