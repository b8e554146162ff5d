// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// Conditions are the headers by which a caller says what a change rests on. Without any the last one wins.
type Conditions struct {
	IfMatch string `header:"If-Match" doc:"The ETag that the caller has read, or * for what is there; otherwise the answer is 412."`
	IfNone  string `header:"If-None-Match" doc:"* makes sure that nothing is there; otherwise the answer is 412."`
}

// Precondition is the one of a removal.
type Precondition struct {
	IfMatch string `header:"If-Match" doc:"The ETag that the caller has read, or * for what is there; otherwise the answer is 412."`
}

func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// check fails when what is there, of revision 0 if nothing is, is not what the caller rests on.
func (c Conditions) check(revision uint64) error {
	if c.IfNone != "" && c.IfNone != "*" {
		return fail(v1.CodeMalformed, "If-None-Match takes * only, for a change")
	}
	if c.IfNone == "*" && revision != 0 {
		return failAs(http.StatusPreconditionFailed, v1.CodeConflict, "it is there already: leave If-None-Match away to change it")
	}
	if c.IfMatch == "" {
		return nil
	}
	changed := failAs(http.StatusPreconditionFailed, v1.CodeConflict, "it is not there, or was changed since you read it: read it again")
	if strings.TrimSpace(c.IfMatch) == "*" {
		if revision == 0 {
			return changed
		}
		return nil
	}
	for tag := range strings.SplitSeq(c.IfMatch, ",") {
		tag = strings.TrimSpace(tag)
		if strong := strings.TrimPrefix(tag, "W/"); len(strong) < 2 || strong[0] != '"' || strong[len(strong)-1] != '"' {
			return fail(v1.CodeMalformed, "If-Match takes ETags, between double quotes as they were given, or *")
		}
		if revision != 0 && tag == etag(revision) {
			return nil
		}
	}
	return changed
}

// mostAttempts is how often a change is tried against others when it rests on nothing. If they were there first each time it is not made, which is a
// conflict.
const mostAttempts = 50

// change is one change of a record of type T, as HTTP knows them.
type change[T any] struct {
	api    *API
	caller *caller
	// action and body go into the audit.
	action string
	body   any
	// revokes says whether the change of a record only takes rights away: then it does not wait until the audit can be written. Nil never does.
	revokes func(T) bool
	Conditions
	read func(context.Context) (membership.Record[T], error)
	// same says whether a record is what is wanted already. It is nil for a removal.
	same func(context.Context, membership.Record[T]) (bool, error)
	// write changes a record, or makes it (revision 0), or removes it.
	write func(context.Context, membership.Record[T]) (membership.Record[T], error)
	// seen says whether this node's directory knows of the change: until then its services would not.
	seen func(T) bool
}

// do makes the change, and says whether the record was not there before. What is as wanted already is not changed, and not in the audit.
func (c change[T]) do(ctx context.Context) (r membership.Record[T], made bool, err error) {
	done, refused := c.api.flights.change(c.caller.flight)
	if refused != nil {
		return r, false, refused
	}
	defer done()
	a := audited{api: c.api, caller: c.caller, action: c.action, body: c.body}
	for range c.api.attempts {
		if err = context.Cause(ctx); err != nil {
			break
		}
		var is, settled bool
		if r, is, settled, err = c.look(ctx); settled {
			break
		}
		if err == nil {
			if err = a.begin(ctx, c.revokes != nil && c.revokes(r.Value)); err != nil {
				break
			}
			r, err = c.complete(ctx, r)
		}
		// Somebody else came in between: what that was is read anew. A name that another has stays so.
		if again := errors.Is(err, membership.ErrConflict) || errors.Is(err, membership.ErrExists) && !is && c.appeared(ctx); !again {
			made = !is
			break
		}
	}
	a.end(ctx, err)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, seeing)
		defer cancel()
		await(ctx, func() bool { return c.seen(r.Value) })
		if slow := c.api.c.Directory.Everywhere(ctx); slow != nil {
			c.api.log.Info("a change is answered before all nodes are known to know it", "action", c.action, "error", slow)
		}
	}
	return r, made, err
}

// complete writes, to the end, also when who asked goes away meanwhile: who removes itself is gone after the first step.
func (c change[T]) complete(ctx context.Context, r membership.Record[T]) (membership.Record[T], error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.api.c.Limits.RequestTimeout)
	defer cancel()
	return c.write(ctx, r)
}

// look reads the record, and says whether that settles the request: it is what is wanted already, or not what the caller rests on. Then a
// quorum has it so, since a leader that is cut off may not know better. That nothing is there, reading has made sure of.
func (c change[T]) look(ctx context.Context) (r membership.Record[T], is, settled bool, err error) {
	r, err = c.read(ctx)
	switch is = err == nil; {
	case errors.Is(err, membership.ErrNotFound):
		r = membership.Record[T]{}
		if err = c.check(0); err == nil && c.same == nil {
			err = membership.ErrNotFound
		}
		return r, is, err != nil, err
	case err != nil:
		return r, is, true, err
	}
	if err = c.check(r.Revision); err == nil && c.same != nil {
		settled, err = c.same(ctx, r)
	}
	if !settled && err == nil {
		return r, is, false, nil
	}
	if unsure := membership.Sure(ctx, c.caller.back.Store, r); unsure != nil {
		return r, is, !errors.Is(unsure, membership.ErrConflict), unsure
	}
	return r, is, true, err
}

func (c change[T]) appeared(ctx context.Context) bool {
	_, err := c.read(ctx)
	return err == nil
}

// always is for what revokes whatever is there.
func always[T any](T) bool { return true }

// remove is do for a removal.
func (c change[T]) remove(ctx context.Context) error {
	_, _, err := c.do(ctx)
	return err
}

const (
	// seeing is how long a change is waited for which is made, until this node's directory knows of it, and then all nodes have told it to who
	// serves users. That it takes longer changes nothing of what was done.
	seeing, glance = 2 * time.Second, 2 * time.Millisecond
)

// await waits until something is so, or the context ends.
func await(ctx context.Context, so func() bool) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
