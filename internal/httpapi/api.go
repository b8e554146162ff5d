// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// Config is what the API needs. Cluster and Directory are required.
type Config struct {
	// Cluster says what GET /v1/cluster answers; its ID is empty as long as the node has no identity, and then no token is good.
	Cluster func() v1.Cluster
	// Directory is who may do what now.
	Directory *membership.Directory
	// Operators are public nkeys that may read and write history classes, and nothing else: an operator is no user.
	Operators []string
	// Logger discards by default.
	Logger *slog.Logger
	// Now is time.Now by default. Deadlines of connections go by the clock of the machine.
	Now func() time.Time
	// Answered is told of each request that was answered: method and route are of the few that there are, whatever was asked for.
	Answered func(method, route string, status int)
	Limits   Limits
}

// Limits bound what callers may take. Zero fields mean the defaults.
type Limits struct {
	// Connections is how many may be open, 1024 by default. When there is one more, the one that has waited longest for a request
	// that proves who sends it is closed, of the address that has most of those.
	Connections int
	// Followers is how many requests may follow rooms, 256 by default, and FollowersOfUser how many of one user, 16 by default.
	Followers, FollowersOfUser int
	// UserRate is how many requests a second one user may make, with bursts of twice as many, 50 by default. A read of what is not there costs the
	// buckets a write, to be sure of it, so that this bounds these writes as well.
	UserRate float64
	// AddressRate is how many requests a second without the good token of a user are answered to one address (IPv6: one /64), with bursts
	// of four times as many, 50 by default. Those with one are never refused for it: many users may come from one address.
	AddressRate float64
	// HeaderTimeout is how long the header of a request may take to come, 5 s by default, and ReadTimeout header and body together,
	// 10 s by default.
	HeaderTimeout, ReadTimeout time.Duration
	// RequestTimeout is how long answering may take, 10 s by default. A request that follows a room has no such bound.
	RequestTimeout time.Duration
	// Heartbeat is the time between two looks of a follower at what it may have missed, 5 s by default.
	Heartbeat time.Duration
	// Buffer is how many messages may wait for a follower that reads slowly, 1024 by default.
	Buffer int
}

func (l Limits) withDefaults() Limits {
	l.Connections, l.Followers, l.FollowersOfUser = cmp.Or(l.Connections, 1024), cmp.Or(l.Followers, 256), cmp.Or(l.FollowersOfUser, 16)
	l.UserRate, l.AddressRate = cmp.Or(l.UserRate, 50), cmp.Or(l.AddressRate, 50)
	l.HeaderTimeout, l.ReadTimeout = cmp.Or(l.HeaderTimeout, 5*time.Second), cmp.Or(l.ReadTimeout, 10*time.Second)
	l.RequestTimeout, l.Heartbeat = cmp.Or(l.RequestTimeout, 10*time.Second), cmp.Or(l.Heartbeat, 5*time.Second)
	l.Buffer = cmp.Or(l.Buffer, 1024)
	return l
}

const (
	// maxHeader is the most bytes of a request's header, maxBody of its body where that is no message.
	maxHeader, maxBody = 16 << 10, 64 << 10
	// writeTimeout is how long a client may take to read an answer, idleTimeout how long it may be silent between two requests.
	writeTimeout, idleTimeout = time.Minute, time.Minute
)

// Backend is what the API does its work with while the node's NATS runs.
type Backend struct {
	Store *membership.Store
	Audit *membership.AuditLog
	Rooms Rooms
	// Fits says whether there is space for a class. It fails with membership.ErrLimit.
	Fits func(v1.Class) error
}

// API answers requests. Make it with New.
type API struct {
	c       Config
	log     *slog.Logger
	mux     *http.ServeMux
	huma    huma.API
	written func() // see writeDescription
	backend atomic.Pointer[Backend]
	crowd   atomic.Pointer[crowd]
	flights flights
	users   *rates
	anyone  *rates
	pages   *places
	// attempts is mostAttempts but for tests.
	attempts int
	late     chan v1.AuditEntry // that could not be written yet
	lacking  atomic.Int64       // how many the audit lacks
}

// New returns an API that refuses all with code "unavailable" until it has a Backend. It fails when a required field is missing.
func New(c Config) (*API, error) {
	if c.Cluster == nil || c.Directory == nil {
		return nil, errors.New("httpapi: Config needs Cluster and Directory")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Answered == nil {
		c.Answered = func(string, string, int) {}
	}
	c.Limits = c.Limits.withDefaults()
	a := &API{c: c, log: c.Logger, mux: http.NewServeMux(), pages: newPlaces(), attempts: mostAttempts, late: make(chan v1.AuditEntry, mostLate),
		flights: flights{byUser: map[string]map[*flight]struct{}{}},
		users:   newRates(c.Limits.UserRate, 2), anyone: newRates(c.Limits.AddressRate, 4)}
	a.written = sync.OnceFunc(a.writeDescription)
	a.describe()
	return a, nil
}

// Serve gives the API what it works with, until the returned function is called: then all that is in flight ends.
func (a *API) Serve(b Backend) (stop func()) {
	a.backend.Store(&b)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { a.writeLate(ctx, b.Audit) })
	return func() {
		defer wg.Wait()
		defer cancel()
		a.backend.CompareAndSwap(&b, nil)
		a.flights.endAll(errStops())
	}
}

