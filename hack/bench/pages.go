// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// each lets so many do the same again and again for a while, and returns how much all of them have done in a second.
func each(ctx context.Context, d time.Duration, count int, do func(ctx context.Context) (int, error)) (float64, error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	var failed error
	total, begin := 0, time.Now()
	for range count {
		group.Go(func() {
			for time.Since(begin) < d {
				n, err := do(ctx)
				mu.Lock()
				total, failed = total+n, errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return float64(total) / time.Since(begin).Seconds(), failed
}

// pages lets so many read the history from its beginning, page after page, and begin anew at its end.
func (h *historian) pages(count int) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		places := make(chan uint64, count)
		for range count {
			places <- 0
		}
		return each(ctx, sample, count, func(ctx context.Context) (int, error) {
			n, next, err := h.page(ctx, <-places)
			places <- next
			return n, err
		})
	}
}

// page reads one, and returns where the next begins, 0 after the last.
func (h *historian) page(ctx context.Context, from uint64) (n int, next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	inbox := h.user.NewInbox()
	sub, err := h.user.SubscribeSync(inbox)
	if err != nil {
		return 0, 0, err
	}
	defer sub.Unsubscribe()
	body, err := json.Marshal(v1.HistoryRequest{From: from})
	if err != nil {
		return 0, 0, err
	}
	if err := h.user.PublishRequest(v1.HistorySubject(h.who.key, roomID(appender)), inbox, body); err != nil {
		return 0, 0, err
	}
	for ; ; n++ {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return n, 0, fmt.Errorf("message %d of a page: %w", n+1, err)
		}
		end := m.Header.Get(v1.HeaderEnd)
		if end == "" {
			continue
		}
		var a v1.HistoryAnswer
		switch err := json.Unmarshal([]byte(end), &a); {
		case err != nil:
			return n, 0, err
		case a.Error != nil:
			return n, 0, fmt.Errorf("a page: %w", a.Error)
		case n != a.Messages || n == 0:
			return n, 0, fmt.Errorf("%d messages of a page of %d came", n, a.Messages)
		case !a.More:
			return n, 0, nil
		}
		return n, a.Next, nil
	}
}

// fetches lets so many read the raw stream from its beginning, each by a consumer of its own, in batches as long as pages.
func (h *historian) fetches(count int) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		idle := make(chan *cursor, count)
		for range count {
			idle <- &cursor{node: h.raw.ConnectedServerName()}
		}
		return each(ctx, sample, count, func(ctx context.Context) (int, error) {
			c := <-idle
			defer func() { idle <- c }()
			return c.fetch(ctx, h.rawJS)
		})
	}
}

// cursor is a consumer and what it has not read yet.
type cursor struct {
	node     string // where the client is
	consumer jetstream.Consumer
	left     uint64
}

func (c *cursor) fetch(ctx context.Context, js jetstream.JetStream) (n int, err error) {
	if c.left == 0 {
		c.consumer, err = consumerOn(ctx, js, rawStream, c.node)
		if err != nil {
			return 0, err
		}
		c.left = c.consumer.CachedInfo().NumPending
	}
	batch, err := c.consumer.Fetch(int(min(v1.MaxPage, c.left)), jetstream.FetchMaxWait(5*time.Second))
	if err != nil {
		return 0, err
	}
	for range batch.Messages() {
		n++
	}
	if batch.Error() == nil && n == 0 {
		return 0, fmt.Errorf("%w: a fetch of a stream with %d more messages brought none", errGivenUp, c.left)
	}
	c.left -= min(c.left, uint64(n))
	return n, batch.Error()
}
