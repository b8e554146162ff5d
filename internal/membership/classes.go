// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"math"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// MinClassBytes is the least MaxBytes of a class.
const MinClassBytes = 1 << 20

// DefaultClass is what a class is like whose creator says no more than its name.
func DefaultClass(name string) v1.Class {
	return v1.Class{
		Name: name, MaxBytes: 64 << 20, MaxMessagesPerRoom: 1000, MaxMessageBytes: 64 << 10, MaxAge: 30 * 24 * time.Hour,
		Full: v1.FullRolls, PublisherRate: 100, RoomRate: 1000,
	}
}

// CheckClass fails with ErrInvalid for a class that makes no sense, or takes messages larger than the server does, whose limit is
// maxPayload bytes. Whether there is space for the class, Fits tells.
func CheckClass(c v1.Class, maxPayload int32) error {
	if err := CheckName("class", c.Name); err != nil {
		return err
	}
	bad := func(field string, value any, allowed string, args ...any) error {
		return fmt.Errorf("%w class %s: %s %v; use "+allowed, append([]any{ErrInvalid, c.Name, field, value}, args...)...)
	}
	switch {
	case c.MaxMessageBytes < 1 || c.MaxMessageBytes > maxPayload:
		return bad("maxMessageBytes", c.MaxMessageBytes, "1 to %d, what the server takes", maxPayload)
	case c.MaxBytes < MinClassBytes || c.MaxBytes < int64(c.MaxMessageBytes):
		return bad("maxBytes", c.MaxBytes, "at least %d, and no less than maxMessageBytes", MinClassBytes)
	case c.MaxMessagesPerRoom < 1:
		return bad("maxMessagesPerRoom", c.MaxMessagesPerRoom, "at least 1")
	case c.MaxAge != 0 && c.MaxAge < v1.DuplicateWindow:
		return bad("maxAge", int64(c.MaxAge), "0 (for ever) or at least %d (%v), as long as message ids are remembered",
			int64(v1.DuplicateWindow), v1.DuplicateWindow)
	case c.Full != v1.FullRolls && c.Full != v1.FullRefuses:
		return bad("full", fmt.Sprintf("%.80q", string(c.Full)), "%q or %q", v1.FullRolls, v1.FullRefuses)
	case !isRate(c.PublisherRate):
		return bad("publisherRate", c.PublisherRate, "0 (no bound) or more, a second")
	case !isRate(c.RoomRate):
		return bad("roomRate", c.RoomRate, "0 (no bound) or more, a second")
	}
	return nil
}

func isRate(r float64) bool { return r >= 0 && !math.IsInf(r, 1) }

// Of the store's limit an eighth, and no less than smallestReserve, is kept for membership, Raft's logs and what a full stream writes
// before it lets go of old blocks.
const (
	reserveShare    = 8
	smallestReserve = 16 << 20
)

// Fits fails with ErrLimit unless the class fits into the store beside all else, on each node: existing are the other classes (one of
// the same name is the one that want replaces), other is what all other streams reserve, limit the store's limit, in bytes. The
// error says how much is free.
func Fits(existing []v1.Class, other, limit int64, want v1.Class) error {
	free := max(limit-max(limit/reserveShare, smallestReserve), 0)
	take := func(size int64) { free -= min(max(size, 0), free) } // never below 0: sums of absurd sizes must not wrap around
	take(other)
	for _, c := range existing {
		if c.Name != want.Name {
			take(c.MaxBytes)
		}
	}
	if want.MaxBytes > free {
		return fmt.Errorf("%w: class %s wants %d bytes, and %d of the store's %d are free; make classes smaller, or give every node a larger store",
			ErrLimit, want.Name, want.MaxBytes, free, limit)
	}
	return nil
}
