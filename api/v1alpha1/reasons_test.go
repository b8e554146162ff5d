// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/unibus/unibus/api/v1alpha1"
)

// constants returns the string constants of a file whose names begin so, by name.
func constants(t *testing.T, file, prefix string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, prefix) {
			return true
		}
		if all[v.Names[0].Name], err = strconv.Unquote(v.Values[0].(*ast.BasicLit).Value); err != nil {
			t.Fatal(err)
		}
		return true
	})
	return all
}

// Every reason is in the table once, on conditions that exist, with a meaning and a remedy.
func TestReasons(t *testing.T) {
	types := constants(t, "conditions.go", "Condition")
	table := map[string]v1alpha1.Reason{}
	for _, r := range v1alpha1.Reasons() {
		if _, twice := table[r.Name]; twice || !strings.HasSuffix(r.Means, ".") || !strings.HasSuffix(r.Remedy, ".") || len(r.Conditions) == 0 {
			t.Errorf("%s is there twice, or lacks something", r.Name)
		}
		table[r.Name] = r
		for _, c := range r.Conditions {
			if _, ok := types["Condition"+c]; !ok {
				t.Errorf("%s is on %s, which is no condition", r.Name, c)
			}
		}
	}
	names := constants(t, "reasons.go", "Reason")
	for name, value := range names {
		if _, ok := table[value]; !ok || name != "Reason"+value {
			t.Errorf("%s = %q is not in the table, or called otherwise", name, value)
		}
	}
	if len(names) != len(table) || len(types) != 8 {
		t.Errorf("%d reasons, %d in the table; %d conditions", len(names), len(table), len(types))
	}
	for name, value := range types {
		if !slices.ContainsFunc(v1alpha1.Reasons(), func(r v1alpha1.Reason) bool { return slices.Contains(r.Conditions, value) }) {
			t.Errorf("%s has no reason", name)
		}
	}
}
