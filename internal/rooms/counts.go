// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"sync/atomic"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Services, as Counts names them.
const (
	serviceAppend = iota
	serviceHistory
	serviceRooms
)

var services = [...]string{serviceAppend: "append", serviceHistory: "history", serviceRooms: "rooms"}

// Outcomes of a request besides the codes of v1.Error.
const (
	// OutcomeOK is a request that was answered, or an append that went to the stream, which answers it.
	OutcomeOK = "ok"
	// OutcomeDropped is a request that got no answer because its reply subject is not in the caller's inbox.
	OutcomeDropped = "dropped"
	// OutcomeLost is a request that got no answer because too many waited before it, or too many of the same user were refused.
	OutcomeLost = "lost"
)

var outcomes = [...]string{lost: OutcomeLost, OutcomeOK, OutcomeDropped, v1.CodeMalformed, v1.CodeForbidden, v1.CodeNotKept,
	v1.CodeTooLarge, v1.CodeHeader, v1.CodeRate, v1.CodeUnavailable}

// lost is the place of OutcomeLost.
const lost = 0

// Counts is what the services have done since they were made.
type Counts struct {
	// Requests by service ("append", "history", "rooms") and outcome: an Outcome constant or a code of v1.Error. All are there.
	Requests map[string]map[string]uint64
	// InFlight is about how many appends wait for their acknowledgement now.
	InFlight int
}

type counters [len(services)][len(outcomes)]atomic.Uint64

func (c *counters) add(service int, outcome string) {
	for i, name := range outcomes {
		if name == outcome {
			c[service][i].Add(1)
			return
		}
	}
}

// Counts returns what the services have done.
func (s *Service) Counts() Counts {
	out := Counts{Requests: map[string]map[string]uint64{}, InFlight: s.pending.len()}
	for i, service := range services {
		m := map[string]uint64{}
		for j, outcome := range outcomes {
			m[outcome] = s.counts[i][j].Load()
		}
		out.Requests[service] = m
	}
	return out
}
