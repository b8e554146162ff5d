// SPDX-License-Identifier: Apache-2.0

package front

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Mode is what a fault does to requests.
type Mode string

// The modes.
const (
	None   Mode = "none"   // ends the fault of the account; without an account, all faults
	Slow   Mode = "slow"   // each request and each batch of watch events comes Latency later
	Reject Mode = "reject" // each new request is answered with Status; open watches go on
	Down   Mode = "down"   // each connection with a request, open watches too, breaks off without an answer
)

// Fault is what is wrong with the API server for a time, as one ServiceAccount sees it.
type Fault struct {
	ServiceAccount string        `json:"serviceAccount,omitempty"` // "namespace/name"; empty means all that comes through the front
	Mode           Mode          `json:"mode"`
	Latency        time.Duration `json:"latency,omitempty"` // of Slow
	Status         int           `json:"status,omitempty"`  // of Reject: 429, 500, or 503, which is also the default
	For            time.Duration `json:"for,omitempty"`     // the fault ends by itself after this time; not of None
}

func (f Fault) check() error {
	switch f.Mode {
	case None:
		return nil
	case Slow:
		if f.Latency <= 0 {
			return fmt.Errorf("fault %s: latency %s: must be more than 0", f.Mode, f.Latency)
		}
	case Reject:
		switch f.Status {
		case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable:
		default:
			return fmt.Errorf("fault %s: status %d: must be 429, 500 or 503", f.Mode, f.Status)
		}
	case Down:
	default:
		return fmt.Errorf("fault %q: must be slow, reject, down or none", f.Mode)
	}
	if f.For <= 0 {
		return fmt.Errorf("fault %s: for %s: must be more than 0, so that it ends by itself", f.Mode, f.For)
	}
	return nil
}

// faults knows what is wrong now, by account, and which requests are open.
type faults struct {
	now func() time.Time

	mu     sync.Mutex
	active map[string]active
	open   map[*request]struct{}
}

type active struct {
	Fault
	until time.Time
}

type request struct {
	account string
	cancel  context.CancelFunc
	line    *line
}

// line is a connection, with the accounts that have sent requests by it: of HTTP/2, clients of several may share it.
type line struct {
	conn     net.Conn
	accounts map[string]struct{}
}

type lineKey struct{}

// withLine tells requests by which connection they came; it is for http.Server.ConnContext.
func withLine(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // what is dead says no goodbye
	}
	return context.WithValue(ctx, lineKey{}, &line{conn, map[string]struct{}{}})
}

func newFaults(now func() time.Time) *faults {
	return &faults{now: now, active: map[string]active{}, open: map[*request]struct{}{}}
}

func (f *faults) set(fault Fault) error {
	if fault.Mode == Reject && fault.Status == 0 {
		fault.Status = http.StatusServiceUnavailable
	}
	if err := fault.check(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case fault.Mode == None && fault.ServiceAccount == "":
		clear(f.active)
	case fault.Mode == None:
		delete(f.active, fault.ServiceAccount)
	default:
		f.active[fault.ServiceAccount] = active{fault, f.now().Add(fault.For)}
	}
	if fault.Mode == Down {
		for r := range f.open {
			if fault.ServiceAccount == "" || r.account == fault.ServiceAccount {
				r.breakOff(fault)
			}
		}
	}
	return nil
}

// of is the fault that an account sees: its own goes before that of all.
func (f *faults) of(account string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.find(account)
}

func (f *faults) find(account string) Fault {
	for _, who := range []string{account, ""} {
		if a, ok := f.active[who]; ok && f.now().Before(a.until) {
			return a.Fault
		}
	}
	return Fault{Mode: None}
}

// breakOff ends a request that a fault hits, with its connection: a client of HTTP/2 would keep that, and not see its server
// go. Where the fault spares others that share the connection, only the request ends. The lock is held.
func (r *request) breakOff(fault Fault) {
	r.cancel()
	if fault.ServiceAccount == "" || len(r.line.accounts) == 1 {
		r.line.conn.Close()
	}
}

// enter counts a request as open until leave is called, and returns the fault that it meets. It misses no Down.
func (f *faults) enter(ctx context.Context, account string) (open context.Context, met Fault, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	r := &request{account, cancel, ctx.Value(lineKey{}).(*line)}
	f.mu.Lock()
	defer f.mu.Unlock()
	r.line.accounts[account] = struct{}{}
	f.open[r] = struct{}{}
	if met = f.find(account); met.Mode == Down {
		r.breakOff(met)
	}
	return ctx, met, func() {
		cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.open, r)
	}
}
