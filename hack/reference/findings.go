// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

const findingsHead = `
## Findings of unibus doctor

What is in order has the name of the check as its code. The report says how bad a finding is: a fault; a warning, with which the bus can be used all the same; or a
note, with which all is well. ` + "`…`" + ` stands for a name, a time or another error.

| code | what it found | remedy |
|---|---|---|
`

// finding is what the doctor says in one place of its sources.
type finding struct{ code, found, remedy string }

// writeFindings writes all that unibus doctor can find, in the order of the codes' constants.
func writeFindings(t *table, root string) error {
	files, err := parse(filepath.Join(root, "internal", "doctor"))
	if err != nil {
		return err
	}
	t.WriteString(findingsHead)
	t.addFindings(files)
	return nil
}

func (t *table) addFindings(files []*ast.File) {
	var all []finding
	for decl, texts := range declarations(files) {
		all = append(all, findingsOf(decl, texts)...)
	}
	codes := explained(files, "")
	for _, f := range all { // a check that may have something to say when all is well
		if f.code != unknown && !slices.ContainsFunc(codes, func(c told) bool { return c.value == f.code }) {
			codes = append(codes, told{value: f.code})
		}
	}
	for _, c := range codes {
		known := false
		for _, f := range all {
			if f.code == c.value {
				known = true
				t.rowWith(c.value, readable(f.remedy), "`"+f.code+"`", says(f.found))
			}
		}
		if !known {
			t.missing = append(t.missing, c.value)
		}
	}
}

// says is the text of a finding; one that is known only when the program runs is an error that was met.
func says(found string) string {
	if found = readable(found); found == unknown {
		return "what the error that it met says"
	}
	return found
}

// findingsOf are those of a function: calls of fault and note, values of Finding, and what is put into one later.
func findingsOf(decl ast.Decl, texts map[string]string) (all []finding) {
	add := func(code, found, remedy ast.Expr) {
		all = append(all, finding{text(texts, code), text(texts, found), text(texts, remedy)})
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			switch name := called(n); {
			case name == "fault" && len(n.Args) > 2:
				add(n.Args[0], n.Args[2], n.Args[1])
			case name == "note" && len(n.Args) == 4:
				add(n.Args[0], n.Args[3], n.Args[2])
			}
		case *ast.CompositeLit:
			if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Finding" && len(n.Elts) == 5 {
				add(n.Elts[0], n.Elts[3], n.Elts[4])
			}
		case *ast.AssignStmt:
			all = assigned(all, n, texts)
		}
		return true
	})
	return slices.DeleteFunc(all, func(f finding) bool { return strings.Trim(f.code, unknown) == "" })
}

// assigned adds a finding whose code is set by an assignment, or the rest of the one before.
func assigned(all []finding, n *ast.AssignStmt, texts map[string]string) []finding {
	if n.Tok != token.ASSIGN || len(n.Lhs) != len(n.Rhs) {
		return all
	}
	for i, left := range n.Lhs {
		field, ok := left.(*ast.SelectorExpr)
		if !ok {
			continue
		}
		value := text(texts, n.Rhs[i])
		switch last := len(all) - 1; {
		case field.Sel.Name == "Code":
			all = append(all, finding{code: value})
		case field.Sel.Name == "Found" && last >= 0:
			all[last].found = value
		case field.Sel.Name == "Remedy" && last >= 0:
			all[last].remedy = value
		}
	}
	return all
}
