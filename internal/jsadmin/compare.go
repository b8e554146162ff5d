// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"fmt"
	"slices"
)

// Comparison is what became of one stream between two ledgers.
type Comparison struct {
	Account string      `json:"account"`
	Stream  string      `json:"stream"`
	Before  LedgerEntry `json:"before"`
	After   LedgerEntry `json:"after"`
	// Kept is how many of the messages of before are there unchanged; Dropped how many the stream's own limits explain (a newer
	// message of the same subject, an age or size limit, an acknowledged work item), and how many said that a key of a bucket is removed:
	// they may be purged, which tells no less. Whatever else was purged counts as lost.
	Kept    uint64 `json:"kept"`
	Dropped uint64 `json:"dropped"`
	// Lost are messages that are gone without such a reason, Changed those that differ. Both must be 0.
	Lost    uint64 `json:"lost"`
	Changed uint64 `json:"changed"`
	// DigestUpTo is the digest of after up to the last sequence of before: equal to that of before when nothing was dropped,
	// however much was written meanwhile.
	DigestUpTo string `json:"digestUpTo,omitempty"`
	// Problem says in words what is wrong, empty when nothing is.
	Problem string `json:"problem,omitempty"`
}

// Compare compares two ledgers stream by stream. Streams that are new are not told.
func Compare(before, after []LedgerEntry) []Comparison {
	var out []Comparison
	for _, b := range before {
		c := Comparison{Account: b.Account, Stream: b.Stream, Before: b}
		i := slices.IndexFunc(after, func(e LedgerEntry) bool { return e.Account == b.Account && e.Stream == b.Stream })
		if i < 0 {
			c.Lost, c.Problem = b.Messages, "the stream is gone"
		} else {
			c.After = after[i]
			c.compare()
		}
		out = append(out, c)
	}
	return out
}

func (c *Comparison) compare() {
	b, a := c.Before, c.After
	if a.Last < b.Last {
		c.Problem = fmt.Sprintf("the last sequence went back from %d to %d", b.Last, a.Last)
	}
	for name, floor := range b.Consumers {
		if now, ok := a.Consumers[name]; !ok {
			c.Problem = fmt.Sprintf("the durable consumer %s is gone", name)
		} else if now < floor {
			c.Problem = fmt.Sprintf("the durable consumer %s went back from %d to %d", name, floor, now)
		}
	}
	if b.Digest == "" || a.Digest == "" { // messages were not read
		if a.Last == b.Last && a.Messages < b.Messages && !a.limits.drop() {
			c.Lost = b.Messages - a.Messages
		}
		c.Kept = min(a.Messages, b.Messages)
	} else {
		c.DigestUpTo = digest(a.marks, b.Last)
		c.match()
	}
	if c.Problem == "" && c.Lost+c.Changed > 0 {
		c.Problem = fmt.Sprintf("%d messages lost, %d changed", c.Lost, c.Changed)
	}
}

// match walks over the messages of before in step with those of after.
func (c *Comparison) match() {
	newest := map[[8]byte]uint64{}
	for _, s := range c.After.later {
		newest[s] = c.After.Last + 1
	}
	for _, m := range c.After.marks {
		newest[m.subject] = m.seq
	}
	i := 0
	after := c.After.marks
	for _, m := range c.Before.marks {
		for i < len(after) && after[i].seq < m.seq {
			i++
		}
		switch {
		case i < len(after) && after[i].seq == m.seq && after[i].sum == m.sum:
			c.Kept++
		case i < len(after) && after[i].seq == m.seq:
			c.Changed++
		case c.After.limits.explains(m, newest[m.subject], c.After.oldest):
			c.Dropped++
		default:
			c.Lost++
		}
	}
}

// drop says whether the stream may drop messages by itself at all.
func (l limits) drop() bool {
	return l.Retention != "limits" || l.PerSubject > 0 || l.MaxMessages > 0 || l.MaxBytes > 0 || l.MaxAge > 0 || l.TTL
}

// explains says whether the stream's limits, or what m is, account for the absence of m: newest is the newest sequence of its subject, first the
// stream's first one once all was read. Limits on age, number and size take the oldest messages only, so nothing behind first is explained by them.
func (l limits) explains(m mark, newest, first uint64) bool {
	switch {
	case l.Retention != "limits", l.TTL, m.marker:
		return true
	case l.PerSubject > 0 && newest > m.seq:
		return true
	}
	return (l.MaxMessages > 0 || l.MaxBytes > 0 || l.MaxAge > 0) && m.seq < first
}
