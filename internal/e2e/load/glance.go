// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Glance reads a whole bucket once, as every watcher does: through a consumer that the server puts on any replica. It returns
// what was acknowledged before the reading and is not in it. A replica may lag, so a miss is not a loss.
func (l *Ledger) Glance(ctx context.Context, nc *nats.Conn, s Stream) ([]Miss, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream context: %w", err)
	}
	kv, err := js.KeyValue(ctx, strings.TrimPrefix(s.Name, bucketPrefix))
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", s.Name, err)
	}
	r := reading{found: map[uint64]string{}}
	entries := l.entries(s.Name, 1)
	r.at = time.Now()
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", s.Name, err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("watch %s: %w", s.Name, ctx.Err())
		case e, open := <-w.Updates():
			if !open {
				return nil, fmt.Errorf("watch %s: ended early", s.Name)
			}
			if e == nil { // all that was there at the beginning
				return r.misses(s, "any replica", entries), nil
			}
			r.found[e.Revision()] = e.Key()
		}
	}
}
