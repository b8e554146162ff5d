// SPDX-License-Identifier: Apache-2.0

package client

import "time"

const (
	// An append that is not answered is sent again after leastPatience at the soonest, after firstPatience when nothing was answered yet, and
	// after mostPatience at the latest.
	leastPatience, firstPatience, mostPatience = 200 * time.Millisecond, time.Second, 2 * time.Second
)

// patience is how long an answer is waited for until the message is sent again. A node that hands over a stream takes a message now and
// then that nobody will answer, so that whoever waits for one answer at a time waits for nothing; but what is sent again is taken off the
// user's and the room's rate once more. It is what answers took lately and four times by how much that varied, as in RFC 6298. The zero value
// knows of none.
type patience struct{ mean, spread time.Duration }

// note takes into account how long ago a message was first sent that is answered. It counts if it was sent again, too, whichever attempt was
// answered: else answers that always take longer than they are waited for would never count.
func (p *patience) note(took time.Duration) {
	took = min(took, mostPatience)
	if p.mean == 0 {
		p.mean, p.spread = took, took/2
		return
	}
	p.spread += ((p.mean - took).Abs() - p.spread) / 4
	p.mean += (took - p.mean) / 8
}

// wait is how long the next answer is waited for: each time twice as long for what was sent again.
func (p *patience) wait(tries int) time.Duration {
	d := firstPatience
	if p.mean > 0 {
		d = max(leastPatience, p.mean+4*p.spread)
	}
	return doubled(tries, d, mostPatience)
}
