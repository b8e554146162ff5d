// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// Formation is a node's life from its disk to a running server. Its methods may be called by several goroutines.
type Formation struct {
	cfg Config
	log *slog.Logger
	// diskID never changes.
	diskID string

	// change is held while anything durable is changed and while it is decided what to do next, so that an order
	// meets the state that it was checked against. It is taken before mu.
	change sync.Mutex
	disk   *disk
	// broken is why the disk could not be read again after a failed write; nothing is started or taken then.
	broken error
	// failed is why the last attempt to start failed.
	failed error

	mu     sync.Mutex
	phase  v1.NodePhase
	reason string
	nonce  string
	// identity and wiping are what is durable. An identity is never changed, only replaced.
	identity *identity
	wiping   bool
	// permit is set by a resume order, and used up by one attempt to start.
	permit bool
	// ready is true once a bootstrap has seen all nodes.
	ready bool
	// runs counts the servers that ran.
	runs int
	// repair is why NATS is being restarted, empty otherwise.
	repair string
	server *embeddednats.Server
	// interrupt ends the attempt to start, or the run, that is under way; nil when there is none.
	interrupt context.CancelCauseFunc
	// changed is closed, and replaced, when any of the above changes.
	changed chan struct{}
}

// Open takes the lock of the store folder, checks what the folder holds, makes a disk id durable if it has none, and
// finishes a wipe-and-join that was begun. It fails with ErrLocked, with ErrRefused for a disk that must not be used, or
// with the error of the file system.
func Open(cfg Config) (*Formation, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("formation: %w", err)
	}
	d, err := openDisk(cfg.StoreDir, durable{step: cfg.step})
	if err != nil {
		return nil, fmt.Errorf("formation: %w", err)
	}
	if err = d.checkConfig(&cfg); err == nil {
		err = d.finishWipe()
	}
	if err != nil {
		_ = d.close() // nothing was written through it
		return nil, fmt.Errorf("formation: %w", err)
	}
	f := &Formation{cfg: cfg, log: cfg.Logger.With("component", "formation", "disk", d.id), diskID: d.id, disk: d,
		phase: v1.NodeStarting, nonce: newNonce(), identity: d.identity, changed: make(chan struct{})}
	f.decide()
	return f, nil
}

// Close gives the store folder up. Run must have returned, or never been called.
func (f *Formation) Close() error { return f.disk.close() }

// newNonce makes what the next order must carry.
func newNonce() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// Server returns the server that runs, nil when none does.
func (f *Formation) Server() *embeddednats.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.server
}

// Status says what the node is at this moment.
func (f *Formation) Status() v1.NodeStatus {
	f.mu.Lock()
	s := v1.NodeStatus{Version: f.cfg.Version, Phase: f.phase, Reason: f.reason, Nonce: f.nonce, DiskID: f.diskID,
		ClusterName: f.cfg.ClusterName, Founding: f.identity.founding(), Journal: f.wiping, RouteURL: f.cfg.RouteURL}
	if i := f.identity; i != nil {
		s.ClusterID, s.ServerName, s.Mark, s.RaftTimers = i.ClusterID, i.ServerName, i.Mark, i.Timers
	}
	srv := f.server
	f.mu.Unlock()

	s.Aside = f.disk.aside()
	if f.cfg.HTTPURL != nil {
		s.HTTPURL = f.cfg.HTTPURL()
	}
	if f.cfg.RouteSecrets != nil {
		s.RouteSecrets = f.cfg.RouteSecrets(s.Nonce)
	}
	if srv == nil {
		s.Alone = s.ServerName != "" && !s.Founding && f.disk.alone(s.ServerName)
		return s
	}
	s.ClientURL, s.Removed = srv.ClientURL(), srv.Removed()
	if s.RouteURL == "" {
		s.RouteURL = srv.RouteURL()
	}
	// What a joiner believes before it was taken in is no view of the group.
	if leader, size, members, ok := srv.Meta(); ok && size < joinerSize {
		s.Meta = &v1.MetaView{Leader: leader, Size: size, Members: members}
	}
	return s
}

// set changes what mu guards, and tells those who wait for a change.
func (f *Formation) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// say sets phase and reason, if they are others.
func (f *Formation) say(phase v1.NodePhase, reason string) {
	f.mu.Lock()
	same := f.phase == phase && f.reason == reason
	f.mu.Unlock()
	if same {
		return
	}
	f.log.Info("node "+string(phase), "reason", reason)
	f.set(func() { f.phase, f.reason = phase, reason })
}

// watch returns a channel that is closed at the next change.
func (f *Formation) watch() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// publish makes what is durable visible. change is held.
func (f *Formation) publish(more func()) {
	f.set(func() {
		f.identity, f.wiping = f.disk.identity, f.disk.journal != nil
		if more != nil {
			more()
		}
	})
}
