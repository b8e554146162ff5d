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
		summary: "What who makes a token must know. No token is needed", codes: []string{v1.CodeInvalid}}, a.getCluster)
}

func (a *API) getCluster(context.Context, *caller, *nothing) (*page[v1.Cluster], error) {
	return &page[v1.Cluster]{Body: a.c.Cluster()}, nil
}

func (a *API) describeAudit() {
	register(a, operation{id: "list-audit", method: http.MethodGet, path: v1.PathAudit,
		summary: "List what was changed, and who asked for it, the newest first (admins)",
		codes:   []string{v1.CodeForbidden, v1.CodeInvalid}}, a.listAudit)
}

// auditPart is how many entries are read at a time. Each is a question to the leader: on a busy machine there is no time for a whole page, and
// then it has what there was time for.
const auditPart = 100

func (a *API) listAudit(ctx context.Context, c *caller, in *Page) (*page[v1.Audit], error) {
	if err := c.may(membership.ReadAudit, ""); err != nil {
		return nil, err
	}
	p := page[v1.Audit]{Body: v1.Audit{Entries: []v1.AuditEntry{}, Next: in.After}}
	for {
		part, next, err := c.back.Audit.List(ctx, p.Body.Next, min(auditPart, in.Limit-len(p.Body.Entries)))
		if err != nil && len(p.Body.Entries) > 0 {
			return &p, nil // the next page begins where this one had to end
		}
		if err != nil {
			return nil, err
		}
		p.Body.Entries, p.Body.Next = append(p.Body.Entries, part...), next
		if next == "" || len(p.Body.Entries) == in.Limit {
			return &p, nil
		}
	}
}
