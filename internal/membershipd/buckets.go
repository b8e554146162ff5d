// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
)

const (
	// An attempt that nobody hears waits for all of its time: short ones settle soon after the meta group does.
	firstAttempt, lastAttempt = 100 * time.Millisecond, 250 * time.Millisecond
	// settleLimit is how long the meta group may take to settle.
	settleLimit = 120 * time.Second
	// bucketShare of the store's limit is what each bucket may hold, within the bounds.
	bucketShare = 20
	// auditShare of it is what the audit may.
	auditShare                    = 100
	smallestBucket, largestBucket = 64 << 10, 256 << 20
	// mostReplicas is what JetStream allows.
	mostReplicas = 5
)

// bucketBytes is the limit of a bucket for a store's limit: together the buckets and the audit get less than a sixth, and they reserve it,
// so that a full bus still takes changes of membership.
func bucketBytes(store int64) int64 {
	return min(max(store/bucketShare, smallestBucket), largestBucket)
}

func auditBytes(store int64) int64 { return min(max(store/auditShare, smallestBucket), largestBucket) }

// openBuckets opens the membership buckets and the audit, and makes those that are absent, with as many replicas as the meta group has
// members at that moment. It never changes one that is there. It gives up after settleLimit.
func openBuckets(ctx context.Context, server *embeddednats.Server) error {
	nc, err := server.InProcess(embeddednats.AccountMembership)
	if err != nil {
		return fmt.Errorf("connect to account %s: %w", embeddednats.AccountMembership, err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("connect to JetStream of account %s: %w", embeddednats.AccountMembership, err)
	}
	limited, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for _, name := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		if err := insist(limited, server, func(ctx context.Context) error { return tryBucket(ctx, server, js, name) }); err != nil {
			return fmt.Errorf("bucket %s was not opened: %w", name, err)
		}
	}
	if err := insist(limited, server, func(ctx context.Context) error { return tryAudit(ctx, server, js) }); err != nil {
		return fmt.Errorf("stream %s was not opened: %w", v1.StreamAudit, err)
	}
	return nil
}

// insist tries until it has worked or the context ends; then it returns the last attempt's error.
func insist(ctx context.Context, server *embeddednats.Server, try func(context.Context) error) error {
	var last error
	for attempt := firstAttempt; ; attempt = min(attempt+50*time.Millisecond, lastAttempt) {
		began := time.Now()
		if ok, reason := server.MetaHealthy(); !ok {
			last = errors.New(reason)
		} else if last = within(ctx, attempt, try); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last attempt: %w", ctx.Err(), last)
		case <-time.After(attempt - time.Since(began)): // one that failed at once must not be repeated at once
		}
	}
}

func within(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return try(ctx)
}

func tryBucket(ctx context.Context, server *embeddednats.Server, js jetstream.JetStream, name string) error {
	_, err := js.KeyValue(ctx, name)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return err
	}
	replicas, store, err := measure(server)
	if err != nil {
		return err
	}
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: replicas,
		MaxBytes: bucketBytes(store), Storage: jetstream.FileStorage})
	if errors.Is(err, jetstream.ErrBucketExists) {
		return fmt.Errorf("another node made it: %w", err) // the next attempt opens it
	}
	return err
}

func tryAudit(ctx context.Context, server *embeddednats.Server, js jetstream.JetStream) error {
	_, err := js.Stream(ctx, v1.StreamAudit)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	replicas, store, err := measure(server)
	if err != nil {
		return err
	}
	_, err = js.CreateStream(ctx, membership.AuditStream(replicas, auditBytes(store)))
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("another node made it: %w", err)
	}
	return err
}

// measure says how many replicas something new is to have, and how much the store may hold.
func measure(server *embeddednats.Server) (replicas int, store int64, err error) {
	_, size, _, ok := server.Meta()
	if !ok {
		return 0, 0, errors.New("the meta group's size is not known")
	}
	c := server.Unwrap().JetStreamConfig()
	if c == nil {
		return 0, 0, errors.New("JetStream is off")
	}
	return min(size, mostReplicas), c.MaxStore, nil
}
