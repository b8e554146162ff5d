// SPDX-License-Identifier: Apache-2.0

package kube

import "testing"

// TestShort: the sample cluster goes from one node to three, back and up again while a pod writes, a node is killed in between, and at the
// end nothing that was acknowledged is missing and nothing was restarted but what was killed.
func TestShort(t *testing.T) {
	l := mustLab(t)
	t.Cleanup(func() {
		if t.Failed() {
			l.tell()
		}
	})
	sum := l.demo()
	t.Logf("acknowledged %d, lost %d, longest gap %v, restarted %d", sum.Acknowledged, sum.Lost, sum.Gap, sum.Restarted)
}