// Finish is called once, before the node stops and while what the API works with runs: it takes no request of users any more, ends those that
// change nothing, and waits for the others and for what the audit lacks, until the context ends.
func (a *API) Finish(ctx context.Context) {
	a.flights.close(errStops())
	await(ctx, func() bool { return !a.flights.isChanging() && (a.lacking.Load() == 0 || a.backend.Load() == nil) })
	if n := a.lacking.Load(); n > 0 {
		a.log.Error("entries are not in the audit, which could not be written before the node stops: see above", "entries", n)
	}
}

// Changed ends what is in flight of users who are no longer on the allowlist, and what reads or follows a room for who has left it. Users are
// Ed25519 keys as hexadecimal digits. Call it after the directory knows.
func (a *API) Changed(users []string) {
	for _, hex := range users {
		a.flights.review(hex, func(f *flight) *failure {
			if !a.c.Directory.IsListed(hex) {
				return fail(v1.CodeToken, errUnlisted.Error())
			}
			if room := f.room.Load(); room != nil {
				if _, _, in := a.c.Directory.Role(f.user, *room); !in {
					return fail(v1.CodeNotFound, notFound)
				}
			}
			return nil
		})
	}
}

// DropUsers ends all that is in flight, on a node that can't know any more who was removed.
func (a *API) DropUsers() { a.flights.endAll(errNotReady()) }

// Server returns a server of the API. Its listener must be one of Listener.
func (a *API) Server() *http.Server {
	return &http.Server{Handler: a, ReadHeaderTimeout: a.c.Limits.HeaderTimeout, ReadTimeout: a.c.Limits.ReadTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ConnContext: connContext,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
}

// Listener bounds the connections of a listener. There is one for an API.
func (a *API) Listener(l net.Listener) net.Listener {
	c := newCrowd(l, a.c.Limits.Connections)
	a.crowd.Store(c)
	return c
}

// Counts is what is open.
type Counts struct{ Connections, Followers int }

// Counts says what is open now.
func (a *API) Counts() Counts {
	c := Counts{}
	if crowd := a.crowd.Load(); crowd != nil {
		crowd.mu.Lock()
		c.Connections = crowd.all
		crowd.mu.Unlock()
	}
	a.flights.mu.Lock()
	c.Followers = a.flights.followers
	a.flights.mu.Unlock()
	return c
}

func errStops() *failure {
	return fail(v1.CodeUnavailable, "the node stops: ask another, and begin after the last message that you have")
}

func errNotReady() *failure {
	return fail(v1.CodeUnavailable, "the node does not know all users now: try again, or ask another node")
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	h, pattern := a.mux.Handler(r)
	if path.Clean(r.URL.Path) != r.URL.Path {
		h, pattern = http.NotFoundHandler(), "" // the router would redirect
	}
	method, route, _ := strings.Cut(pattern, " ")
	if pattern == "" {
		method, route = "other", "other"
	}
	defer func() { a.c.Answered(method, route, s.status) }()
	defer a.recovered(s, method, route)
	s.Header().Set("Cache-Control", "no-store")
	s.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case pattern == "":
		a.nowhere(h, s, r)
	case isPublic(route):
		if !a.anyone.take(addressOf(r), a.c.Now()) {
			errAddressRate().writeTo(s)
			return
		}
		if strings.HasPrefix(route, pathOpenAPI) {
			a.written()
		}
		a.mux.ServeHTTP(s, r)
	default:
		a.serveUser(s, r, method, route)
	}
}

// nowhere answers what no route takes, by what the router would: there is no such path, or not with that method.
func (a *API) nowhere(h http.Handler, w http.ResponseWriter, r *http.Request) {
	probe := &statusWriter{ResponseWriter: discard{http.Header{}}}
	h.ServeHTTP(probe, r)
	if allow := probe.Header().Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		failAs(http.StatusMethodNotAllowed, v1.CodeMalformed, "the path takes "+allow+" only").writeTo(w)
		return
	}
	fail(v1.CodeNotFound, notFound).writeTo(w)
}

// discard takes an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// statusWriter remembers the status, and whether an answer has begun.
type statusWriter struct {
	http.ResponseWriter
	status int
	begun  bool
}

// WriteHeader implements http.ResponseWriter.
func (s *statusWriter) WriteHeader(status int) {
	s.status, s.begun = status, true
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *statusWriter) Write(b []byte) (int, error) {
	s.begun = true
	return s.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
