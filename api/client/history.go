// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// mostPageBytes is more than a page has.
	mostPageBytes = 2 * v1.MaxPageBytes
	// mostEnd is the longest end of a page in bytes.
	mostEnd = 4 << 10
)

// History reads a page of the room's history, and returns where the next one begins. It asks again while no node can answer, until the
// context ends. It fails with ErrNotKept, ErrForbidden, ErrInvalid, ErrRemoved, ErrBadServer, ErrClosed and the context's error.
func (r *Room) History(ctx context.Context, q v1.HistoryRequest) (messages []Message, end v1.HistoryAnswer, err error) {
	if !r.Kept() {
		return nil, end, fmt.Errorf("history of room %s: %w: publish and subscribe from now on only", r.Name, ErrNotKept)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, end, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	err = r.c.again(ctx, "history of room "+r.Name, func(ctx context.Context) error {
		messages, end, err = r.page(ctx, body, max(q.From, 1)-1)
		return err
	})
	return messages, end, err
}

// page asks once for what comes after a sequence.
func (r *Room) page(ctx context.Context, body []byte, last uint64) (messages []Message, end v1.HistoryAnswer, err error) {
	inbox := r.c.nc.NewInbox()
	in, err := r.c.listen(inbox, "", v1.MaxPage+1, 0)
	if err != nil {
		return nil, end, err
	}
	defer in.close()
	if err := sendError(r.c.nc.PublishRequest(v1.HistorySubject(r.c.user, r.ID), inbox, body)); err != nil {
		return nil, end, err
	}
	turn, size := r.c.turn(), 0
	for {
		m, err := in.next(ctx, time.Time{})
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errDropped):
			return nil, end, fmt.Errorf("%w: a page did not come whole", ErrUnavailable)
		case errors.Is(err, errNobody):
			return nil, end, fmt.Errorf("%w: no node reads histories now", ErrUnavailable)
		case err != nil:
			return nil, end, err
		case m == nil && r.c.turn() != turn:
			return nil, end, fmt.Errorf("%w: the connection was lost before a page came", ErrUnavailable)
		case m == nil:
			continue
		case len(m.Header[v1.HeaderEnd]) > 0:
			end, err = readEnd(m, len(messages))
			return messages, end, err
		}
		k, ok := kept(m, v1.HeaderSequence, v1.HeaderTime)
		if size += len(m.Data); !ok || k.Sequence <= last || len(messages) == v1.MaxPage || size > mostPageBytes {
			return nil, end, fmt.Errorf("%w: a page of history is none", ErrBadServer)
		}
		last = k.Sequence
		messages = append(messages, k)
	}
}

// readEnd reads the last message of a page, of which that many came.
func readEnd(m *nats.Msg, came int) (end v1.HistoryAnswer, err error) {
	text := first(m, v1.HeaderEnd)
	if err := json.Unmarshal([]byte(text), &end); err != nil || len(text) > mostEnd || end.More && came == 0 && end.Error == nil {
		return v1.HistoryAnswer{}, fmt.Errorf("%w: the end of a page can't be read", ErrBadServer)
	}
	if end.Error == nil && end.Messages != came {
		return end, fmt.Errorf("%w: a page did not come whole", ErrUnavailable)
	}
	return end, answered(end.Error)
}
