// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// misses is how often in a row a watch may have shown another number of subjects than there are. Once is no wonder: a key that was
// written again before the watch came to it is shown at its new place only.
const misses = 3

// errPurged is what a watch comes to that has shown keys whose removal was purged since.
var errPurged = errors.New("keys have been purged")

// proof is what a watch must have shown for everything up to a heartbeat to be seen.
type proof struct {
	sent     instant // of the heartbeat
	last     uint64  // sequence of the bucket, as its leader knows it, no lower than the heartbeat's
	subjects int     // up to there; the heartbeat is one of them, of those that a watch shows as well
	done     chan error
}

// prove makes one proof after the other, until the context ends or the watch fails.
func (b *bucket) prove(ctx context.Context, js jetstream.JetStream, life *time.Timer) error {
	for missed := 0; ctx.Err() == nil; {
		p, created, err := b.ask(ctx, js)
		if err != nil {
			if js.Conn().IsClosed() {
				return err
			}
			if ctx.Err() == nil {
				b.blame(err)
			}
			wait(ctx, pause)
			continue
		}
		if b.remade(created, p.last) {
			return errRemade
		}
		next := b.d.c.Heartbeat
		if err := b.await(ctx, p); err == nil {
			missed = 0
			life.Reset(b.d.life)
		} else if missed++; missed == misses || b.lags(p) {
			return err
		} else {
			next = pause
		}
		wait(ctx, next)
	}
	return ctx.Err()
}

// beat writes a heartbeat, by which others know that there is this node to wait for, and returns its sequence once a quorum has it.
func (b *bucket) beat(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	ack, err := js.Publish(ctx, subjectOf(b.name, v1.HeartbeatKey), []byte(b.d.name), jetstream.WithExpectStream(streamOf(b.name)))
	if err != nil {
		return 0, fmt.Errorf("no quorum has acknowledged a heartbeat: %w", err)
	}
	return ack.Sequence, nil
}

// ask sends a heartbeat, and asks the leader what is in the bucket.
func (b *bucket) ask(ctx context.Context, js jetstream.JetStream) (*proof, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, max(b.d.c.Heartbeat, time.Second))
	defer cancel()
	p := &proof{sent: b.d.clock(), done: make(chan error, 1)}
	sequence, err := b.beat(ctx, js)
	if err != nil {
		return nil, time.Time{}, err
	}
	stream, err := js.Stream(ctx, streamOf(b.name))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("ask the leader: %w", err)
	}
	info := stream.CachedInfo()
	if p.last, p.subjects = info.State.LastSeq, int(info.State.NumSubjects); leaderless(info) || p.last < sequence {
		return nil, time.Time{}, errors.New("the answer is not of the leader: it does not know the heartbeat, or knows no leader")
	}
	return p, info.Created, nil
}

// await waits until the watch has passed a proof. It fails when the watch has shown another number of subjects, or stands still.
func (b *bucket) await(ctx context.Context, p *proof) error {
	var at uint64
	b.do(func(n *news) {
		b.pending = p
		b.judge(n)
		at = b.last
	})
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.done:
			return err
		case <-time.After(b.d.c.Patience):
		}
		b.d.mu.Lock()
		stands := b.last == at || b.whole // what is being loaded may take its time
		at = b.last
		b.d.mu.Unlock()
		if stands {
			return fmt.Errorf("the watch stands at sequence %d and not at %d, which was acknowledged more than %v ago", at, p.last, b.d.c.Patience)
		}
	}
}

// lags says whether the watch has not come to the proof yet.
func (b *bucket) lags(p *proof) bool {
	b.d.mu.RLock()
	defer b.d.mu.RUnlock()
	return b.pending == p
}

// judge decides the pending proof if the watch has passed it. The lock is held.
func (b *bucket) judge(n *news) {
	p := b.pending
	if p == nil || b.last < p.last {
		return
	}
	b.pending = nil
	if have := b.shown(p.last); have > p.subjects {
		p.done <- fmt.Errorf("%w: the watch has shown %d keys up to sequence %d, where there are %d", errPurged, have, p.last, p.subjects)
		return
	} else if have < p.subjects {
		p.done <- fmt.Errorf("the watch has shown %d keys up to sequence %d, where there are %d", have, p.last, p.subjects)
		return
	}
	if !b.whole {
		b.sweep(n)
	}
	b.whole, b.loaded, b.floor, b.reason, n.proven = true, true, p.last, "", p
}
