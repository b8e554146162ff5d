// SPDX-License-Identifier: Apache-2.0

// Package poll waits for what nobody tells of.
package poll

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// Hopeless marks an error that waiting does not mend; nil stays nil.
func Hopeless(err error) error {
	if err == nil {
		return nil
	}
	return hopeless{err}
}

// Until calls try until it succeeds, or fails without hope. When ctx ends, it returns what try said last.
func Until(ctx context.Context, try func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil || errors.As(err, new(hopeless)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
