// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type atomicTime struct {
	mu sync.Mutex
	at time.Time
}

func (a *atomicTime) load() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}

func (a *atomicTime) store(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = at
}

// startWriter publishes, each attempt with 250 ms, until the returned function is called, which tells the longest gap.
func startWriter(t *testing.T, js jetstream.JetStream, subject string, last *atomicTime) func() time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var longest time.Duration
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			attempt, done := context.WithTimeout(ctx, 250*time.Millisecond)
			_, err := js.Publish(attempt, subject, fmt.Append(nil, i))
			done()
			if err != nil {
				continue
			}
			now := time.Now()
			if before := last.load(); !before.IsZero() {
				longest = max(longest, now.Sub(before))
			}
			last.store(now)
			select { // so many at a time that the leader's log is not compacted for their number
			case <-ctx.Done():
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	stop := sync.OnceValue(func() time.Duration { cancel(); wg.Wait(); return longest })
	t.Cleanup(func() { stop() })
	return stop
}
