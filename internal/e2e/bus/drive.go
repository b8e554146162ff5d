// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"

	"github.com/unibus/unibus/internal/natstest"
)

// Create returns the arguments of a command that founds the cluster at a place.
func (b *Bus) Create(p *Place) []string {
	return append([]string{"create", "--yes", "--ledger", "quick", "--node", p.Control()}, b.tlsFlags()...)
}

// Grow returns the arguments of a command that grows the cluster to that many members, on the first places.
func (b *Bus) Grow(replicas int) []string {
	args := []string{"grow", "--yes", "--ledger", "quick", "--replicas", fmt.Sprint(replicas)}
	for _, p := range b.Places[:replicas] {
		args = append(args, "--node", p.Control())
	}
	return append(args, b.tlsFlags()...)
}

// Shrink returns the arguments of a command that shrinks the cluster to that many members.
func (b *Bus) Shrink(replicas int) []string {
	return []string{"shrink", "--yes", "--ledger", "quick", "--replicas", fmt.Sprint(replicas)}
}

func (b *Bus) tlsFlags() []string {
	f := b.pki.files(command)
	return []string{"--tls-ca", f.CA, "--tls-cert", f.Cert, "--tls-key", f.Key, "--tls-name", natstest.RouteName}
}
