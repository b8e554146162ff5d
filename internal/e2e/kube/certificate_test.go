// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"
	"testing"
)

// TestCertificateRotate: the CA of routes is replaced twice while a pod writes. No node is restarted and no write fails.
func TestCertificateRotate(t *testing.T) {
	l := mustBus(t, 3)
	for generation := int64(2); generation <= 3; generation++ {
		l.step("unibus.dev/rotate: another CA of routes", func() {
			l.rotate(generation)
			l.arrive(3)
		})
	}
	if said := l.run("kubectl logs -n " + l.Namespace + " writer"); strings.Contains(said, "is tried again") {
		t.Errorf("writes failed: %s", said)
	}
	l.conclude()
}
