// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/unibus/unibus/internal/console"
)

// result is what a change ends with, for programs.
type result struct {
	Plan   plan       `json:"plan"`
	Status statusView `json:"status"`
	Ledger *verdict   `json:"ledger,omitempty"`
}

// change shows the plan to what wished makes of the inventory, asks, writes the wish down and carries it out, with a ledger before
// and after. Another change that was stopped half way is simply given up: what is wished is what was wished last.
func (s *session) change(ctx context.Context, question string, wished func(*inventory) error) error {
	wish := func(inv *inventory) error {
		inv.Stopped = false // its nodes are needed
		return wished(inv)
	}
	inv, err := s.folder.inventory()
	if err != nil {
		return err
	}
	planned := inv.clone()
	if err := wish(&planned); err != nil {
		return err
	}
	o, err := s.observeWith(ctx, planned)
	if err != nil {
		return err
	}
	if err := checkNodes(o, inv.TLS); err != nil {
		return err
	}
	if planned.startsNodes() {
		if _, err := s.launcher.find(); err != nil {
			return err
		}
	}
	p := planFor(o)
	s.show(p)
	if len(p.Steps) == 0 && p.person {
		return console.Failf(console.ExitPerson, "a person is needed: %s\n  what to do: %s", p.Blocked, p.Remedy)
	}
	if len(p.Steps) > 0 && question != "" && !s.opts.yes {
		if err := console.Confirm(ctx, s.in, s.notice, question); err != nil {
			return err
		}
	}
	if o.Meta == nil && o.record.Record != nil && question != "" {
		// It was stopped, or has just been started: as it is there is nobody to read a ledger from, and nothing to compare with.
		s.say.line("no leader answers: the cluster is started as it was, to read what it holds")
		if _, err := s.folder.update(ctx, func(inv *inventory) error { inv.Stopped = false; return nil }); err != nil {
			return err
		}
		if o, err = s.drive(ctx, s.opts.timeout); err != nil {
			return err
		}
	}
	before, unread := s.read(ctx, o, "before")
	if ctx.Err() != nil {
		return console.Failf(console.ExitInterrupted, "interrupted; nothing was changed")
	}
	if unread != nil && o.Meta != nil && s.opts.ledger != ledgerNone {
		s.say.line("without it nothing will tell whether something was lost meanwhile")
	}
	if _, err := s.folder.update(ctx, wish); err != nil {
		return err
	}
	end, err := s.drive(ctx, s.opts.timeout)
	if err != nil {
		return err
	}
	r := result{Plan: p, Status: view(end)}
	after, missing := s.read(ctx, end, "after")
	switch {
	case s.opts.ledger == ledgerNone:
		return s.finish(r)
	case unread == nil && missing == nil:
		v := judge(before, after)
		r.Ledger = &v
		return s.finish(r)
	}
	return errors.Join(s.finish(r), s.uncompared(ctx, o, unread, missing, question))
}

// uncompared returns the error of a change that is done, but has no verdict.
func (s *session) uncompared(ctx context.Context, o observation, before, after error, question string) error {
	const done = "the change is done, but nothing says whether something was lost: the ledger"
	const next = "see what is there with: unibus cluster ledger"
	switch {
	case ctx.Err() != nil:
		return console.Failf(console.ExitInterrupted, "interrupted; %s after was not read; %s", done, next)
	case o.record.Record == nil, before != nil && question == "":
		return nil // a cluster that is being made, or rescued: it was told that there is no ledger
	case before != nil:
		return fmt.Errorf("%s before could not be read: %w; %s, or pass --ledger none", done, before, next)
	}
	return fmt.Errorf("%s after could not be read: %w; %s", done, after, next)
}

// finish prints the result.
func (s *session) finish(r result) error {
	if s.opts.output != console.FormatTable {
		if err := console.Encode(s.out, s.opts.output, r); err != nil {
			return err
		}
	} else {
		r.Status.print(s.out)
		if r.Ledger != nil {
			r.Ledger.print(s.out)
		}
	}
	if r.Ledger != nil && r.Ledger.Lost {
		return console.Failf(console.ExitLost, "%s; read again with: unibus cluster ledger", r.Ledger.Verdict)
	}
	return nil
}

// checkNodes refuses nodes on other hosts that can't be used, and certificates other than the ones had before that not all nodes take.
func checkNodes(o observation, had tlsFiles) error {
	for i, p := range o.inv.Places {
		if p.Local != nil || p.DiskID != "" && o.inv.TLS == had {
			continue // one that was seen before may be away for a while
		}
		s := o.nodes[i]
		if s == nil {
			return fmt.Errorf("%w; start membershipd there, with the keys that unibus cluster init printed", o.silent[i])
		}
		if s.ClusterName != o.inv.Name {
			return fmt.Errorf("the node at %s is configured for cluster %q, this one is %q: start it with --cluster-name %s", p.Control, s.ClusterName, o.inv.Name, o.inv.Name)
		}
	}
	return nil
}

// locked lets one call in at a time.
func locked(f func(account, stream string, read, of uint64)) func(account, stream string, read, of uint64) {
	var mu sync.Mutex
	return func(account, stream string, read, of uint64) {
		mu.Lock()
		defer mu.Unlock()
		f(account, stream, read, of)
	}
}
