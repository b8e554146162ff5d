// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// follower sends a room's messages as events. Of a room that keeps history it sends all, in order: what its log leaves out, because it was lost
// on the way or because who reads is slow, is read from the history. So no more than a buffer is held for anybody.
type follower struct {
	api    *API
	caller *caller
	room   v1.Room
	next   func(context.Context) (m v1.Message, before uint64, err error)
	stop   func()
	first  []v1.Message // of the history, to be sent first
	more   bool
	seen   uint64 // all up to this sequence was sent, or was not wanted
	w      http.ResponseWriter
	rc     *http.ResponseController
}

// eventTimeout is how long a client may take to read a piece of what is sent, and eventPiece how many bytes that is: so a message that is large
// gets to who is slow, too, and who reads nothing is gone soon.
const eventTimeout, eventPiece = 10 * time.Second, 16 << 10

// begin listens, and then reads the first page: so nothing comes between.
func (f *follower) begin(ctx context.Context, q v1.HistoryRequest) error {
	ctx, cancel := context.WithTimeout(ctx, f.api.c.Limits.RequestTimeout)
	defer cancel()
	var err error
	f.next, f.stop, err = f.caller.back.Rooms.Listen(ctx, f.room, f.api.c.Limits.Buffer)
	if err != nil || f.room.Class == "" {
		return err
	}
	q.Limit = 0
	now := q.From == 0 && q.Since == nil && q.Last == 0
	if now {
		q.Last = 1 // which is not sent, but says where the room is
	}
	list, end, err := f.api.history(ctx, f.caller, f.room, q)
	if err != nil {
		f.stop()
		return err
	}
	if f.seen = end.Next - 1; end.Next == 0 {
		f.seen = 0
	}
	if !now {
		f.first, f.more = list, end.More
	}
	return nil
}

// run sends events until the request, or what allows it, ends.
func (f *follower) run(ctx context.Context, w http.ResponseWriter) {
	f.w, f.rc = w, http.NewResponseController(w)
	_ = f.rc.SetReadDeadline(time.Time{}) // it fails where there is none
	w.Header().Set("Content-Type", contentEvents)
	w.Header().Set("X-Accel-Buffering", "no") // said to proxies that would hold events back
	w.WriteHeader(http.StatusOK)
	err := f.send(ctx)
	if errors.Is(err, errGone) {
		return
	}
	if p := problemOf(ctx, err); p != nil {
		if body, err := json.Marshal(p.Problem); err == nil {
			_ = f.write("event: problem\ndata: %s\n\n", body)
		}
	}
}

// errGone says that nobody reads.
var errGone = errors.New("the client is gone")

func (f *follower) write(format string, args ...any) error {
	for piece := range slices.Chunk(fmt.Appendf(nil, format, args...), eventPiece) {
		_ = f.rc.SetWriteDeadline(time.Now().Add(eventTimeout))
		if _, err := f.w.Write(piece); err != nil {
			return errors.Join(errGone, err)
		}
	}
	if err := f.rc.Flush(); err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}

func (f *follower) send(ctx context.Context) error {
	begin := ": following\n\n"
	if f.room.Class != "" {
		before := f.seen
		if len(f.first) > 0 {
			before = f.first[0].Sequence - 1
		}
		// An id alone is no event, but what a client comes back with that is cut off before the first one.
		begin += fmt.Sprintf("id: %d\n\n", before)
	}
	if err := f.write("%s", begin); err != nil {
		return err
	}
	for _, m := range f.first {
		if err := f.event(ctx, m); err != nil {
			return err
		}
	}
	f.first = nil
	if f.more {
		if err := f.catchUp(ctx, 0); err != nil {
			return err
		}
	}
	for {
		if err := f.hear(ctx); err != nil {
			return err
		}
		if err := f.beat(ctx); err != nil {
			return err
		}
	}
}

// hear sends what is heard until it is time for a beat.
func (f *follower) hear(ctx context.Context) error {
	due, cancel := context.WithTimeout(ctx, f.api.c.Limits.Heartbeat)
	defer cancel()
	for {
		m, before, err := f.next(due)
		if errors.Is(err, context.DeadlineExceeded) {
			return ctx.Err()
		}
		if err == nil {
			err = f.take(ctx, m, before)
		}
		if err != nil {
			return err
		}
	}
}

// take sends what was heard, after what it leaves out.
func (f *follower) take(ctx context.Context, m v1.Message, before uint64) error {
	if f.room.Class == "" {
		return f.event(ctx, m)
	}
	if before > f.seen && m.Sequence > f.seen {
		if err := f.catchUp(ctx, before); err != nil {
			return err
		}
	}
	if m.Sequence <= f.seen {
		return nil
	}
	return f.event(ctx, m)
}

// beat shows that the connection stands, and looks for what was lost on the way when nothing has come since.
func (f *follower) beat(ctx context.Context) error {
	if err := f.write(":\n\n"); err != nil || f.room.Class == "" {
		return err
	}
	err := f.catchUp(ctx, 0)
	if err != nil && ctx.Err() == nil && problemOf(ctx, err).Code == v1.CodeUnavailable {
		return nil // the next one may be luckier
	}
	return err
}

// catchUp sends what the history has after what was seen, and is at least up to a sequence of the room.
func (f *follower) catchUp(ctx context.Context, atLeast uint64) error {
	for {
		list, end, err := f.api.history(ctx, f.caller, f.room, v1.HistoryRequest{From: f.seen + 1, AtLeast: atLeast})
		if err != nil {
			return err
		}
		for _, m := range list {
			if err := f.event(ctx, m); err != nil {
				return err
			}
		}
		f.seen = max(f.seen, end.Next-min(end.Next, 1))
		if !end.More {
			return nil
		}
	}
}

// event sends a message, unless the caller has been removed since it was heard or read.
func (f *follower) event(ctx context.Context, m v1.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if m.Sequence == 0 {
		return f.write("data: %s\n\n", body)
	}
	f.seen = max(f.seen, m.Sequence)
	return f.write("id: %d\ndata: %s\n\n", m.Sequence, body)
}
