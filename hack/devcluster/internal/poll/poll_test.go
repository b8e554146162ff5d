// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

var errWrong = errors.New("wrong")

func TestUntil(t *testing.T) {
	tries := 0
	err := Until(t.Context(), func() error {
		if tries++; tries < 3 {
			return errWrong
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("got %v after %d tries", err, tries)
	}
	// What is without hope ends it, wrapped or not.
	tries = 0
	err = Until(t.Context(), func() error {
		tries++
		return fmt.Errorf("a part: %w", Hopeless(errWrong))
	})
	if !errors.Is(err, errWrong) || tries != 1 {
		t.Errorf("got %v after %d tries, want one", err, tries)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Until(ended, func() error { return errWrong }); !errors.Is(err, errWrong) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want why it ended and what was said last", err)
	}
	if Hopeless(nil) != nil {
		t.Error("no error became one")
	}
}
