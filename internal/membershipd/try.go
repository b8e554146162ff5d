// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/unibus/unibus/internal/trial"
)

// try runs a node for trying out as run does, and says how to talk on it once there is somebody who can. A node that can't be furnished
// is no use and is stopped.
func (n *node) try(ctx context.Context, t *trial.Trial, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	folder, _ := filepath.Split(os.Args[0]) // both programs are built into one folder, or found by PATH
	var furnishing sync.WaitGroup
	furnishing.Go(func() {
		lines, err := t.Furnish(ctx, n.apiURL, folder+"unibus", func() string { return n.formation.Status().ClientURL })
		if err == nil {
			err = t.Tell(out, lines)
		}
		if err != nil {
			cancel(err)
		}
	})
	err := n.run(ctx)
	cancel(nil)
	furnishing.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}
