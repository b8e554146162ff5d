// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// metricsDir is the package that makes all metrics of a node.
const metricsDir = "internal/membershipd"

// writeMetrics writes docs/metrics.md.
func writeMetrics(root string) error {
	files, err := parse(filepath.Join(root, metricsDir))
	if err != nil {
		return err
	}
	rows := metricRows(files)
	if len(rows) == 0 {
		return errors.New("no metric found: correct the search")
	}
	var out strings.Builder
	out.WriteString("<!-- Written by hack/reference (make generate). Do not edit. -->\n\n# Metrics\n\n" +
		"Served as `/metrics` on the HTTP port, in the format of Prometheus, beside those of the Go runtime (`go_`) and of the process\n" +
		"(`process_`). [Operations](operations.md#metrics) says which to watch.\n\n| metric | labels | what it tells |\n|---|---|---|\n")
	out.WriteString(strings.Join(rows, ""))
	return os.WriteFile(filepath.Join(root, "docs", "metrics.md"), []byte(out.String()), 0o644)
}

// metricRows returns a row for each call of desc(name, help, labels...) and of prometheus.NewCounterVec(opts, labels).
func metricRows(files []*ast.File) (rows []string) {
	add := func(name, help string, labels []ast.Expr) {
		var texts []string
		for _, l := range labels {
			texts = append(texts, "`"+text(nil, l)+"`")
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", name, strings.Join(texts, ", "), help))
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				if fun.Name == "desc" {
					add("unibus_"+text(nil, call.Args[0]), text(nil, call.Args[1]), call.Args[2:])
				}
			case *ast.SelectorExpr:
				if fun.Sel.Name == "NewCounterVec" {
					add(field(call.Args[0], "Name"), field(call.Args[0], "Help"), elements(call.Args[1]))
				}
			}
			return true
		})
	}
	slices.Sort(rows)
	return rows
}

// field is the text of a field of a composite literal.
func field(e ast.Expr, name string) string {
	for _, e := range elements(e) {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == name {
				return text(nil, kv.Value)
			}
		}
	}
	return unknown
}

func elements(e ast.Expr) []ast.Expr {
	if lit, ok := e.(*ast.CompositeLit); ok {
		return lit.Elts
	}
	return nil
}
