// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// caller is who makes a request, and what it is answered with.
type caller struct {
	v1.User
	*flight
	back *Backend
}

// is says whether the text names the caller: by its key or its name.
func (c *caller) is(user string) bool { return user == c.Key || user == c.Name }

// may says whether the caller may do what concerns no room.
func (c *caller) may(a membership.Action, target string) error {
	return membership.Caller{Key: c.Key, Admin: c.Admin}.Check(a, target)
}

type callerKey struct{}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

func errAddressRate() *failure {
	return fail(v1.CodeRate, "too many requests without the token of a user come from your address: try again later")
}

// serveUser answers a request that takes a token.
func (a *API) serveUser(w http.ResponseWriter, r *http.Request, method, route string) {
	user, refused := a.authenticate(r)
	if refused != nil {
		refused.writeTo(w)
		return
	}
	// What is in flight is known before the directory is asked: a removal that the answer leaves out ends it.
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	f, refused := a.flights.begin(user, guestOf(r.Context()), cancel)
	if refused != nil {
		refused.writeTo(w)
		return
	}
	defer a.flights.end(f)
	c, refused := a.admit(f, route)
	if refused != nil {
		refused.writeTo(w)
		return
	}
	defer busy(r.Context())()
	f.timer = time.AfterFunc(a.c.Limits.RequestTimeout, func() {
		cancel(fail(v1.CodeUnavailable, "the answer took too long. If you wanted a change, it may have been made: ask for it again"))
	})
	defer f.timer.Stop()
	if method != http.MethodGet {
		if refused := joinConditions(r.Header); refused != nil {
			refused.writeTo(w)
			return
		}
	}
	r = r.WithContext(context.WithValue(ctx, callerKey{}, c))
	if method == http.MethodPut || method == http.MethodPost {
		if refused := readBody(w, r, a.bodyLimit(method)); refused != nil {
			refused.writeTo(w)
			return
		}
		// That may have taken long, and whoever was an admin before need not be one any more.
		now, refused := a.admit(f, route)
		if refused != nil {
			refused.writeTo(w)
			return
		}
		*c = *now
	}
	a.mux.ServeHTTP(w, r)
}

// joinConditions makes one header of several, and refuses an empty one: who sends it has lost the ETag that a change was to rest on.
func joinConditions(h http.Header) *failure {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if values, there := h[name]; there {
			h.Set(name, strings.TrimSpace(strings.Join(values, ",")))
			if h.Get(name) == "" {
				return fail(v1.CodeMalformed, name+" is empty: give an ETag as it was given, or *, or leave the header away")
			}
		}
	}
	return nil
}

// authenticate finds out which key a request comes from.
func (a *API) authenticate(r *http.Request) (user string, refused *failure) {
	now := a.c.Now()
	id := a.c.Cluster().ID
	if id == "" {
		return "", fail(v1.CodeUnavailable, "the node has not joined a cluster yet: try again later")
	}
	user, err := verifyToken(r.Header.Get("Authorization"), id, a.c.Now)
	_, listed := a.c.Directory.User(user) // anybody can make keys, and sign with them
	if !listed && !a.anyone.take(addressOf(r), now) {
		return "", errAddressRate()
	}
	if err != nil {
		return "", fail(v1.CodeToken, err.Error())
	}
	if listed && !a.users.take(user, now) {
		return "", fail(v1.CodeRate, "you make more requests a second than one user may: try again later")
	}
	return user, nil
}

// admit asks the live directory about who makes a request. An operator, who may write what classes are made of anyway, is an admin of classes.
func (a *API) admit(f *flight, route string) (*caller, *failure) {
	back := a.backend.Load()
	if back == nil || !a.c.Directory.Ready() {
		return nil, errNotReady()
	}
	u, ok := a.c.Directory.User(f.user)
	if !ok && slices.Contains(a.c.Operators, f.user) && (route == v1.PathClasses || strings.HasPrefix(route, v1.PathClasses+"/")) {
		u, ok = v1.User{Key: f.user, Admin: true}, true
	}
	if !ok {
		return nil, fail(v1.CodeToken, errUnlisted.Error())
	}
	return &caller{User: u, flight: f, back: back}, nil
}

// bodyLimit is the most bytes of a body: only messages are sent by POST.
func (a *API) bodyLimit(method string) int64 {
	if method == http.MethodPost {
		return max(a.c.Cluster().MaxPayload, maxBody)
	}
	return maxBody
}

// readBody reads all of a body within its limits, so that no handler waits for one.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) *failure {
	own := w
	if outer, ok := w.(*statusWriter); ok {
		own = outer.ResponseWriter // the server's, which has to know of a body that is too large: it then lets the answer come before it closes the connection
	}
	b, err := io.ReadAll(http.MaxBytesReader(own, r.Body, limit))
	var large *http.MaxBytesError
	var slow net.Error
	switch {
	case errors.As(err, &large):
		return fail(v1.CodeTooLarge, "the body is larger than it may be: send less")
	case errors.As(err, &slow) && slow.Timeout():
		w.Header().Set("Connection", "close")
		return failAs(http.StatusRequestTimeout, v1.CodeMalformed, "the body did not come in time")
	case err != nil:
		return fail(v1.CodeMalformed, "the body can't be read")
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return nil
}

// addressOf is where a request comes from: an IPv4 address, or the network of an IPv6 address, since one machine has all of that.
func addressOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return network(at.Addr())
}

func network(addr netip.Addr) string {
	addr = addr.Unmap()
	if addr.Is4() {
		return addr.String()
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr.String()
	}
	return p.String()
}
