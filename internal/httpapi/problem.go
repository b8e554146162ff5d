// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

const contentProblem = "application/problem+json"

// statuses are all codes of problems with the status that each has, except that a precondition which fails is told by 412.
var statuses = map[string]int{
	v1.CodeMalformed:   http.StatusBadRequest,
	v1.CodeHeader:      http.StatusBadRequest,
	v1.CodeToken:       http.StatusUnauthorized,
	v1.CodeForbidden:   http.StatusForbidden,
	v1.CodeNotFound:    http.StatusNotFound,
	v1.CodeExists:      http.StatusConflict,
	v1.CodeConflict:    http.StatusConflict,
	v1.CodeInUse:       http.StatusConflict,
	v1.CodeLastAdmin:   http.StatusConflict,
	v1.CodeLimit:       http.StatusConflict,
	v1.CodeNotKept:     http.StatusConflict,
	v1.CodeFull:        http.StatusConflict,
	v1.CodeTooLarge:    http.StatusRequestEntityTooLarge,
	v1.CodeInvalid:     http.StatusUnprocessableEntity,
	v1.CodeRate:        http.StatusTooManyRequests,
	v1.CodeSlow:        http.StatusTooManyRequests,
	v1.CodeInternal:    http.StatusInternalServerError,
	v1.CodeUnavailable: http.StatusServiceUnavailable,
}

// failure is a problem as an error that huma answers with.
type failure struct{ v1.Problem }

func fail(code, detail string) *failure { return failAs(statuses[code], code, detail) }

func failAs(status int, code, detail string) *failure {
	return &failure{v1.Problem{Type: v1.ProblemPrefix + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code}}
}

// These implement huma's StatusError, ContentTypeFilter and HeadersError.

func (f *failure) GetStatus() int            { return f.Status }
func (f *failure) ContentType(string) string { return contentProblem }
func (f *failure) GetHeaders() http.Header {
	h := http.Header{}
	switch f.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="unibus"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	return h
}

// writeTo answers where no handler of huma has been reached.
func (f *failure) writeTo(w http.ResponseWriter) {
	for name, values := range f.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", contentProblem)
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f.Problem) // it fails only when the caller is gone
}

// sentinels are the errors of the packages below, with their codes.
var sentinels = []struct {
	err  error
	code string
}{
	{membership.ErrHidden, v1.CodeNotFound},
	{membership.ErrForbidden, v1.CodeForbidden},
	{membership.ErrNotFound, v1.CodeNotFound},
	{membership.ErrExists, v1.CodeExists},
	{membership.ErrConflict, v1.CodeConflict},
	{membership.ErrInUse, v1.CodeInUse},
	{membership.ErrLastAdmin, v1.CodeLastAdmin},
	{membership.ErrLimit, v1.CodeLimit},
	{membership.ErrInvalid, v1.CodeInvalid},
	{v1.ErrUserKey, v1.CodeInvalid},
	{membership.ErrUnavailable, v1.CodeUnavailable},
	{context.DeadlineExceeded, v1.CodeUnavailable},
	{context.Canceled, v1.CodeUnavailable},
}

// notFound is said of all that is not there or that the caller may not know of: the same words for both.
const notFound = "there is no such thing, or you may not know of it: look at the spelling, or ask an admin"

// problemOf turns any error into a problem. What ended the request as a whole counts first: a store that was interrupted says less.
func problemOf(ctx context.Context, err error) *failure {
	var f *failure
	if errors.As(context.Cause(ctx), &f) || errors.As(err, &f) {
		return f
	}
	var refused *v1.Error
	if errors.As(err, &refused) {
		if _, known := statuses[refused.Code]; known {
			return fail(refused.Code, refused.Message)
		}
	}
	for _, s := range sentinels {
		if !errors.Is(err, s.err) {
			continue
		}
		if s.code == v1.CodeNotFound {
			return fail(s.code, notFound)
		}
		return fail(s.code, err.Error())
	}
	return failed("")
}

// failed tells of a failure of the node, which its log has under the request's id, if it has one.
func failed(id string) *failure {
	if id != "" {
		id = " of request " + id
	}
	return fail(v1.CodeInternal, "the node failed, and has logged why: try again, or tell its operator"+id)
}

// recovered is deferred where requests are answered: one that panics is the node's failure. What it panicked with may be the caller's, or
// secret, unless it is the runtime's, so that the log has where it was instead.
func (a *API) recovered(w *statusWriter, method, route string) {
	v := recover()
	if v == nil {
		return
	}
	if err, is := v.(error); !is || !errors.Is(err, http.ErrAbortHandler) {
		id, what := rand.Text(), fmt.Sprintf("%T", v)
		if err, ok := v.(runtime.Error); ok {
			what = err.Error()
		}
		a.log.Error("a request panicked", "request", id, "method", method, "route", route, "panic", what, "stack", string(debug.Stack()))
		if !w.begun {
			failed(id).writeTo(w)
			return
		}
	}
	panic(http.ErrAbortHandler) // half an answer must not be taken for all of it; this is what ends its connection without a word
}

// transform gives huma's own errors, which come of what requests break before a handler sees them, the form of all others.
func transform(_ huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case *failure:
		return e.Problem, nil
	case *huma.ErrorModel:
		code, details := v1.CodeMalformed, []string{e.Detail}
		for _, d := range e.Errors {
			details = append(details, strings.TrimPrefix(d.Location+": ", ": ")+d.Message)
		}
		switch e.Status {
		case http.StatusUnprocessableEntity:
			code = v1.CodeInvalid
		case http.StatusInternalServerError:
			code, details = v1.CodeInternal, []string{"the node failed: try again, or tell its operator"}
		}
		return failAs(e.Status, code, strings.Join(details, "; ")).Problem, nil
	}
	return v, nil
}
