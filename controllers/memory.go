// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/steering"
)

// memory is what is known of a cluster from pass to pass. It saves work and nothing else: an operator that has just started has none.
type memory struct {
	uid types.UID
	// applied tells, by object, what was applied and what the object was then; see applyObjects.
	applied map[string]string
	// refused are the claims that could not grow, by UID.
	refused map[types.UID]refused
	quiet   steering.Quiet
	// control and admin are connections, made with the credentials that secret tells apart.
	secret  string
	control *steering.Control
	access  steering.Access
	admin   *jsadmin.Admin
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
	return nil
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
	m.control, m.admin = nil, nil
}

func (m *memory) close() {
	if m != nil {
		m.hangUp()
	}
}
