// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates are one rate for each of many: users, or addresses. Those that have all that they may spend say nothing, and are forgotten.
type rates struct {
	perSecond float64
	burst     int

	mu      sync.Mutex
	entries map[string]*rate.Limiter
	sweepAt int
}

// leastSweep is how many entries are too few to be worth a sweep.
const leastSweep = 1024

func newRates(perSecond float64, bursts int) *rates {
	return &rates{perSecond: perSecond, burst: bursts * int(math.Ceil(perSecond)), entries: map[string]*rate.Limiter{}, sweepAt: leastSweep}
}

// take spends one, and is false when there is none.
func (r *rates) take(who string, now time.Time) bool { return r.of(who, now).AllowN(now, 1) }

func (r *rates) of(who string, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.entries[who]
	if l == nil {
		if len(r.entries) >= r.sweepAt {
			for other, l := range r.entries {
				if l.TokensAt(now) >= float64(r.burst) {
					delete(r.entries, other)
				}
			}
			r.sweepAt = max(leastSweep, 2*len(r.entries))
		}
		l = rate.NewLimiter(rate.Limit(r.perSecond), r.burst)
		r.entries[who] = l
	}
	return l
}
