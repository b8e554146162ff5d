// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net/http"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

func (a *API) describeCluster() {
	register(a, operation{id: "get-cluster", method: http.MethodGet, path: v1.PathCluster, public: true,
		summary: "What who makes a token must know. No token is needed"}, a.getCluster)
}

func (a *API) getCluster(context.Context, *caller, *nothing) (*page[v1.Cluster], error) {
	return &page[v1.Cluster]{Body: a.c.Cluster()}, nil
}

func (a *API) describeAudit() {
	register(a, operation{id: "list-audit", method: http.MethodGet, path: v1.PathAudit,
		summary: "List what was changed, and who asked for it, the newest first (admins)",
		codes:   []string{v1.CodeForbidden, v1.CodeInvalid}}, a.listAudit)
}

func (a *API) listAudit(ctx context.Context, c *caller, in *Page) (*page[v1.Audit], error) {
	if err := c.may(membership.ReadAudit, ""); err != nil {
		return nil, err
	}
	var p page[v1.Audit]
	var err error
	p.Body.Entries, p.Body.Next, err = c.back.Audit.List(ctx, in.After, in.Limit)
	return &p, err
}
