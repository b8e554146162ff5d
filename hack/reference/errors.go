// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unibus/unibus/internal/httpapi"
)

const errorsHead = `<!-- Written by hack/reference (make generate). Do not edit. -->

# Errors and remedies

What is answered and printed when something was not done, by what programs go by: codes, errors, exit codes. All of these stay as they are. The
text beside them is for people, names the thing and says what to do about it, and may change. [Refusals](refusals.md) lists the texts of nodes and of
` + "`unibus cluster`, [troubleshooting](troubleshooting.md)" + ` goes from what is seen to what is done.

## Codes

Whoever refuses a request answers with a ` + "`code`: the [HTTP API](http.md#problems), with these statuses; the services that [rooms](rooms.md#history)" + ` have for
users; and the control endpoint of a node, to [orders](formation.md#what-a-node-does-when-it-starts).

| code | of | what it means | remedy |
|---|---|---|---|
`

const clientHead = `
## Errors of the client library

What ` + "`errors.Is` finds in an error of [`api/client`](../api/client/doc.go)" + `. Those that a node answers stand for its code; where the library says so itself, the remedy is
the same.

| error | stands for | what it means | remedy |
|---|---|---|---|
`

// told is something with a name that its comment explains: "Name: what it is."
type told struct{ name, value, about string }

// explained are the exported constants and variables without a type whose names begin with prefix, in the order of the sources.
func explained(files []*ast.File, prefix string) (found []told) {
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || len(v.Values) != 1 || v.Type != nil || !v.Names[0].IsExported() || !strings.HasPrefix(v.Names[0].Name, prefix) {
				return true
			}
			_, about, _ := strings.Cut(strings.Join(strings.Fields(v.Doc.Text()), " "), ": ")
			found = append(found, told{v.Names[0].Name, text(nil, v.Values[0]), strings.TrimSuffix(about, ".")})
			return true
		})
	}
	return found
}

// table is the document as it grows. It knows which remedies are still to be told, and what has none.
type table struct {
	strings.Builder
	unused  map[string]string
	missing []string
}

// row writes a row that ends with the remedy of key.
func (t *table) row(key string, cells ...string) {
	delete(t.unused, key)
	t.rowWith(key, remedies[key], cells...)
}

func (t *table) rowWith(key, remedy string, cells ...string) {
	if remedy == "" || slices.Contains(cells[1:], "") {
		t.missing = append(t.missing, key)
	}
	fmt.Fprintf(t, "| %s | %s |\n", strings.Join(cells, " | "), remedy)
}

// writeErrors writes docs/errors.md.
func writeErrors(root string) error {
	text, err := allErrors(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "errors.md"), []byte(text), 0o644)
}

// allErrors fails when something has no remedy, or a remedy is of nothing.
func allErrors(root string) (string, error) {
	t := &table{unused: maps.Clone(remedies)}
	t.WriteString(errorsHead)
	for _, chapter := range []func(*table, string) error{writeCodes, writeClientErrors, writeExits, writeFindings} {
		if err := chapter(t, root); err != nil {
			return "", err
		}
	}
	if len(t.missing) > 0 || len(t.unused) > 0 {
		return "", fmt.Errorf("without a meaning or a remedy: %q; remedies of nothing: %q: correct hack/reference/remedies.go or the comment",
			t.missing, slices.Sorted(maps.Keys(t.unused)))
	}
	return t.String(), nil
}

func writeCodes(t *table, root string) error {
	statuses, err := statusesOf()
	if err != nil {
		return err
	}
	contract, err := parse(filepath.Join(root, contractDir))
	if err != nil {
		return err
	}
	services, err := parse(filepath.Join(root, "internal", "rooms"))
	if err != nil {
		return err
	}
	orders, err := parse(filepath.Join(root, "internal", "formation"))
	if err != nil {
		return err
	}
	inServices, inOrders := mentioned(services), mentioned(orders)
	for _, f := range contract { // what a history's stream answers, in words of the contract
		if f.Scope.Lookup("streamError") != nil {
			maps.Copy(inServices, mentioned([]*ast.File{f}))
		}
	}
	for _, c := range explained(contract, "Code") {
		var of []string
		over := strings.Join(statuses[c.value], ", ")
		if over != "" {
			of = append(of, "HTTP "+over)
		}
		if inServices[c.name] && over != events {
			of = append(of, "services")
		}
		if inOrders[c.name] {
			of = append(of, "orders")
		}
		t.row(c.value, "`"+c.value+"`", strings.Join(of, "; "), c.about)
	}
	return nil
}

// events stands in place of a status for what ends the events of who follows a room over HTTP.
const events = "events"

// mentioned are the names of codes that sources use.
func mentioned(files []*ast.File) map[string]bool {
	names := map[string]bool{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && strings.HasPrefix(id.Name, "Code") {
				names[id.Name] = true
			}
			return true
		})
	}
	return names
}

// statusesOf are those with which each code is answered over HTTP, as the API describes itself.
func statusesOf() (map[string][]string, error) {
	doc, _, err := httpapi.Description()
	if err != nil {
		return nil, err
	}
	var d described
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, fmt.Errorf("description of the API: %w", err)
	}
	known, statuses := httpapi.Codes(), map[string][]string{}
	for _, methods := range d.Paths {
		for _, o := range methods {
			for status, r := range o.Responses {
				_, codes, _ := strings.Cut(r.Description, ": ")
				for code := range strings.SplitSeq(codes, ", ") {
					if slices.Contains(known, code) && !slices.Contains(statuses[code], status) {
						statuses[code] = append(statuses[code], status)
					}
				}
			}
		}
	}
	for _, code := range known {
		slices.Sort(statuses[code])
		if statuses[code] == nil {
			statuses[code] = []string{events}
		}
	}
	return statuses, nil
}

func writeClientErrors(t *table, root string) error {
	t.WriteString(clientHead)
	contract, err := parse(filepath.Join(root, contractDir))
	if err != nil {
		return err
	}
	client, err := parse(filepath.Join(root, "api", "client"))
	if err != nil {
		return err
	}
	codes := map[string]string{}
	for _, c := range explained(contract, "Code") {
		codes[c.name] = c.value
	}
	standsFor := map[string][]string{}
	for _, f := range client {
		ast.Inspect(f, func(n ast.Node) bool { // byCode
			if kv, ok := n.(*ast.KeyValueExpr); ok {
				code, isCode := kv.Key.(*ast.SelectorExpr)
				err, isErr := kv.Value.(*ast.Ident)
				if isCode && isErr && codes[code.Sel.Name] != "" {
					standsFor[err.Name] = append(standsFor[err.Name], "`"+codes[code.Sel.Name]+"`")
				}
			}
			return true
		})
	}
	for _, e := range explained(client, "Err") {
		if s := strings.Join(standsFor[e.name], ", "); s != "" {
			t.rowWith(e.name, "as for the code", "`"+e.name+"`", s, e.about)
			continue
		}
		t.row(e.name, "`"+e.name+"`", "-", e.about)
	}
	return nil
}
