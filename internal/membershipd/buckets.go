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
)

const (
	// An attempt that nobody hears waits for all of its time: short ones settle soon after the meta group does.
	firstAttempt, lastAttempt = 100 * time.Millisecond, 250 * time.Millisecond
	// settleLimit is how long the meta group may take to settle.
	settleLimit = 120 * time.Second
	// bucketShare of the store's limit is what each bucket may hold, within the bounds.
	bucketShare                   = 20
	smallestBucket, largestBucket = 64 << 10, 256 << 20
	// mostReplicas is what JetStream allows.
	mostReplicas = 5
)

// bucketBytes is the limit of a bucket for a store's limit: together the buckets get less than a sixth, and they reserve it, so
// that a full bus still takes changes of membership.
func bucketBytes(store int64) int64 {
	return min(max(store/bucketShare, smallestBucket), largestBucket)
}

// openBuckets opens the membership buckets and makes those that are absent, with as many replicas as the meta group has members
// at that moment. It never changes one that is there. It gives up after settleLimit.
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
		if err := openBucket(limited, server, js, name); err != nil {
			return fmt.Errorf("bucket %s was not opened: %w", name, err)
		}
	}
	return nil
}

// openBucket tries until the bucket is open or the context ends; then it returns the last attempt's error.
func openBucket(ctx context.Context, server *embeddednats.Server, js jetstream.JetStream, name string) error {
	var last error
	for attempt := firstAttempt; ; attempt = min(attempt+50*time.Millisecond, lastAttempt) {
		began := time.Now()
		if ok, reason := server.MetaHealthy(); !ok {
			last = errors.New(reason)
		} else if last = tryBucket(ctx, server, js, name, attempt); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last attempt: %w", ctx.Err(), last)
		case <-time.After(attempt - time.Since(began)): // one that failed at once must not be repeated at once
		}
	}
}

func tryBucket(ctx context.Context, server *embeddednats.Server, js jetstream.JetStream, name string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := js.KeyValue(ctx, name)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return err
	}
	_, size, _, ok := server.Meta()
	if !ok {
		return errors.New("the meta group's size is not known")
	}
	store := server.Unwrap().JetStreamConfig()
	if store == nil {
		return errors.New("JetStream is off")
	}
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: min(size, mostReplicas),
		MaxBytes: bucketBytes(store.MaxStore), Storage: jetstream.FileStorage})
	if errors.Is(err, jetstream.ErrBucketExists) {
		return fmt.Errorf("another node made it: %w", err) // the next attempt opens it
	}
	return err
}
