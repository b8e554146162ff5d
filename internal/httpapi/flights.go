// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// flight is a request that is being answered.
type flight struct {
	user, hex string
	cancel    context.CancelCauseFunc
	guest     *guest // the connection that it came on; nil where no crowd is
	timer     *time.Timer
	room      atomic.Pointer[string] // the id of the room that it reads or follows, nil for none
	follows   bool                   // guarded by the lock of flights, as are those below
	pages     bool                   // reads a page
	changes   bool                   // changes something
	ended     *failure               // why it has to end
	last      *time.Timer            // closes the connection
}

// farewell is how long a flight that is ended may take to say why. Who does not read would keep it for much longer, and get what is written
// to it by then.
const farewell = time.Second

// stop ends a flight. The lock is held.
func (f *flight) stop(why *failure) {
	f.cancel(why)
	f.ended = why
	f.leave()
}

// leave closes the connection of a flight that has to end, a farewell later. One that changes something is completed before: until then
// it can't say what came of it. The lock is held.
func (f *flight) leave() {
	if f.ended != nil && !f.changes && f.guest != nil && f.last == nil {
		f.last = time.AfterFunc(farewell, func() { f.guest.Conn.Close() }) // not through TLS, whose own farewell waits for who does not read
	}
}

// flights are all requests that are being answered, by user, so that a removal ends them.
type flights struct {
	mu        sync.Mutex
	byUser    map[string]map[*flight]struct{} // by Ed25519 key as hexadecimal digits
	followers int
	changing  int      // that change something
	closed    *failure // why none begins any more
}

// mostInFlight is how many requests of one user are answered at a time, so that nobody takes all connections.
const mostInFlight = 64

func (fs *flights) begin(user string, g *guest, cancel context.CancelCauseFunc) (*flight, *failure) {
	hex, err := v1.UserHex(user)
	if err != nil {
		return nil, fail(v1.CodeToken, errForm.Error())
	}
	f := &flight{user: user, hex: hex, guest: g, cancel: cancel}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed != nil {
		return nil, fs.closed
	}
	if len(fs.byUser[hex]) >= mostInFlight {
		return nil, fail(v1.CodeRate, "you wait for as many answers as one user may: wait for some of them")
	}
	if fs.byUser[hex] == nil {
		fs.byUser[hex] = map[*flight]struct{}{}
	}
	fs.byUser[hex][f] = struct{}{}
	return f, nil
}

func (fs *flights) end(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if delete(fs.byUser[f.hex], f); len(fs.byUser[f.hex]) == 0 {
		delete(fs.byUser, f.hex)
	}
	if f.follows {
		fs.followers--
	}
	if f.last != nil {
		f.last.Stop()
	}
}

// change makes a flight one that changes something, until done is called. It is refused when the flight has to end.
func (fs *flights) change(f *flight) (done func(), refused *failure) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.ended != nil {
		return nil, f.ended
	}
	f.changes = true
	fs.changing++
	return func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		f.changes = false
		fs.changing--
		f.leave()
	}, nil
}

// follow makes a flight one that follows its room, without a bound of time. It is refused when there are as many as there may be.
func (fs *flights) follow(f *flight, l Limits) *failure {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	own := 0
	for other := range fs.byUser[f.hex] {
		if other.follows {
			own++
		}
	}
	if own >= l.FollowersOfUser {
		return fail(v1.CodeRate, "you follow as many rooms as one user may: end another")
	}
	if fs.followers >= l.Followers {
		return fail(v1.CodeUnavailable, "the node has as many followers as it takes: ask another, or try again later")
	}
	fs.followers++
	f.follows = true
	f.timer.Stop()
	return nil
}

// mostPagesOfUser is how many pages one user reads at a time: each takes some MiB of memory until its last byte is sent, and who reads it
// has a minute for that.
const mostPagesOfUser = 4

// page makes a flight one that reads a page. It is refused when its user reads as many as one may.
func (fs *flights) page(f *flight) *failure {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	own := 0
	for other := range fs.byUser[f.hex] {
		if other.pages {
			own++
		}
	}
	if own >= mostPagesOfUser {
		return fail(v1.CodeRate, "you read as many pages of history as one user may: wait for one of them")
	}
	f.pages = true
	return nil
}

// review ends those of a user's flights for which judge gives a reason.
func (fs *flights) review(hex string, judge func(*flight) *failure) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for f := range fs.byUser[hex] {
		if why := judge(f); why != nil {
			f.stop(why)
		}
	}
}

func (fs *flights) endAll(why *failure) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, all := range fs.byUser {
		for f := range all {
			f.stop(why)
		}
	}
}

// close lets none begin any more, and ends those that change nothing.
func (fs *flights) close(why *failure) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.closed = why
	for _, all := range fs.byUser {
		for f := range all {
			if !f.changes {
				f.stop(why)
			}
		}
	}
}

func (fs *flights) isChanging() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.changing > 0
}
