// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"fmt"
	"io"

	"github.com/unibus/unibus/internal/console"
)

// readAll reads standard input to its end, or so many bytes of it. An interrupt ends that, though not the read itself, which nothing can end: it is
// left to the end of the program.
func readAll(ctx context.Context, in io.Reader, most int64) (text []byte, err error) {
	done := make(chan struct{})
	var read []byte
	var failed error
	go func() {
		defer close(done)
		read, failed = io.ReadAll(io.LimitReader(in, most))
	}()
	select {
	case <-ctx.Done():
		return nil, console.Failf(console.ExitInterrupted, "interrupted while standard input was read; nothing was done")
	case <-done:
	}
	if failed != nil {
		clear(read) // it may be a seed
		return nil, fmt.Errorf("read standard input: %w", failed)
	}
	return read, nil
}
