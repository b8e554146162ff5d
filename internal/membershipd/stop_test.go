// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
)

// TestAStopWritesTheAudit: what the audit lacks when a node is told to stop is written before its NATS ends.
func TestAStopWritesTheAudit(t *testing.T) {
	dir, root, ann := t.TempDir(), mustHTTPUser(t), mustHTTPUser(t)
	n := mustRun(t, planFor(t, "n0", dir, func(p *plan) { p.admins, p.members.finishing = []string{root.key}, limit }))
	root.mustDo(n, 201, "PUT", v1.PathUsers+"/"+ann.key, v1.PutUser{Name: "ann"}, nil)
	js := mustJetStream(t, n.mustConnect(t, embeddednats.AccountMembership))
	stream, err := js.Stream(t.Context(), v1.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), v1.StreamAudit); err != nil {
		t.Fatal(err)
	}
	root.mustDo(n, 204, "DELETE", v1.PathUsers+"/ann", nil, nil)
	n.cancel()
	root.mustDo(n, 503, "GET", v1.PathUsers, nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := js.CreateStream(ctx, stream.CachedInfo().Config); err != nil {
		t.Fatalf("NATS ended while the audit lacked entries: %v", err)
	}
	n.stop(t)

	n = mustRun(t, planFor(t, "n0", dir, nil))
	mustBecome(t, "/readyz", 200, n)
	js = mustJetStream(t, n.mustConnect(t, embeddednats.AccountMembership))
	list, _, err := membership.NewAuditLog(js, nil).List(t.Context(), "", 0)
	if err != nil || len(list) != 2 || !strings.HasSuffix(list[0].Action, ann.key) || list[0].Outcome != v1.OutcomeOK {
		t.Errorf("the audit after the stop: %+v, %v", list, err)
	}
}
