// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
)

// usersHeld says whether all that was judged of users is within its bound.
func (r *results) usersHeld() bool {
	ok := r.Memory == nil || r.Memory.Held
	for _, v := range r.Revocations {
		ok = ok && v.Held
	}
	for _, list := range [][]besideRow{r.Logins, r.History, r.Client} {
		for _, b := range list {
			ok = ok && b.Held
		}
	}
	for _, s := range r.Storms {
		ok = ok && s.Held
	}
	return ok
}

// printUsers writes what was measured of users as tables.
func (r *results) printUsers(w io.Writer) {
	if len(r.Revocations) > 0 {
		fmt.Fprintf(w, "\nms from the answer until all is gone\tp50\tp99\tworst\tfrom the request: p50\tp99\tasked again\ttimes\tconnections\tlet in after, hurt\tflood/s: live\tappends\tbound of p99\n")
		for _, v := range r.Revocations {
			fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\t%d, %d\t%.0f\t%.0f\t<= %.0f %s\n", v.Removal, v.P50, v.P99, v.Worst, v.AskedP50,
				v.AskedP99, v.Again, v.Count, v.Connections, v.Let, v.Hurt, v.Live, v.Kept, v.Bound, word(v.Held))
		}
	}
	printBeside(w, "connections per second", r.Logins)
	printBeside(w, "messages per second", r.History)
	printBeside(w, "messages per second", r.Client)
	if m := r.Memory; m != nil {
		fmt.Fprintf(w, "\nbytes of a node for each\theap\tresident\tof\n")
		for _, e := range m.Each {
			fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%d\n", e.Of, e.Heap, e.RSS, e.Count)
		}
		fmt.Fprintf(w, "\nrooms\tseconds until a node that was stopped lets a user in\tRaft groups\tas many\n")
		for i, rooms := range m.Rooms {
			fmt.Fprintf(w, "%d\t%s\t%d\t%s\n", rooms, span(m.Start[i]), m.Groups[i], word(m.Held))
		}
	}
	if len(r.Storms) > 0 {
		fmt.Fprintf(w, "\nbystanders, ms\tp50\tp99\tworst\tsent\tlost\tMiB of a node\tflood/s: live\tappends\tcut off\tseconds until all are back (still away)\tnone lost\n")
		for _, s := range r.Storms {
			line := func(when string, c calls) {
				fmt.Fprintf(w, "%s, %s\t%.2f\t%.2f\t%.2f\t%d\t%d", s.What, when, c.P50, c.P99, c.Most, c.Sent, c.Lost)
			}
			line("before", s.Before.Live)
			fmt.Fprintf(w, "\t%.0f\n", s.Idle)
			line("during", s.During.Live)
			fmt.Fprintf(w, "\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f (%d)\t%s\n", s.Peak, s.Live, s.Kept, s.Cut, s.Back, s.Away, word(s.Held))
			line("after", s.After.Live)
			fmt.Fprintf(w, "\t%.0f\n", s.Later)
			line("before, kept", s.Before.Kept)
			fmt.Fprintln(w)
			line("during, kept", s.During.Kept)
			fmt.Fprintln(w)
			line("after, kept", s.After.Kept)
			fmt.Fprintln(w)
		}
	}
}

func printBeside(w io.Writer, unit string, rows []besideRow) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\tbeside\trate\tits\tratio\t95 %% interval\tpairs\tbound\n", unit)
	for _, b := range rows {
		bound := ""
		if b.Bound != "" {
			bound = b.Bound + " " + word(b.Held)
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.3f\t%.3f to %.3f\t%d\t%s\n", b.What, b.Beside, b.Rate.Median, b.Other.Median,
			b.Ratio.Median, b.Ratio.Low, b.Ratio.High, b.Ratio.N, bound)
	}
}
