// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"log/slog"
	"slices"
	"sync"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/daemonconfig"
)

// routeSecrets are the secrets of routes as their files have them now: each route that is taken has them read, so that one can replace the
// other while nodes run. What a server shows to others is what was there at its start, since nats-server can't learn of another one without
// ending its routes; so that is accepted for as long as it runs, whatever the files have. Files that can't be used leave in force what they
// last had.
type routeSecrets struct {
	read func() (daemonconfig.RouteSecrets, error)
	log  *slog.Logger

	mu   sync.Mutex
	good daemonconfig.RouteSecrets
	// problem is why the files can't be used, empty while they can.
	problem string
	// dialled is what the server that was started last shows to others, empty while there is none.
	dialled string
}

// newRouteSecrets reads the secrets, and fails when they can't be used. It returns nil when there are none.
func newRouteSecrets(read func() (daemonconfig.RouteSecrets, error), log *slog.Logger) (*routeSecrets, error) {
	good, err := read()
	if err != nil || good.Dial == "" {
		return nil, err
	}
	return &routeSecrets{read: read, log: log, good: good}, nil
}

// now reads the files. mu is held.
func (r *routeSecrets) now() daemonconfig.RouteSecrets {
	next, err := r.read()
	if err != nil {
		if r.problem != err.Error() {
			r.log.Warn("the files of route secrets can't be used, what they last had stays in force", "error", err)
		}
		r.problem = err.Error()
		return r.good
	}
	if r.problem != "" || next != r.good {
		r.log.Info("route secrets read anew", "another_is_accepted", next.Also != "")
	}
	r.problem, r.good = "", next
	return next
}

// dial is what a server that starts now shows to others.
func (r *routeSecrets) dial() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialled = r.now().Dial
	return r.dialled
}

// stopped says that no server runs.
func (r *routeSecrets) stopped() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialled = ""
}

// accepted are all that others may show now.
func (r *routeSecrets) accepted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepts(r.now())
}

func (r *routeSecrets) accepts(now daemonconfig.RouteSecrets) (all []string) {
	for _, secret := range []string{r.dialled, now.Dial, now.Also} {
		if secret != "" && !slices.Contains(all, secret) {
			all = append(all, secret)
		}
	}
	return all
}

// usable says whether the files can be used as they are. It reads them.
func (r *routeSecrets) usable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now()
	return r.problem == ""
}

// marks tells what is in use to those who know it.
func (r *routeSecrets) marks(nonce string) *v1.RouteSecrets {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	out := &v1.RouteSecrets{Dials: v1.SecretMark(now.Dial, nonce), Next: v1.SecretMark(now.Dial, nonce)}
	if r.dialled != "" {
		out.Dials = v1.SecretMark(r.dialled, nonce)
	}
	for _, secret := range r.accepts(now) {
		out.Accepts = append(out.Accepts, v1.SecretMark(secret, nonce))
	}
	return out
}
