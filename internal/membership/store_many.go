// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// width is how much is done at a time where there is much to do: the price of each is the way to the leader and the quorum.
const width = 32

// abreast does something for each of many, some at a time, and returns one of the errors: an error ends what would come after it.
func abreast[T any](many []T, do func(T) error) error {
	errs := make([]error, width)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(many) && errs[w] == nil; i += width {
				errs[w] = do(many[i])
			}
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// page reads records whose keys match a filter, in the order of keys: the first limit of those after a key. next is what the
// following page begins after, empty on the last.
func page[T any](ctx context.Context, s *Store, bucket, filter, after string, limit int) (list []Record[T], next string, err error) {
	keys, err := s.keys(ctx, bucket, filter)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > v1.MaxPage {
		limit = v1.MaxPage
	}
	i, found := slices.BinarySearch(keys, after)
	if found {
		i++
	}
	for keys = keys[i:]; len(keys) > 0 && len(list) < limit; {
		n := min(len(keys), limit-len(list))
		some, err := loadAll[T](ctx, s, bucket, keys[:n])
		if err != nil {
			return nil, "", err
		}
		list, keys = append(list, some...), keys[n:]
	}
	if len(keys) > 0 {
		next = list[limit-1].key
	}
	return list, next, nil
}

// loadAll reads records, and leaves out those that are not there.
func loadAll[T any](ctx context.Context, s *Store, bucket string, keys []string) ([]Record[T], error) {
	all := make([]*Record[T], len(keys))
	for i, key := range keys {
		all[i] = &Record[T]{key: key}
	}
	err := abreast(all, func(to *Record[T]) error {
		r, err := load[T](ctx, s, bucket, to.key)
		if err == nil {
			*to = r
		} else if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]Record[T], 0, len(all))
	for _, r := range all {
		if r.Revision > 0 {
			list = append(list, *r)
		}
	}
	return list, nil
}

// keys are those of a bucket that match a filter, those that were removed included, sorted, as the leader knows them.
func (s *Store) keys(ctx context.Context, bucket, filter string) ([]string, error) {
	return s.keysUpTo(ctx, bucket, filter, 0)
}

// keysUpTo is keys as a leader knows them that has a revision, and so all before it.
func (s *Store) keysUpTo(ctx context.Context, bucket, filter string, revision uint64) ([]string, error) {
	info, err := s.info(ctx, bucket, jetstream.WithSubjectFilter(subjectOf(bucket, filter)))
	if err != nil {
		return nil, err
	}
	if info.State.LastSeq < revision {
		return nil, fmt.Errorf("%w: whoever answers for bucket %s does not know revision %d", ErrUnavailable, bucket, revision)
	}
	keys := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subject, subjectOf(bucket, "")))
	}
	slices.Sort(keys)
	return keys, nil
}

// removeAll removes what is live of the keys that match a filter, as long as allowed says so, asked after each record was read and
// before it is removed.
func (s *Store) removeAll(ctx context.Context, filter string, allowed func() (bool, error)) error {
	keys, err := s.keys(ctx, v1.BucketMembers, filter)
	if err != nil {
		return err
	}
	return abreast(keys, func(key string) error {
		e, err := s.get(ctx, v1.BucketMembers, key)
		if err != nil || !e.live {
			return err
		}
		if ok, err := allowed(); err != nil || !ok {
			return err
		}
		return s.del(ctx, v1.BucketMembers, key, "", e.revision)
	})
}
