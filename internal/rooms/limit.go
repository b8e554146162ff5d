// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// limits are the rates of appends: of a user within a class, and of a room. Entries that are full again say nothing and are dropped,
// so that there are as many as were busy lately. It belongs to one goroutine.
type limits struct {
	entries map[limitKey]*rate.Limiter
	sweepAt int
}

// limitKey names a room, of which the class is empty, or a user within a class.
type limitKey struct{ class, id string }

// leastSweep is how many entries are too few to be worth a sweep.
const leastSweep = 1024

func newLimits() *limits {
	return &limits{entries: map[limitKey]*rate.Limiter{}, sweepAt: leastSweep}
}

// allow takes one message off both rates, and says which of them has none left. A user that is over its own rate takes nothing from
// the room's.
func (l *limits) allow(class v1.Class, user, room string, now time.Time) *v1.Error {
	if !l.take(limitKey{class.Name, user}, class.PublisherRate, now) {
		return errPublisherRate
	}
	if !l.take(limitKey{"", room}, class.RoomRate, now) {
		return errRoomRate
	}
	return nil
}

func (l *limits) take(key limitKey, perSecond float64, now time.Time) bool {
	if perSecond <= 0 {
		return true
	}
	burst := int(math.Ceil(min(perSecond, math.MaxInt32)))
	lim := l.entries[key]
	if lim == nil {
		if len(l.entries) >= l.sweepAt {
			l.sweep(now)
		}
		lim = rate.NewLimiter(rate.Limit(perSecond), burst)
		l.entries[key] = lim
	} else if lim.Limit() != rate.Limit(perSecond) { // the class was changed
		lim.SetLimitAt(now, rate.Limit(perSecond))
		lim.SetBurstAt(now, burst)
	}
	return lim.AllowN(now, 1)
}

// sweep costs little: it comes only after as many new entries as it left behind.
func (l *limits) sweep(now time.Time) {
	for key, lim := range l.entries {
		if lim.TokensAt(now) >= float64(lim.Burst()) {
			delete(l.entries, key)
		}
	}
	l.sweepAt = max(leastSweep, 2*len(l.entries))
}
