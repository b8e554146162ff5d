// SPDX-License-Identifier: Apache-2.0

// Package doctor finds out what is wrong between here and a bus, and says it in words with the remedy. Each check rests on those before
// it; what a fault makes meaningless is not looked at.
package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/unibus/unibus/internal/contexts"
)

// Config is what is examined, and how. Link is required.
type Config struct {
	Link contexts.Flags
	// Limit is how long each check may take, 5 s by default.
	Limit time.Duration
	// Waiting is told what is looked at, and called back when that is done.
	Waiting func(what string) (done func())
	// Resolver is the system's by default.
	Resolver *net.Resolver
	// Now is this machine's clock.
	Now func() time.Time
}

const defaultLimit = 5 * time.Second

func (c Config) withDefaults() Config {
	if c.Limit <= 0 {
		c.Limit = defaultLimit
	}
	if c.Waiting == nil {
		c.Waiting = func(string) func() { return func() {} }
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Examine runs all checks that make sense. It fails with the context's error only. Nobody is given the key: what is signed are nonces and a
// token, by the rules of the client library.
func Examine(ctx context.Context, c Config) (Report, error) {
	e := &examination{Config: c.withDefaults()}
	e.run(ctx)
	if ctx.Err() != nil {
		return Report{}, fmt.Errorf("the examination was not finished: %w", context.Cause(ctx))
	}
	ill := func(f Finding) bool { return f.Verdict == Warning || f.Verdict == Fault }
	return Report{Well: !slices.ContainsFunc(e.findings, ill), Findings: e.findings}, nil
}

// examination is one run.
type examination struct {
	Config
	bus      contexts.Context
	user     string // empty as long as the key is not usable
	roots    *x509.CertPool
	servers  []outcome
	apis     []outcome
	api      standing // of the best
	findings []Finding
}

// standing is how far one came with a server or the API.
type standing int

const (
	unknown  standing = iota
	down              // it can't be used, whoever asks
	stranger          // it does not take the key
	taken             // it takes the key
)

// outcome is how far one came with a server or an API, and where the last finding about it is.
type outcome struct {
	standing
	last int
}

func (e *examination) run(ctx context.Context) {
	if !e.check(ctx, "context", "context", e.context) {
		return
	}
	e.check(ctx, "key", e.bus.Key, e.key)
	if e.bus.CA != "" && !e.check(ctx, "ca", e.bus.CA, e.ca) {
		return
	}
	secure := e.secure()
	for _, raw := range e.bus.Servers {
		s := outcome{standing: e.server(ctx, raw, secure)}
		s.last = len(e.findings) - 1
		e.servers = append(e.servers, s)
		if ctx.Err() != nil {
			return
		}
	}
	if e.bus.API != "" {
		for raw := range strings.SplitSeq(e.bus.API, ",") {
			s := outcome{standing: e.lookAtAPI(ctx, strings.TrimSpace(raw))}
			s.last = len(e.findings) - 1
			e.apis, e.api = append(e.apis, s), max(e.api, s.standing)
		}
	}
	e.conclude()
}

// check keeps what a check finds within its limit, and says whether one may go on.
func (e *examination) check(ctx context.Context, code, what string, do func(context.Context) Finding) bool {
	ctx, cancel := context.WithTimeout(ctx, e.Limit)
	defer cancel()
	defer e.Waiting(code + ": " + what)()
	f := do(ctx)
	if f.Code == "" {
		f.Code = code
	}
	if f.What == "" {
		f.What = what
	}
	e.add(f)
	return f.Verdict != Fault
}

func (e *examination) add(f Finding) { e.findings = append(e.findings, f) }

func (e *examination) context(context.Context) Finding {
	bus, name, err := e.Link.Resolve()
	switch {
	case errors.Is(err, contexts.ErrDamaged):
		return fault(ContextDamaged, "do what the message says, or make contexts anew: unibus context add", "%v", err)
	case errors.As(err, new(*fs.PathError)):
		return fault(ContextUnreadable, "make the file readable for you, or name another in "+contexts.EnvFile, "%v", err)
	case err != nil:
		return fault(ContextMissing, "make one: unibus context add NAME --server URL --api URL --ca FILE --key FILE", "%v", err)
	}
	e.bus = bus
	if name == "" {
		return fine("none is used: flags and environment say where the bus is")
	}
	return fine("%s is used", name)
}

func (e *examination) ca(context.Context) Finding {
	const remedy = "get the CA of the nodes from who runs them, as PEM, and name its file: --ca FILE"
	pem, err := os.ReadFile(e.bus.CA)
	if err != nil {
		return fault(CAUnusable, remedy, "the CA of the nodes can't be read: %v", err)
	}
	e.roots = x509.NewCertPool()
	if !e.roots.AppendCertsFromPEM(pem) {
		return fault(CAUnusable, remedy, "the file has no certificate in PEM")
	}
	return fine("nodes are checked by this CA")
}
