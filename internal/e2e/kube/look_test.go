// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noted is a T that notes errors.
type noted struct {
	*testing.T
	errors []string
}

func (n *noted) Errorf(format string, args ...any) {
	n.errors = append(n.errors, fmt.Sprintf(format, args...))
}

// TestSame: a pod that was made anew counts as restarted though its containers were not, unless it was said before that it is to be.
func TestSame(t *testing.T) {
	n := &noted{T: t}
	l := newLab(n, Place{Dir: t.TempDir(), Namespace: "bus", Operators: "bus"})
	pods := func(uids string) {
		t.Helper()
		var items []string
		for i, uid := range strings.Fields(uids) {
			items = append(items, fmt.Sprintf(`{"metadata": {"name": "demo-%d", "uid": "%s"}, "status": {"containerStatuses": [{"restartCount": 0}]}}`, i, uid))
		}
		script := fmt.Sprintf("#!/bin/sh\necho '{\"items\": [%s]}'\n", strings.Join(items, ","))
		if err := os.WriteFile(filepath.Join(l.Dir, "kubectl"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	pods("a b")
	l.expectSame()
	l.makesAnew("demo-1")
	pods("a c")
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 0})
	pods("a") // demo-1 is gone, and comes again as another one
	l.expectSame()
	pods("a d")
	l.expectSame()
	if len(n.errors) > 0 || l.sum.Restarted != 0 {
		t.Fatalf("%d restarts: %v", l.sum.Restarted, n.errors)
	}
	pods("x d")
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 0})
	if len(n.errors) != 1 || n.errors[0] != "the pod demo-0 was made anew" || l.sum.Restarted != 1 {
		t.Errorf("%d restarts: %v", l.sum.Restarted, n.errors)
	}
}
