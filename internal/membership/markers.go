// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// markerAge is how long a directory must have known of a removal before its marker may be purged. It is far above watchLife, so that
	// no watch is left that has shown the key and not the marker.
	markerAge = time.Hour
	// watchLife is how long a watch may be without a proof before it is made anew. What it shows after that is not believed any more.
	watchLife = 10 * time.Minute
	// pressedParts of wholeParts of a bucket are filled before markers are purged: each purge makes every directory read the bucket anew.
	pressedParts = 4
)

// marker is a removal that a directory knows of, and the revision at which it saw it.
type marker struct {
	key      string
	revision uint64
}

// markers are the removals in a bucket that have been known for markerAge, those of classes left out: see class.After.
func (d *Directory) markers(bucket string) (list []marker) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := d.c.Now()
	for _, b := range d.buckets {
		for key, k := range b.keys {
			_, isClass := v1.ParseClassKey(key)
			if b.name == bucket && !isClass && !k.gone.IsZero() && now.Sub(k.gone) > markerAge {
				list = append(list, marker{key, k.revision})
			}
		}
	}
	return list
}

// PurgeMarkers purges what removals have left behind in buckets that are half full or more: markers that the directory has known for
// an hour. It does so until the context ends, which is no error, and returns how many it purged. What a crash left of a user's removal
// is finished before its marker goes, since the marker has the name. It fails with ErrUnavailable.
//
// Each marker goes by its own subject and up to its own revision: a record that was put in its place is not touched.
func (s *Store) PurgeMarkers(ctx context.Context, d *Directory) (int, error) {
	var purged atomic.Int64
	var err error
	for _, bucket := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		list := d.markers(bucket)
		if len(list) == 0 || err != nil {
			continue
		}
		var info *jetstream.StreamInfo
		if info, err = s.info(ctx, bucket); err == nil && filled(info, pressedParts) {
			err = abreast(list, func(m marker) error {
				done, err := s.purge(ctx, d, bucket, m)
				if done {
					purged.Add(1)
				}
				return err
			})
		}
	}
	if ctx.Err() != nil {
		err = nil
	}
	return int(purged.Load()), err
}

// purge purges one marker, unless the leader has something else there.
func (s *Store) purge(ctx context.Context, d *Directory, bucket string, m marker) (bool, error) {
	if strings.ContainsAny(m.key, "*>") { // as a filter it would be many keys
		return false, nil
	}
	e, err := s.get(ctx, bucket, m.key)
	if err != nil || e.live || e.revision != m.revision {
		return false, err
	}
	if hex, ok := v1.ParseUserKey(m.key); ok && bucket == v1.BucketUsers {
		if err := s.finishRemoval(ctx, string(e.value), hex, d.CountRoomsOf(hex) > 0); err != nil {
			return false, err
		}
	}
	stream, err := s.js.Stream(ctx, streamOf(bucket))
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subjectOf(bucket, m.key)), jetstream.WithPurgeSequence(m.revision+1))
	}
	if err != nil {
		return false, fmt.Errorf("%w: purge the marker of %s in %s: %w", ErrUnavailable, m.key, bucket, err)
	}
	return true, nil
}
