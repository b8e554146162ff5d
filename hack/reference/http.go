// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unibus/unibus/internal/httpapi"
)

// contractDir has what nodes and clients say to each other.
const contractDir = "api/membership/v1"

// clientDir has the client that is generated from the older form of the description, which its generator takes.
const clientDir = "internal/httpapi/apitest"

const httpHead = `<!-- Written by hack/reference (make generate). Do not edit. -->

# HTTP API

A node serves it on ` + "`--api-port`" + `, off loopback with TLS by ` + "`--tls-cert`" + `. The description that this page is made of is at
` + "`/openapi.json`" + ` and ` + "`/openapi.yaml`" + ` (OpenAPI 3.1), and at ` + "`/openapi-3.0.json`" + ` for tools that know no 3.1.

## Who asks

The caller proves itself with a JSON Web Token that it signs with its own nkey: ` + "`Authorization: Bearer TOKEN`" + `. No key ever reaches a node.
` + "[`unibus token`](cli.md#unibus-token)" + ` makes one:

` + "```text" + `
curl --cacert ca.crt --header "Authorization: Bearer $(unibus token)" https://bus.example:8223/v1/rooms
` + "```" + `

- The header is ` + "`{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}`" + `, and nothing else.
- ` + "`sub`" + ` is the public nkey (` + "`U...`" + `), which verifies the signature; ` + "`aud`" + ` is the ` + "`id`" + ` that ` + "`GET /v1/cluster`" + ` tells.
- ` + "`iat` and `exp`" + ` are seconds since 1970, at most 5 minutes apart. Clocks may differ by 30 seconds.

A user who is removed is refused at once, and what it has open ends. Following a room goes on when its token has expired, as long as the
user is in the room. What a caller may not know of is answered as if it were not there.

The first admins are those of ` + "`--admin`" + `: while a bus has none, nodes make them. The last admin can be neither removed nor demoted.

## Changes

- ` + "`PUT`" + ` makes a thing what the body says: 201 when it was not there, 200 when it was. The same again changes nothing.
- ` + "`ETag`" + ` is the revision. With ` + "`If-Match`" + ` a change is made only to that one, with ` + "`If-None-Match: *`" + ` only where nothing is; otherwise the answer is
  412. Without either the last one wins.
- A change is written into the audit before it is made, and again with its outcome. Without the first it is not made, unless it only takes rights
  away: removals of users, members and rooms, and demotions. These wait a second for the audit at most, and their entries come as soon as they can be
  written. Until then the log of the node has them.
- A node that is stopped completes the changes that are being made and writes the entries that wait, for 5 seconds at most. If it is killed, its log alone
  has these, and a change may be made or not without an outcome in the audit.
- 503 after a change may mean that it was made: ask for it again.

## Problems

Every answer that is no success is an ` + "`application/problem+json`" + ` (RFC 9457). Its ` + "`code`" + ` is stable, ` + "`detail`" + ` says the remedy, ` + "`type`" + ` is
` + "`urn:unibus:problem:`" + ` and the code. [Errors and remedies](errors.md#codes) lists the codes, and each request below those that it can be answered with.
A path that does not take a method answers 405 with ` + "`malformed`" + `, and says in ` + "`Allow`" + ` what it takes.
What is no HTTP, has headers of more than 16 KiB and some, or a Transfer-Encoding or an Expect that nobody knows, is answered 400, 431, 501 or 417, in plain text if at all.

## Requests
`

// described is the part of the description that the page tells.
type described struct {
	Paths      map[string]map[string]apiOperation `json:"paths"`
	Components struct {
		Schemas map[string]apiSchema `json:"schemas"`
	} `json:"components"`
}

