// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// endpoints answers questions about the node's health.
type endpoints struct {
	health *health
	status func() v1.NodeStatus
	server func() *embeddednats.Server

	// safe holds who is being answered about a safe restart. They are answered one at a time: each takes several looks at the whole cluster.
	safe chan struct{}
}

func newEndpoints(h *health, status func() v1.NodeStatus, server func() *embeddednats.Server) *endpoints {
	return &endpoints{health: h, status: status, server: server, safe: make(chan struct{}, 1)}
}

// handler serves health and metrics.
func (e *endpoints) handler(m *metrics) http.Handler {
	mux := http.NewServeMux()
	for path, check := range map[string]func(context.Context) (bool, string){
		"GET /livez":           func(context.Context) (bool, string) { return e.health.livez() },
		"GET /healthz":         func(context.Context) (bool, string) { return e.inPhase(e.health.healthz) },
		"GET /readyz":          func(context.Context) (bool, string) { return e.inPhase(e.health.readyz) },
		"GET /safe-to-restart": e.safeToRestart,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			ok, reason := check(r.Context())
			e.answer(w, ok, reason)
		})
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry}))
	return mux
}

// inPhase puts the phase's reason in place of health's while NATS does not run: it says what to do.
func (e *endpoints) inPhase(check func() (bool, string)) (bool, string) {
	ok, reason := check()
	if s := e.status(); !ok && s.Phase != v1.NodeRunning && s.Reason != "" {
		reason = s.Reason
	}
	return ok, reason
}

func (e *endpoints) answer(w http.ResponseWriter, ok bool, reason string) {
	s := e.status()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// It fails only when the client is gone.
	_ = json.NewEncoder(w).Encode(Answer{OK: ok, Reason: reason, Server: s.ServerName, Phase: string(s.Phase)})
}

// safeToRestart asks both witnesses several times: each is right most of the time, and wrong at the wrong moment.
func (e *endpoints) safeToRestart(ctx context.Context) (bool, string) {
	select {
	case e.safe <- struct{}{}:
		defer func() { <-e.safe }()
	case <-ctx.Done():
		return false, "the question was given up before those that were asked earlier were answered"
	}
	if ok, reason := e.health.healthz(); !ok {
		return e.inPhase(func() (bool, string) { return false, reason })
	}
	server := e.server()
	if server == nil {
		return false, "NATS does not run on this node"
	}
	if ok, reason := server.SafeToRestart(ctx); !ok { // it takes several looks by itself
		return false, reason
	}
	if ok, reason := e.health.healthz(); !ok {
		return e.inPhase(func() (bool, string) { return false, reason })
	}
	return true, ""
}
