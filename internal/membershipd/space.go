// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"fmt"

	"github.com/unibus/unibus/internal/embeddednats"
)

const (
	// The margin is a twentieth of the volume, within these bounds: enough to write Raft's logs again.
	smallestMargin = 1 << 20
	largestMargin  = 256 << 20
)

// space is the volume of the store.
type space struct {
	dir    string
	volume func(dir string) (embeddednats.Space, error)
}

func newSpace(dir string) *space { return &space{dir, embeddednats.VolumeSpace} }

// margin is how much must be free before a store that could not be written is used again.
func margin(s embeddednats.Space) int64 {
	return min(max(s.Total/20, smallestMargin), largestMargin)
}

// enough says whether the margin is free, and how much is.
func (s *space) enough() (bool, embeddednats.Space, error) {
	v, err := s.volume(s.dir)
	return err == nil && v.Free >= margin(v), v, err
}

// outOfSpace hands over what a server leads whose store can't be written, and restarts it once there is space. A store error
// with space to spare is treated the same: a restart is the only thing that makes the server write again.
func (s *supervisor) outOfSpace(ctx context.Context, server *embeddednats.Server) {
	_, v, _ := s.store.enough()
	why := fmt.Sprintf("the store in %s can't be written: %v; %d of %d bytes are free and the node goes on at %d: free some, or enlarge the volume",
		s.store.dir, server.StoreError(), v.Free, v.Total, margin(v))
	s.log.Error("the store can't be written", "error", server.StoreError(), "dir", s.store.dir, "free", v.Free, "total", v.Total, "needed", margin(v))
	s.health.restarting(why)
	if !s.repair {
		s.log.Error("self-repair is switched off: the node stays as it is until it is restarted")
		return
	}
	s.metrics.repaired(repairStore)
	if err := s.restart(ctx, why, true); err != nil {
		if ctx.Err() == nil {
			s.log.Error("the restart of the embedded server failed", "error", err)
		}
		return
	}
	s.log.Info("the store can be written again, NATS was restarted")
}
