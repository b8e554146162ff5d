// SPDX-License-Identifier: Apache-2.0

package benchmark

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/unibus/unibus/api/client"
)

// Kind is what is measured.
type Kind string

// Kinds.
const (
	// Publish has all clients speak.
	Publish Kind = "publish"
	// Hear has one more client speak, and all others hear it.
	Hear Kind = "hear"
	// History has all clients read what the room keeps, from its beginning on and again.
	History Kind = "history"
	// Request has one more client answer, and all others ask it.
	Request Kind = "request"
)

// Seats is how many connections a kind takes.
func (k Kind) Seats(clients int) int {
	if k == Hear || k == Request {
		return clients + 1
	}
	return clients
}

// Config says what is done.
type Config struct {
	// Seats are connections of one user, each with the room. Kind.Seats says how many.
	Seats []Seat
	// Messages and Duration end it, whichever comes first; zero is no end.
	Messages uint64
	Duration time.Duration
	// Size is that of a message's body in bytes.
	Size int
	// Pending is how many messages of a client may be on their way: to be acknowledged or, of Hear, to be heard. With 1 each is waited for.
	Pending int
	// Patience is how long one answer may take.
	Patience time.Duration
	// Tell is told now and again how far it has come.
	Tell func(text string)
}

// Seat is a connection, and the room by it.
type Seat struct {
	Client *client.Client
	Room   *client.Room
}

// IDPrefix begins the ids of all messages that are kept of a benchmark.
const IDPrefix = "bench-"

const (
	// grace is how long what is on its way may take when no more is begun, and quiet for how long nothing must be heard until what is not
	// heard counts as lost.
	grace, quiet = 10 * time.Second, 3 * time.Second
	// ratePause is for how long a client says nothing that was told that it says too much.
	ratePause = 100 * time.Millisecond
	tellEvery = 2 * time.Second
)

// ErrNothing says that there is nothing in the room that could be read.
var ErrNothing = errors.New("the room keeps nothing yet")

// run is a benchmark that runs.
type run struct {
	Config
	ctx     context.Context // ends when no more is to be begun
	work    context.Context // ends some time later, for what is on its way
	fail    context.CancelCauseFunc
	prefix  string // of the ids of messages
	body    []byte
	epoch   time.Time // the times in ids count from it
	claimed atomic.Uint64
	rated   atomic.Bool
}

// Run measures until it is over or the context ends, and returns what there is until then, also beside an error. It fails with ErrNothing, with
// the errors of the client library that would come again, and with the context's.
func Run(ctx context.Context, kind Kind, c Config) ([]Result, error) {
	failing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &run{Config: c, ctx: failing, fail: fail, prefix: IDPrefix + rand.Text() + "-", body: make([]byte, c.Size), epoch: time.Now()}
	_, _ = rand.Read(r.body) // it never fails; nothing on the way can make it smaller
	if c.Duration > 0 {
		var cancel context.CancelFunc
		r.ctx, cancel = context.WithTimeout(failing, c.Duration)
		defer cancel()
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r.work = work
	defer context.AfterFunc(r.ctx, func() { // what is measured by then is over, or is not waited for any longer
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(work, func() { t.Stop() })
	})()
	do := map[Kind]func() []*tally{Publish: r.publish, Hear: r.hear, History: r.history, Request: r.request}[kind]
	var results []Result
	for _, t := range do() {
		results = append(results, t.result())
	}
	if failing.Err() != nil {
		return results, context.Cause(failing)
	}
	return results, nil
}

// claim takes up to so many of the messages that are left. There are none when it is over.
func (r *run) claim(most uint64) (first, n uint64) {
	if r.rated.Swap(false) {
		r.breathe()
	}
	for r.ctx.Err() == nil {
		was := r.claimed.Load()
		if n = most; r.Messages > 0 {
			n = min(most, r.Messages-was)
		}
		if r.claimed.CompareAndSwap(was, was+n) {
			return was + 1, n
		}
	}
	return 0, 0
}

func (r *run) breathe() {
	select {
	case <-r.ctx.Done():
	case <-time.After(ratePause):
	}
}

// id is that of a message of that number: it bears when the message was sent.
func (r *run) id(number uint64) string {
	return r.prefix + strconv.FormatUint(number, 10) + "-" + strconv.FormatInt(time.Since(r.epoch).Nanoseconds(), 10)
}

// mine is the reverse of id. ok is false for what others say.
func (r *run) mine(id string) (number uint64, sent time.Time, ok bool) {
	rest, found := strings.CutPrefix(id, r.prefix)
	digits, at, split := strings.Cut(rest, "-")
	number, err := strconv.ParseUint(digits, 10, 64)
	since, bad := strconv.ParseInt(at, 10, 64)
	return number, r.epoch.Add(time.Duration(since)), found && split && err == nil && bad == nil
}
