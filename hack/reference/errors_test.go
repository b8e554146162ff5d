// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNothingWithoutRemedy takes each kind of remedy away, and puts one of nothing in.
func TestNothingWithoutRemedy(t *testing.T) {
	const root = "../.."
	if _, err := allErrors(root); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"rate", "nonce", "ErrSlow", "unibus 6", "membershipd 3"} {
		remedy := remedies[key]
		delete(remedies, key)
		if _, err := allErrors(root); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("without the remedy of %s: %v", key, err)
		}
		remedies[key] = remedy
	}
	remedies["of nothing"] = "do it"
	defer delete(remedies, "of nothing")
	if _, err := allErrors(root); err == nil || !strings.Contains(err.Error(), "of nothing") {
		t.Errorf("with a remedy of nothing: %v", err)
	}
}

func mustParse(t *testing.T, source string) []*ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return []*ast.File{f}
}

func TestFindings(t *testing.T) {
	files := mustParse(t, `package p
const (
	A = "a"
	B = "b"
	C = "c"
)
func f(x string) {
	const remedy = "mend it"
	begin := "look at " + x + ", "
	fault(A, begin+"then "+remedy, "%s is wrong", x)
	note(B, "what", "give it", "it is not given")
	add(Finding{C, Warning, "what", "found", "leave it"})
	fault(A, "no "+remedy)
}
func g() {
	const remedy = "another"
	f.Code, f.Verdict, f.Found = B, Warning, "refused"
	f.Remedy = remedy
	f.Found += "more"
	fault(x, y, z)
}`)
	var got []finding
	for decl, texts := range declarations(files) {
		got = append(got, findingsOf(decl, texts)...)
	}
	want := []finding{
		{"a", "%s is wrong", "look at …, then mend it"}, {"b", "it is not given", "give it"}, {"c", "found", "leave it"}, {"b", "refused", "another"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(finding{})); d != "" {
		t.Error(d)
	}
}

// TestFindingWithoutRemedy leaves out what a finding must say, and a code that is never found.
func TestFindingWithoutRemedy(t *testing.T) {
	for name, source := range map[string]string{
		"no remedy": `package p; const A = "a"; func f() { fault(A, "", "it is wrong") }`,
		"no words":  `package p; const A = "a"; func f() { fault(A, "mend it", "") }`,
		"no call":   `package p; const A = "a"`,
	} {
		var out table
		out.addFindings(mustParse(t, source))
		if d := cmp.Diff([]string{"a"}, out.missing); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestFields(t *testing.T) {
	got := fields(mustParse(t, `package p
const Most = "most"
type In struct {
	// A is the first
	// letter.
	A int `+"`json:\"a,omitempty\"`"+`
}
type Out struct {
	In
	Elsewhere
	// B and Bee are Letters, at Most, and one of the Code constants.
	B int `+"`json:\"b\" x:\"y\"`"+`
	Bee int `+"`json:\"c\"`"+`
	D int
}
type No int`))
	want := map[string]map[string]string{"In": {"a": "The first letter."}, "Out": {"a": "The first letter.", "b": "`b` and `c` are Letters, at `most`, and one of the [codes](errors.md#codes).", "c": ""}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
