// SPDX-License-Identifier: Apache-2.0

package load

import (
	"strings"
	"testing"
)

// TestTruth: only three looks in a row without a fault count, and the first one, which has nothing to compare with, does not.
func TestTruth(t *testing.T) {
	var w Truth
	have := map[string]uint64{"S": 7}
	for i, look := range []struct {
		why   string
		truth bool
	}{{"", false}, {"", false}, {"", false}, {"b lags", false}, {"", false}, {"", false}, {"", true}} {
		if got := w.judge(look.why, have); (got == "") != look.truth {
			t.Errorf("look %d: %q, in true sync %v is wanted", i+1, got, look.truth)
		}
	}
	if w.Wrong != "b lags" {
		t.Errorf("the last thing wrong was %q", w.Wrong)
	}
}

// TestLacking: what counts is what each member has itself, and one that holds nothing has nothing.
func TestLacking(t *testing.T) {
	members := map[string][]string{"S": {"a", "b"}, "T": {"a"}}
	want := map[string]uint64{"S": 7, "T": 3}
	held := map[string]map[string]uint64{"a": {"S": 8, "T": 3}, "b": {"S": 7}}
	if got := lacking(members, want, held); got != "" {
		t.Errorf("all have everything: %q", got)
	}
	held["b"]["S"] = 6
	if got := lacking(members, want, held); !strings.HasPrefix(got, "b has S up to 6") {
		t.Errorf("b lacks one: %q", got)
	}
	delete(held, "b")
	if got := lacking(members, want, held); !strings.HasPrefix(got, "b has S up to 0") {
		t.Errorf("b has nothing: %q", got)
	}
}
