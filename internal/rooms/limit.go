// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// limits are the rates of one service: of a user, and of appends by a user within a class and in a room. Entries that are full again
// say nothing and are dropped, so that there are as many as were busy lately. It belongs to one goroutine.
type limits struct {
	entries map[limitKey]*budget
	sweepAt int
}

// limitKey names a user or a room, of which the class is empty, or a user within a class.
type limitKey struct{ class, id string }

// budget is what a user or a room has left.
type budget struct {
	*rate.Limiter
	inFlight atomic.Int32 // requests of the user that were taken, and are not answered; of appends about so many
	// What went to a stream last, when, and how many since the last probe.
	class    string
	last     time.Time
	unprobed int
	refusals *rate.Limiter // that are answered to the user; nil before the first
}

// mostRefusals is how many refusals a second each service answers to one user.
const mostRefusals = 1000

// refuse says whether a refusal is to be answered.
func (b *budget) refuse(now time.Time) bool {
	if b.refusals == nil {
		b.refusals = rate.NewLimiter(mostRefusals, mostRefusals)
	}
	return b.refusals.AllowN(now, 1)
}

// leastSweep is how many entries are too few to be worth a sweep.
const leastSweep = 1024

func newLimits() *limits {
	return &limits{entries: map[limitKey]*budget{}, sweepAt: leastSweep}
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
	return perSecond <= 0 || l.of(key, perSecond, now).AllowN(now, 1)
}

// of returns what there is left of a rate.
func (l *limits) of(key limitKey, perSecond float64, now time.Time) *budget {
	burst := int(math.Ceil(min(perSecond, math.MaxInt32)))
	b := l.entries[key]
	if b == nil {
		if len(l.entries) >= l.sweepAt {
			l.sweep(now)
		}
		b = &budget{Limiter: rate.NewLimiter(rate.Limit(perSecond), burst)}
		l.entries[key] = b
	} else if b.Limit() != rate.Limit(perSecond) { // the class was changed
		b.SetLimitAt(now, rate.Limit(perSecond))
		b.SetBurstAt(now, burst)
	}
	return b
}

// sweep costs little: it comes only after as many new entries as it left behind.
func (l *limits) sweep(now time.Time) {
	for key, b := range l.entries {
		if b.TokensAt(now) >= float64(b.Burst()) && b.inFlight.Load() == 0 {
			delete(l.entries, key)
		}
	}
	l.sweepAt = max(leastSweep, 2*len(l.entries))
}
