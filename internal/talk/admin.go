// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
)

// attempts is how often a change is tried that somebody else's change came between.
const attempts = 3

// change makes a change by the HTTP API and prints what is there then. Where do reads before it writes, it is done anew when somebody else
// has written in between.
func change[T any](s *session, c columns[T], what string, do func(context.Context, *client.API) (T, error)) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	var v T
	for n := 0; n < attempts; n++ {
		err = s.within(what, func(ctx context.Context) (err error) {
			v, err = do(ctx, api)
			return err
		})
		if !errors.Is(err, client.ErrConflict) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return one(s.out, s.output, c, v)
}

// anew says in words for people that what was to be made is there. That comes as a failed condition; it is not tried again.
func anew(err error, remedy string) error {
	if errors.Is(err, client.ErrConflict) {
		return errors.New("it is there already; " + remedy)
	}
	return err
}

// removing shows what is to be removed, asks, and removes it unless it was changed meanwhile.
func removing(s *session, what string, read func(context.Context, *client.API) (question string, tag client.ETag, err error),
	remove func(context.Context, *client.API, client.ETag) error) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	var question string
	var tag client.ETag
	err = s.within(what, func(ctx context.Context) (err error) {
		question, tag, err = read(ctx, api)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := s.confirm(question); err != nil {
		return err
	}
	if err := s.within(what, func(ctx context.Context) error { return remove(ctx, api, tag) }); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(s.notice, "%s is removed\n", what)
	return nil
}

// lister is a command that prints things.
func lister[T any](o *options, columns columns[T], c *cobra.Command, read func(context.Context, *client.API, []string) iter.Seq2[T, error]) *cobra.Command {
	c.RunE = run(o, func(s *session, args []string) error {
		api, err := s.api()
		if err != nil {
			return err
		}
		var all []T
		err = s.within("the list", func(ctx context.Context) error {
			for v, err := range read(ctx, api, args) {
				if err != nil {
					return err
				}
				all = append(all, v)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return list(s.out, s.output, columns, all)
	})
	return c
}

// shower is a command that prints one thing.
func shower[T any](o *options, columns columns[T], c *cobra.Command, read func(context.Context, *client.API, []string) (T, error)) *cobra.Command {
	c.RunE = run(o, func(s *session, args []string) error {
		return change(s, columns, c.Parent().Name()+" "+args[0], func(ctx context.Context, api *client.API) (T, error) { return read(ctx, api, args) })
	})
	return c
}
