// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"context"
	"crypto/tls"
	"errors"
	"runtime"
	"sync"
	"time"
)

// gateWait is how long a client stands in line. Clients' libraries give a connection up after two seconds and more, and what is done for who has
// given up is done in vain.
const gateWait = time.Second

// ErrCrowd is why a client is turned away that would have to wait for longer. It is to try again.
var ErrCrowd = errors.New("too many at once")

// gate has clients stand in line for what takes a processor in a handshake, to agree on a key. When thousands come back at once, as after a node's
// death, handshakes that are all done together end too late for every one of them, so that all begin anew, for ever; and the node's own work, which is
// to see that it is not cut off, waits behind them.
type gate struct {
	places  chan struct{}
	wait    time.Duration
	refused *refusals
}

// newGate lets in one client for each processor.
func newGate(refused *refusals) gate {
	return gate{make(chan struct{}, runtime.GOMAXPROCS(0)), gateWait, refused}
}

// guard returns a configuration whose handshakes pass the gate. It needs c's GetCertificate, which is asked for once the key is agreed on: nothing is
// awaited from a client before that, so that none can hold a place.
func (g gate) guard(c *tls.Config) *tls.Config {
	outer := c.Clone()
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		limit := time.NewTimer(g.wait)
		defer limit.Stop()
		select {
		case g.places <- struct{}{}:
		case <-limit.C:
			g.refused.add(ErrCrowd)
			return nil, ErrCrowd
		}
		leave := sync.OnceFunc(func() { <-g.places })
		context.AfterFunc(hello.Context(), leave) // for a handshake that fails before
		inner := c.Clone()
		inner.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			leave()
			return c.GetCertificate(hello)
		}
		return inner, nil
	}
	return outer
}
