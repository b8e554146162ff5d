// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// parse reads the sources of a package, without its tests.
func parse(dir string) (parsed []*ast.File, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	return parsed, nil
}

// rows returns the table rows of a chapter, in the order of the sources, each once.
func (c chapter) rows(root string) (rows []string, err error) {
	parsed, err := parse(filepath.Join(root, c.dir))
	if err != nil {
		return nil, err
	}
	for decl, texts := range declarations(parsed) {
		ast.Inspect(decl, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !c.is(call) {
				return true
			}
			if row := c.row(texts, call.Args); row != "" && !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
			return true
		})
	}
	return rows, nil
}

func (c chapter) is(call *ast.CallExpr) bool {
	return called(call) == c.call && len(call.Args) > max(c.remedy, c.message)
}

// called is the name of the function or method, empty for what has none.
func called(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

// row is empty for a call that only hands on the text of another.
func (c chapter) row(texts map[string]string, args []ast.Expr) string {
	says := readable(text(texts, args[c.message]))
	if c.flagged {
		says = "--" + text(texts, args[0]) + ": " + says
	}
	if strings.Trim(says, "… ") == "" {
		return ""
	}
	if c.remedy < 0 {
		return fmt.Sprintf("| %s |\n", says)
	}
	remedy := readable(text(texts, args[c.remedy]))
	if remedy == "" {
		remedy = "wait"
	}
	return fmt.Sprintf("| %s | %s |\n", says, remedy)
}

// declarations are all of a package, each with the strings whose names it sees: the package's constants, and a function's own constants and variables.
func declarations(files []*ast.File) iter.Seq2[ast.Decl, map[string]string] {
	shared := map[string]string{}
	for _, f := range files {
		for _, d := range f.Decls {
			if _, ok := d.(*ast.GenDecl); ok {
				name(shared, d)
			}
		}
	}
	return func(yield func(ast.Decl, map[string]string) bool) {
		for _, f := range files {
			for _, d := range f.Decls {
				texts := maps.Clone(shared)
				name(texts, d)
				if !yield(d, texts) {
					return
				}
			}
		}
	}
}

// name adds the strings that a declaration gives names to.
func name(texts map[string]string, d ast.Decl) {
	add := func(name string, value ast.Expr) {
		if t := text(texts, value); strings.Trim(t, unknown) != "" {
			texts[name] = t
		}
	}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if i < len(n.Values) {
					add(id.Name, n.Values[i])
				}
			}
		case *ast.AssignStmt:
			if id, ok := n.Lhs[0].(*ast.Ident); ok && n.Tok == token.DEFINE && len(n.Lhs) == 1 {
				add(id.Name, n.Rhs[0])
			}
		}
		return true
	})
}

// unknown stands for what is known only when the program runs.
const unknown = "…"

// text is the value of a string expression as far as it can be read.
func text(texts map[string]string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
		return e.Value // a number
	case *ast.BinaryExpr:
		return text(texts, e.X) + text(texts, e.Y)
	case *ast.Ident:
		if s, ok := texts[e.Name]; ok {
			return s
		}
	case *ast.CallExpr: // the format of a Sprintf
		if fun, ok := e.Fun.(*ast.SelectorExpr); ok && fun.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			return text(texts, e.Args[0])
		}
	}
	return unknown
}

var verb = regexp.MustCompile(`%[0-9#+.]*[a-z]`)

// readable puts the sign for unknown in place of verbs and makes the text fit for a table. A run of unknowns is one.
func readable(s string) string {
	s = verb.ReplaceAllString(s, unknown)
	for strings.Contains(s, unknown+unknown) {
		s = strings.ReplaceAll(s, unknown+unknown, unknown)
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