type apiOperation struct {
	ID          string `json:"operationId"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Parameters  []struct {
		Name        string    `json:"name"`
		In          string    `json:"in"`
		Description string    `json:"description"`
		Schema      apiSchema `json:"schema"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]struct{ Schema apiSchema } `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string                                `json:"description"`
		Content     map[string]struct{ Schema apiSchema } `json:"content"`
	} `json:"responses"`
}

type apiSchema struct {
	Ref        string               `json:"$ref"`
	Type       any                  `json:"type"`
	Format     string               `json:"format"`
	Enum       []any                `json:"enum"`
	Items      *apiSchema           `json:"items"`
	Properties map[string]apiSchema `json:"properties"`
	Additional any                  `json:"additionalProperties"`
	Required   []string             `json:"required"`
	Minimum    *float64             `json:"minimum"`
	Maximum    *float64             `json:"maximum"`
}

// String names the type as a reader wants it.
func (s apiSchema) String() string {
	switch {
	case s.Ref != "":
		name := path.Base(s.Ref)
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	case s.Items != nil:
		return "list of " + s.Items.String()
	case len(s.Enum) > 0:
		var all []string
		for _, e := range s.Enum {
			all = append(all, fmt.Sprintf("`%v`", e))
		}
		return strings.Join(all, ", ")
	}
	kind := fmt.Sprint(s.Type)
	if list, ok := s.Type.([]any); ok && len(list) > 0 {
		kind = fmt.Sprint(list[0]) // the other is null
	}
	if s.Type == nil {
		kind = "any"
	}
	if s.Format != "" && s.Format != "int64" && s.Format != "int32" {
		kind += " (" + s.Format + ")"
	}
	if s.Minimum != nil && s.Maximum != nil {
		kind += fmt.Sprintf(", %v to %v", *s.Minimum, *s.Maximum)
	}
	return kind
}

// writeHTTP writes docs/http.md, and the description that the client of the tests is made of.
func writeHTTP(root string) error {
	doc, older, err := httpapi.Description()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, clientDir, "openapi.json"), append(older, '\n'), 0o644); err != nil {
		return err
	}
	var d described
	if err := json.Unmarshal(doc, &d); err != nil {
		return fmt.Errorf("description of the API: %w", err)
	}
	var out strings.Builder
	out.WriteString(httpHead)
	for _, p := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.SortedFunc(maps.Keys(d.Paths[p]), func(a, b string) int { return cmp.Compare(rank(a), rank(b)) }) {
			d.Paths[p][method].write(&out, method, p)
		}
	}
	contract, err := parse(filepath.Join(root, contractDir))
	if err != nil {
		return err
	}
	out.WriteString("\n## Types\n\n[Users and rooms](rooms.md#classes) says more of roles and classes.\n")
	abouts := fields(contract)
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		if about, ours := abouts[name]; ours { // the framework has types of its own, which nothing answers
			d.Components.Schemas[name].write(&out, name, about)
		}
	}
	return os.WriteFile(filepath.Join(root, "docs", "http.md"), []byte(out.String()), 0o644)
}

func (s apiSchema) write(out *strings.Builder, name string, about map[string]string) {
	fmt.Fprintf(out, "\n### %s\n\n| field | type | |\n|---|---|---|\n", name)
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		says := about[field]
		if !slices.Contains(s.Required, field) {
			says = strings.TrimSpace(says + " May be absent.")
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", field, s.Properties[field], says)
	}
}

func rank(method string) int { return slices.Index([]string{"get", "put", "post", "delete"}, method) }

func (o apiOperation) write(out *strings.Builder, method, p string) {
	fmt.Fprintf(out, "\n### %s %s\n\n%s. Operation `%s`.\n", strings.ToUpper(method), p, o.Summary, o.ID)
	if o.Description != "" {
		fmt.Fprintf(out, "\n%s\n", o.Description)
	}
	if len(o.Parameters) > 0 {
		out.WriteString("\n| parameter | in | type | |\n|---|---|---|---|\n")
		for _, q := range o.Parameters {
			fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", q.Name, q.In, q.Schema, q.Description)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
		fmt.Fprintf(out, "\nBody (`%s`): %s.\n", kind, o.RequestBody.Content[kind].Schema)
	}
	out.WriteString("\n| status | | body |\n|---|---|---|\n")
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		var bodies []string
		for _, kind := range slices.Sorted(maps.Keys(r.Content)) {
			bodies = append(bodies, r.Content[kind].Schema.String())
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", status, r.Description, strings.Join(bodies, "; "))
	}
}
