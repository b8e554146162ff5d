// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"time"
)

// quiet measures for how long nothing that is observed has changed.
type quiet struct {
	last  string
	since time.Time
}

// measure returns for how long observations have been as this one is. How much a replica has counts only while it is not in sync:
// writers that go on don't make a stuck cluster look busy, and a replica that copies is not stuck.
func (q *quiet) measure(o observation) time.Duration {
	type copying struct {
		Server   string
		Messages uint64
	}
	var progress []copying
	for _, s := range o.streams {
		for _, r := range s.Members {
			if !r.Current() {
				progress = append(progress, copying{r.Name, r.Messages})
			}
		}
	}
	seen := o.seen
	now := seen.Now
	seen.Now = time.Time{}
	noLeader := ""
	if o.noLeader != nil {
		noLeader = "none"
	}
	b, err := json.Marshal([]any{o.record, seen, progress, noLeader, o.blocked != nil})
	if err != nil || string(b) != q.last {
		q.last, q.since = string(b), now
	}
	return now.Sub(q.since)
}
