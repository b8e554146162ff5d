// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrStore means that the server could not write its store. What it could not write is not there:
// streams stay stuck after space is freed, or JetStream is off, until the server is started again.
var ErrStore = errors.New("the store can't be written")

// storeState is the first sign of a store that can't be written.
type storeState struct {
	mu     sync.Mutex
	err    error
	failed chan struct{}
}

// StoreError is the first sign that the server can no longer write its store (ErrStore), nil while all
// is well. It stays until the server is stopped: only a new start brings its streams back.
// A store at its own limit is no error; that one heals by itself.
func (s *Server) StoreError() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.store.err
}

// StoreFailed is closed once StoreError is not nil.
func (s *Server) StoreFailed() <-chan struct{} { return s.store.failed }

func (s *Server) storeFails(why string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.err != nil || s.stopping.Load() {
		return
	}
	s.store.err = fmt.Errorf("%w: %s", ErrStore, why)
	close(s.store.failed)
	s.log.Error("the store can't be written; free space on its volume, or repair it", "folder", s.cfg.StoreDir, "why", why)
}

// What nats-server says, at the level of a warning or worse, when a write has failed.
var storeComplaints = []string{
	"no space left",
	"JetStream out of ",             // "resources", "File resources", "space"
	"Critical write error",          // of a Raft log
	"permission denied while",       // "writing", "flushing"
	"JetStream failed to store a ",  // "msg": not for limits, which are debug messages
	"stream write error",            // of healthz
	"meta layer write error",        // of healthz
	"input/output error",            // EIO
	"read-only file system",         // EROFS
	"disk quota exceeded",           // EDQUOT
	"permission denied when flushi", // "stream state"
}

const removedComplaint = "our server was removed from the cluster"

// listen hears every warning and error of the server. It must not call the server, which may hold a lock.
func (s *Server) listen(message string) {
	if strings.Contains(message, removedComplaint) {
		s.removed.Store(true)
		return
	}
	if complains(message) {
		s.storeFails(message)
	}
}

func complains(message string) bool {
	for _, c := range storeComplaints {
		if strings.Contains(message, c) {
			return true
		}
	}
	return false
}

// watchStore notices what was not said aloud, until the server stops.
func (s *Server) watchStore() {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.store.failed:
			return
		case <-tick.C:
		}
		if !s.ns.JetStreamEnabled() {
			if !s.Removed() && !s.stopping.Load() {
				s.storeFails("JetStream has switched itself off")
			}
			continue
		}
		for _, e := range s.ns.Healthz(&server.HealthzOptions{Details: true}).Errors {
			if complains(e.Error) || strings.Contains(e.Error, "write error") {
				s.storeFails(e.Error)
			}
		}
	}
}
