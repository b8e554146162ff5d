// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net/http"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

func (a *API) describeClasses() {
	const list, path = v1.PathClasses, v1.PathClasses + "/{class}"
	register(a, operation{id: "list-classes", memory: true, method: http.MethodGet, path: list, summary: "List all history classes, sorted by name",
		codes: []string{v1.CodeInvalid}}, a.listClasses)
	register(a, operation{id: "get-class", method: http.MethodGet, path: path, summary: "Read a history class",
		codes: []string{v1.CodeNotFound, v1.CodeInvalid}}, a.getClass)
	register(a, operation{id: "put-class", method: http.MethodPut, path: path, conditions: true,
		summary: "Make or change a history class (admins)",
		codes:   []string{v1.CodeForbidden, v1.CodeLimit, v1.CodeInvalid}}, a.putClass)
	register(a, operation{id: "delete-class", method: http.MethodDelete, path: path, conditions: true,
		summary: "Delete a history class that no room has (admins)",
		codes:   []string{v1.CodeForbidden, v1.CodeNotFound, v1.CodeInUse, v1.CodeInvalid}}, a.deleteClass)
}

// ClassPath says which class.
type ClassPath struct {
	Class string `path:"class" maxLength:"64" doc:"The name of a history class."`
}

func (a *API) listClasses(context.Context, *caller, *nothing) (*page[v1.Classes], error) {
	return &page[v1.Classes]{Body: v1.Classes{Classes: append([]v1.Class{}, a.c.Directory.Classes()...)}}, nil
}

func (a *API) getClass(ctx context.Context, c *caller, in *ClassPath) (*one[v1.Class], error) {
	r, err := c.back.Store.GetClass(ctx, in.Class)
	if err != nil {
		return nil, err
	}
	return oneOf(r.Value, r.Revision, false), nil
}

type putClass struct {
	ClassPath
	Conditions
	Body v1.Class
}

func (a *API) putClass(ctx context.Context, c *caller, in *putClass) (*one[v1.Class], error) {
	if err := c.may(membership.WriteClass, ""); err != nil {
		return nil, err
	}
	store, want := c.back.Store, in.Body
	if want.Name != in.Class {
		return nil, fail(v1.CodeInvalid, "the name in the body is not that of the path: give the same")
	}
	if err := membership.CheckClass(want, int32(a.c.Cluster().MaxPayload)); err != nil {
		return nil, err
	}
	r, made, err := change[v1.Class]{api: a, caller: c, action: http.MethodPut + " " + v1.PathClasses + "/" + in.Class, body: in.Body, Conditions: in.Conditions,
		read: func(ctx context.Context) (membership.Record[v1.Class], error) { return store.GetClass(ctx, in.Class) },
		same: func(_ context.Context, r membership.Record[v1.Class]) (bool, error) { return r.Value == want, nil },
		write: func(ctx context.Context, was membership.Record[v1.Class]) (membership.Record[v1.Class], error) {
			if want.MaxBytes > was.Value.MaxBytes { // who gives space back is never refused
				if err := c.back.Fits(want); err != nil {
					return was, err
				}
			}
			return store.PutClass(ctx, want, was.Revision)
		},
		seen: func(want v1.Class) bool {
			known, _ := a.c.Directory.Class(want.Name)
			return known == want
		},
	}.do(ctx)
	if err != nil {
		return nil, err
	}
	return oneOf(r.Value, r.Revision, made), nil
}

type deleteClass struct {
	ClassPath
	Precondition
}

func (a *API) deleteClass(ctx context.Context, c *caller, in *deleteClass) (*nothing, error) {
	if err := c.may(membership.WriteClass, ""); err != nil {
		return nil, err
	}
	return nil, change[v1.Class]{api: a, caller: c, action: http.MethodDelete + " " + v1.PathClasses + "/" + in.Class, Conditions: Conditions{IfMatch: in.IfMatch},
		read: func(ctx context.Context) (membership.Record[v1.Class], error) {
			return c.back.Store.GetClass(ctx, in.Class)
		},
		write: func(ctx context.Context, was membership.Record[v1.Class]) (membership.Record[v1.Class], error) {
			return was, c.back.Store.DeleteClass(ctx, in.Class, was.Revision)
		},
		seen: func(c v1.Class) bool {
			_, ok := a.c.Directory.Class(c.Name)
			return !ok
		},
	}.remove(ctx)
}
