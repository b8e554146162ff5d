// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/types"

	bus "github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/steering"
)

// memory is what is known of a cluster from pass to pass. It saves work and nothing else: an operator that has just started has none.
type memory struct {
	uid types.UID
	// applied tells, by object, what was applied and what the object was then; see applyObjects.
	applied map[string]string
	// refused is what was asked for in vain, by the UID of a claim or the name of a history class.
	refused map[string]refused
	quiet   steering.Quiet
	// waiting is for what the replacement of a CA or of the password waits, by its name.
	waiting map[string]waiting
	// missing is since when places have been seen to have no pod that are to have one.
	missing map[int]time.Time
	// failing is since when every pass has ended with an error, zero when the last one did not.
	failing time.Time
	// control and admin are connections, made with the credentials that secret tells apart.
	secret  string
	control *steering.Control
	access  steering.Access
	admin   *jsadmin.Admin
	// api is the HTTP API, apis are the addresses of nodes that have it, and dial reaches them.
	api  *bus.API
	apis []string
	dial steering.Dial
}

// waiting is what is waited for, and since when it has been that.
type waiting struct {
	what  string
	since time.Time
}

// enter has connections made with credentials, new ones only when those are others than before.
func (m *memory) enter(a *credentials, dial steering.Dial) error {
	if m.control != nil && m.secret == a.fingerprint() {
		return nil
	}
	control, clients, err := a.tls()
	if err != nil {
		return err
	}
	m.hangUp()
	m.secret, m.control = a.fingerprint(), steering.NewControl(control, dial)
	m.access = steering.Access{Key: a.operator, TLS: clients, Dial: dial}
	if m.dial = dial; dial == nil {
		m.dial = new(net.Dialer).DialContext
	}
	m.api, err = bus.NewAPI(bus.Options{API: fmt.Sprintf("https://%s:%d", a.service, manifests.APIPort()), Key: a.operator, CAs: clients.RootCAs, Dial: m.dialAPI})
	return err
}

// administer returns an Admin that knows how nodes are reached.
func (m *memory) administer(ctx context.Context, urls, names []string) (*jsadmin.Admin, error) {
	if m.admin == nil {
		admin, err := m.access.Connect(ctx, urls, names)
		if err != nil {
			return nil, err
		}
		m.admin = admin
	}
	m.admin.Know(urls, names)
	return m.admin, nil
}

func (m *memory) hangUp() {
	if m.control != nil {
		m.control.Close()
	}
	if m.admin != nil {
		m.admin.Close()
	}
	if m.api != nil {
		m.api.Close()
	}
	m.control, m.admin, m.api = nil, nil, nil
}

func (m *memory) close() {
	if m != nil {
		m.hangUp()
	}
}
