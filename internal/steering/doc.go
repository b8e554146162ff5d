// SPDX-License-Identifier: Apache-2.0

// Package steering is what all who drive package scaling have in common, on whatever kind of machines nodes run: how nodes are asked
// and given orders, what is seen of JetStream, and how steps within JetStream are carried out.
package steering

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// accounts are those that may have streams.
var accounts = []string{"MEMBERSHIP", "HISTORY"}

// Accounts returns the accounts that may have streams.
func Accounts() []string { return slices.Clone(accounts) }

// Login returns how an operator connects to an account. It fails for a key without a public half.
func Login(operator nkeys.KeyPair) (func(account string) []nats.Option, error) {
	public, err := operator.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("public half of the operator key: %w", err)
	}
	return func(account string) []nats.Option {
		// The account travels as the user name beside the key.
		return []nats.Option{nats.Nkey(public, operator.Sign), nats.UserInfo(account, "")}
	}, nil
}

// Access is how an operator enters a cluster whose nodes speak TLS.
type Access struct {
	Key nkeys.KeyPair
	TLS *tls.Config
	// Dial opens connections. Nil means the system.
	Dial Dial
}

// Connect returns an Admin once one of the nodes answers; see jsadmin.Connect.
func (a Access) Connect(ctx context.Context, urls, names []string) (*jsadmin.Admin, error) {
	login, err := Login(a.Key)
	if err != nil {
		return nil, err
	}
	return jsadmin.Connect(ctx, jsadmin.Options{URLs: urls, Names: names, Accounts: Accounts(), Connect: func(account string) []nats.Option {
		options := append(login(account), nats.Secure(a.TLS.Clone()))
		if a.Dial != nil {
			options = append(options, nats.SetCustomDialer(dialer{a.Dial}))
		}
		return options
	}})
}

// dialer is a Dial as the NATS client takes it, for as long as a node may take to answer at all.
type dialer struct{ dial Dial }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), StatusLimit)
	defer cancel()
	return d.dial(ctx, network, address)
}

// Identify puts their names in place of the ids by which nodes tell of members that they have not met since their start. The record, which may be nil,
// knows all names.
func Identify(nodes []*v1.NodeStatus, record *scaling.Record) {
	if record == nil {
		return
	}
	names := make(map[string]string, len(record.Names))
	for name := range record.Names {
		names[jsadmin.PeerID(name)] = name
	}
	for _, n := range nodes {
		if n == nil || n.Meta == nil {
			continue
		}
		for i, m := range n.Meta.Members {
			n.Meta.Members[i] = cmp.Or(names[m], m)
		}
	}
}

// Node is a node's word as scaling reads it, nil for one that does not answer or is about to end.
func Node(s *v1.NodeStatus) *scaling.Node {
	if s == nil || s.Phase == v1.NodeStopping {
		return nil
	}
	n := &scaling.Node{
		Running: s.Phase == v1.NodeRunning, Waiting: s.Phase == v1.NodeWaiting, DiskID: s.DiskID, ClusterID: s.ClusterID, Name: s.ServerName,
		Mark: s.Mark, Nonce: s.Nonce, Journal: s.Journal, Aside: s.Aside, Off: s.Removed, Alone: s.Alone, RouteURL: s.RouteURL,
	}
	if s.Meta != nil {
		n.Members = s.Meta.Members
	}
	return n
}

// ErrOld is returned for a step that was decided on what was seen too long ago. Observing again helps.
var ErrOld = errors.New("what it was decided on is too old")

// longestLook is how long one look may take: many streams without a leader take long. What was seen is still far from the age at which
// scaling takes no step to be under way any more.
const longestLook = scaling.ActionLife / 4

// Fresh fails with ErrOld for what was seen, from began to ended, longer ago than a step may take: whoever was suspended meanwhile, or
// got no processor, would act on what has long changed. Nothing tells so but the time: nobody needs to have written since.
func Fresh(began, ended, now time.Time) error {
	if took := passed(began, ended); took > longestLook {
		return fmt.Errorf("%w: one look took %.0f s, more than %v; see which node or network is slow, and delete what streams are not needed",
			ErrOld, took.Seconds(), longestLook)
	}
	if age := passed(ended, now); age > scaling.ActionDeadline {
		return fmt.Errorf("%w: it was seen %.1f s ago", ErrOld, age.Seconds())
	}
	return nil
}

// passed is the time between two, the longer one of the clocks': the monotonic one stands still while the machine sleeps, the other one
// may be set.
func passed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}
