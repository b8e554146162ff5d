// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/unibus/unibus/api/v1alpha1"
)

// TestRest: with nothing to do the operator writes nothing but its Lease, for ten minutes, while there are ten buses of real nodes and ninety that wait
// for an issuer and for a class of volumes that do not exist. The API server's audit log is the witness.
func TestRest(t *testing.T) {
	const built, waiting, while = 10, 90, 10 * time.Minute
	l := mustSpace(t, "demo", "")
	l.step("ten buses, and ninety that wait", func() {
		var all strings.Builder
		for n := range built + waiting {
			name, spec := fmt.Sprintf("built-%d", n), "storage: {size: 256Mi}"
			if n >= built {
				name, spec = fmt.Sprintf("waiting-%d", n), "storage: {size: 256Mi, class: nowhere}, tls: {client: {issuerRef: {name: nobody}}}"
			}
			fmt.Fprintf(&all, "---\n{apiVersion: unibus.dev/v1alpha1, kind: UnibusCluster, metadata: {name: %s}, spec: {%s}}\n", name, spec)
		}
		_, err := l.shell(l.Context(), "kubectl apply -n "+l.Namespace+" -f -", all.String())
		l.must(err)
		l.within("ten are ready, and all are judged", func() error { return l.judged(built, built+waiting) })
	})
	var began time.Time
	l.step("a minute without a write", func() {
		l.within("the last write is a minute ago", func() error {
			began = time.Now()
			if last := l.audit(began.Add(-time.Minute)); len(last.writes) > 0 {
				return errors.New(last.writes[len(last.writes)-1])
			}
			return nil
		})
	})
	l.step(fmt.Sprintf("%v without a write", while), func() {
		select {
		case <-time.After(while):
		case <-t.Context().Done():
		}
	})
	seen := l.audit(began)
	if len(seen.writes) > 0 {
		t.Errorf("%d writes at rest: %s", len(seen.writes), strings.Join(seen.writes, ", "))
	}
	// It is renewed every two seconds.
	if least := int(while/time.Second) / 4; seen.leases < least {
		t.Errorf("the audit log has %d renewals of the Lease, %d at least were expected: it is no witness", seen.leases, least)
	}
	l.must(l.judged(built, built+waiting))
	l.Logf("%d writes but those of the Lease, %d of these, in %v", len(seen.writes), seen.leases, time.Since(began).Round(time.Second))
}

// judged says whether as many clusters are ready, and the others not, as they are wished now.
func (l *lab) judged(ready, all int) error {
	var clusters v1alpha1.UnibusClusterList
	if err := l.read(&clusters, "-n "+l.Namespace+" ubc"); err != nil {
		return err
	}
	is, not := 0, 0
	for _, c := range clusters.Items {
		said := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case said == nil || said.ObservedGeneration != c.Generation:
		case said.Status == "True":
			is++
		default:
			not++
		}
	}
	if is != ready || is+not != all {
		return fmt.Errorf("%d are ready and %d not, of %d", is, not, len(clusters.Items))
	}
	return nil
}

// audited is what the audit log tells of the operator.
type audited struct {
	writes []string // of all but the Lease, as verb and object
	leases int
}

// audit reads what the operator has written since a time.
func (l *lab) audit(since time.Time) (a audited) {
	l.Helper()
	lines := l.run("devcluster logs audit | { grep -F '\"username\":\"system:serviceaccount:" + l.Operators + ":' || true; }")
	for line := range strings.Lines(lines) {
		var e struct {
			Verb                     string
			RequestReceivedTimestamp time.Time
			ObjectRef                struct{ Resource, Subresource, Name string }
		}
		l.must(json.Unmarshal([]byte(line), &e))
		switch {
		case e.RequestReceivedTimestamp.Before(since):
		case e.ObjectRef.Resource == "leases":
			a.leases++
		default:
			a.writes = append(a.writes, fmt.Sprintf("%s %s/%s %s", e.Verb, e.ObjectRef.Resource, e.ObjectRef.Name, e.ObjectRef.Subresource))
		}
	}
	return a
}
