// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/jsadmin"
)

// verdict is what a ledger before and one after a change say together.
type verdict struct {
	// Lost is true when something is missing.
	Lost     bool                 `json:"lost"`
	Verdict  string               `json:"verdict"`
	Streams  int                  `json:"streams"`
	Messages uint64               `json:"messages"`
	Compared []jsadmin.Comparison `json:"compared"`
}

func judge(before, after []jsadmin.LedgerEntry) verdict {
	v := verdict{Streams: len(before), Compared: jsadmin.Compare(before, after)}
	var dropped, missing uint64
	problems := 0
	for _, c := range v.Compared {
		v.Messages += c.Kept
		dropped += c.Dropped
		missing += c.Lost + c.Changed
		if c.Problem != "" {
			problems++
		}
	}
	if v.Lost = problems > 0; v.Lost {
		v.Verdict = fmt.Sprintf("SOMETHING IS MISSING: %d of %d streams, %d messages", problems, v.Streams, missing)
		return v
	}
	v.Verdict = fmt.Sprintf("nothing lost: %s, %s", console.Count(uint64(v.Streams), "stream"), console.Count(v.Messages, "message"))
	if dropped > 0 {
		v.Verdict += fmt.Sprintf(" (%d more were dropped by the streams' own limits, as they should be)", dropped)
	}
	return v
}

func (v verdict) print(w io.Writer) {
	if len(v.Compared) > 0 {
		rows := [][]string{{"STREAM", "MESSAGES BEFORE", "AFTER", "FIRST", "LAST BEFORE", "AFTER", "DIGEST BEFORE", "NOW, UP TO THERE", "VERDICT"}}
		for _, c := range v.Compared {
			rows = append(rows, []string{
				c.Account + "/" + c.Stream, fmt.Sprint(c.Before.Messages), fmt.Sprint(c.After.Messages), fmt.Sprint(c.After.First),
				fmt.Sprint(c.Before.Last), fmt.Sprint(c.After.Last), short(c.Before.Digest), short(c.DigestUpTo), wordOf(c),
			})
		}
		_ = console.Table(w, rows...) // what can't be printed Main tells, when all is done
	}
	fmt.Fprintln(w, v.Verdict)
}

func wordOf(c jsadmin.Comparison) string {
	switch {
	case c.Problem != "":
		return c.Problem
	case c.DigestUpTo != "" && c.DigestUpTo == c.Before.Digest:
		return "the same"
	case c.Dropped > 0:
		return fmt.Sprintf("kept, %d dropped by limits", c.Dropped)
	}
	return "kept"
}

// short shows the beginning of a digest: enough to compare by eye.
func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return console.Dash(digest)
}

// printLedger shows one ledger.
func printLedger(w io.Writer, entries []jsadmin.LedgerEntry) {
	rows := [][]string{{"STREAM", "MESSAGES", "FIRST", "LAST", "DIGEST", "CONSUMERS"}}
	var messages uint64
	for _, e := range entries {
		messages += e.Messages
		rows = append(rows, []string{
			e.Account + "/" + e.Stream, fmt.Sprint(e.Messages), fmt.Sprint(e.First), fmt.Sprint(e.Last), console.Dash(e.Digest), fmt.Sprint(len(e.Consumers)),
		})
	}
	_ = console.Table(w, rows...) // what can't be printed Main tells, when all is done
	fmt.Fprintf(w, "%s, %s\n", console.Count(uint64(len(entries)), "stream"), console.Count(messages, "message"))
}
