// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
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
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
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
	texts := constants(parsed)
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
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
	var name *ast.Ident
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		name = fun
	case *ast.SelectorExpr:
		name = fun.Sel
	}
	return name != nil && name.Name == c.call && len(call.Args) > max(c.remedy, c.message)
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

// constants returns the string constants of a package.
func constants(files []*ast.File) map[string]string {
	texts := map[string]string{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range v.Names {
				if i < len(v.Values) {
					if t := text(nil, v.Values[i]); !strings.Contains(t, unknown) {
						texts[name.Name] = t
					}
				}
			}
			return true
		})
	}
	return texts
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

var verb = regexp.MustCompile(`%[0-9#+]*[a-z]`)

// readable puts the sign for unknown in place of verbs and makes the text fit for a table. A run of unknowns is one.
func readable(s string) string {
	s = verb.ReplaceAllString(s, unknown)
	for strings.Contains(s, unknown+unknown) {
		s = strings.ReplaceAll(s, unknown+unknown, unknown)
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
