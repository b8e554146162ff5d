// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"encoding/json"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

const (
	// auditGrace is how long a revocation, and the answer to any change, wait for the audit.
	auditGrace = time.Second
	// mostLate is how many entries of the audit may wait until they can be written, lateBreath the time between two attempts.
	mostLate, lateBreath = 1024, time.Second
)

// audited writes down that a change is asked for before it is made, and then what came of it. Without the first nothing is changed, but for
// what revokes: whoever must go goes, and the entries come when they can be written.
type audited struct {
	api    *API
	caller *caller
	action string
	body   any
	entry  *v1.AuditEntry
	late   bool // the first entry may not be written yet
}

// begin is called before each attempt at the change.
func (a *audited) begin(ctx context.Context, revokes bool) error {
	switch {
	case a.entry == nil:
		return a.ask(ctx, revokes)
	case a.late && !revokes: // somebody came in between, and now it would give what was to be taken
		return a.caller.back.Audit.Write(ctx, *a.entry)
	}
	return nil
}

func (a *audited) ask(ctx context.Context, revokes bool) error {
	e := v1.AuditEntry{Who: a.caller.Key, Node: a.api.c.Cluster().Node, Action: a.action}
	if a.body != nil {
		body, err := json.Marshal(a.body)
		if err != nil {
			return err
		}
		e.Body = body
	}
	wait := ctx
	if revokes {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, auditGrace)
		defer cancel()
	}
	e, err := a.caller.back.Audit.Begin(wait, e)
	if err != nil && revokes && ctx.Err() == nil {
		a.api.writeLater(e)
		a.late, err = true, nil
	}
	if err == nil {
		a.entry = &e
	}
	return err
}

// end writes down the outcome, also when who asked has gone away.
func (a *audited) end(ctx context.Context, err error) {
	if a.entry == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditGrace)
	defer cancel()
	outcome := v1.OutcomeOK
	if err != nil {
		outcome = problemOf(ctx, err).Code
	}
	e := *a.entry
	e.Time, e.Outcome = a.api.c.Now().UTC(), outcome
	if a.caller.back.Audit.Write(ctx, e) != nil {
		a.api.writeLater(e)
	}
}

// writeLater leaves an entry to writeLate. The log has it as well: the node may stop before.
func (a *API) writeLater(e v1.AuditEntry) {
	text, err := json.Marshal(e)
	if err != nil {
		text = []byte(err.Error())
	}
	a.lacking.Add(1)
	select {
	case a.late <- e:
		a.log.Error("an entry is not in the audit yet, which can't be written: see that its stream has a leader", "entry", string(text))
	default:
		a.lacking.Add(-1)
		a.log.Error("an entry is not in the audit, which can't be written, and too many wait for that: see that its stream has a leader", "entry", string(text))
	}
}

// writeLate writes entries that could not be written before, until the context ends. What is left then, the next backend is given.
func (a *API) writeLate(ctx context.Context, log *membership.AuditLog) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-a.late:
			for log.Write(ctx, e) != nil {
				select {
				case <-time.After(lateBreath):
					continue
				case <-ctx.Done():
				}
				select {
				case a.late <- e:
				default:
					a.lacking.Add(-1) // the log has it
				}
				return
			}
			a.lacking.Add(-1)
		}
	}
}
