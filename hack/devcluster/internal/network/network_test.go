// SPDX-License-Identifier: Apache-2.0

package network

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRules(t *testing.T) {
	want := `table bridge cuts
delete table bridge cuts
table bridge cuts {
  chain forward {
    type filter hook forward priority 0;
    iifname "node1" oifname "node2" drop
    iifname "node2" oifname "node1" drop
  }
  chain input {
    type filter hook input priority 0;
    iifname "node2" drop
  }
  chain output {
    type filter hook output priority 0;
    oifname "node2" drop
  }
}
`
	if diff := cmp.Diff(want, rules([]Cut{NewCut(2, 1), NewCut(2, 0)})); diff != "" {
		t.Error(diff)
	}
}

func TestCuts(t *testing.T) {
	all := With(2, 3, nil)
	if diff := cmp.Diff([]Cut{{0, 2}, {1, 2}, {2, 3}}, all); diff != "" {
		t.Errorf("from all: %s", diff)
	}
	if diff := cmp.Diff([]Cut{{1, 3}}, With(3, 3, []int{1, 3})); diff != "" {
		t.Errorf("from one and itself: %s", diff)
	}
	both := Add(all, With(1, 3, []int{2, 3}))
	if diff := cmp.Diff([]Cut{{0, 2}, {1, 2}, {2, 3}, {1, 3}}, both); diff != "" {
		t.Errorf("added: %s", diff)
	}
	if diff := cmp.Diff([]Cut{{1, 3}}, Healed(both, 2)); diff != "" {
		t.Errorf("healed: %s", diff)
	}
}
