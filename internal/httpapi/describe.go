// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// pathOpenAPI is where the description is, with ".json" or ".yaml" behind it; "-3.0.json" is it for tools that know no 3.1.
const pathOpenAPI = "/openapi"

func isPublic(route string) bool {
	return route == v1.PathCluster || strings.HasPrefix(route, pathOpenAPI)
}

// describe makes the routes and their description, which is of the same types.
func (a *API) describe() {
	formats := map[string]huma.Format{"application/json": {Marshal: marshal, Unmarshal: unmarshal}}
	formats["json"] = formats["application/json"] // what ends in +json
	a.huma = humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "UniBus", Version: "1", Description: about, License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{schemeToken: {Type: "http", Scheme: "bearer", BearerFormat: "JWT",
					Description: "A JSON Web Token that the caller signs with its own nkey (EdDSA): sub is the public key, aud the id that GET " +
						v1.PathCluster + " tells, iat and exp are at most 5 minutes apart."}},
			},
		},
		OpenAPIPath: pathOpenAPI, Formats: formats, DefaultFormat: "application/json", Transformers: []huma.Transformer{transform},
		RejectUnknownQueryParameters: true,
	})
	a.describeCluster()
	a.describeUsers()
	a.describeRooms()
	a.describeMembers()
	a.describeMessages()
	a.describeClasses()
	a.describeAudit()
}

// writeDescription makes the texts of the description, all of which huma makes when the first asks and without a lock.
func (a *API) writeDescription() {
	for _, form := range []string{".json", ".yaml", "-3.0.json", "-3.0.yaml"} {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: pathOpenAPI + form}}
		a.mux.ServeHTTP(discard{http.Header{}}, r)
	}
}

// Description returns the description of the API as nodes serve it, in JSON: in OpenAPI 3.1, and in 3.0 for tools that know no later one.
func Description() (doc, older []byte, err error) {
	a, err := New(Config{Cluster: func() v1.Cluster { return v1.Cluster{} }, Directory: membership.NewDirectory(membership.Config{})})
	if err != nil {
		return nil, nil, err
	}
	if doc, err = json.Marshal(a.huma.OpenAPI()); err != nil {
		return nil, nil, err
	}
	older, err = a.huma.OpenAPI().Downgrade()
	return doc, older, err
}

// Codes are those of all problems, sorted.
func Codes() []string { return slices.Sorted(maps.Keys(statuses)) }

const (
	schemeToken = "token"
	about       = "Users, rooms, members, history classes and messages of a bus. Errors are problems of RFC 9457, whose code is stable. " +
		"Whatever a caller may not know of is answered as if it were not there."
)

func marshal(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// unmarshal takes one value. Numbers stay what they were written as until they are known to fit.
func unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// everyCode is what any request with a token may be answered with.
var everyCode = []string{v1.CodeToken, v1.CodeRate, v1.CodeInternal, v1.CodeUnavailable}

// operation describes one: its codes are those beyond everyCode.
type operation struct {
	id, method, path, summary string
	codes                     []string
	// conditions is set for what takes If-Match, answers 412, and 409 where others come in between again and again.
	conditions bool
	public     bool
	// memory is set for what is answered from memory, where nothing can break.
	memory bool
	// more changes what huma has made of it.
	more func(*huma.Operation)
}

func (o operation) describe(r huma.Registry) huma.Operation {
	tag, _, _ := strings.Cut(strings.TrimPrefix(o.path, "/v1/"), "/")
	op := huma.Operation{OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Tags: []string{tag},
		MaxBodyBytes: -1, BodyReadTimeout: -1, // both are seen to before
		Responses: map[string]*huma.Response{}}
	codes := slices.Concat(o.codes, everyCode)
	if o.conditions && !slices.Contains(codes, v1.CodeConflict) {
		codes = append(codes, v1.CodeConflict) // others have changed it at each attempt
	}
	if o.memory {
		codes = slices.DeleteFunc(codes, func(c string) bool { return c == v1.CodeInternal })
	}
	if o.public {
		codes = append(slices.Clone(o.codes), v1.CodeRate)
	} else {
		op.Security = []map[string][]string{{schemeToken: {}}}
	}
	by := map[int][]string{}
	for _, c := range codes {
		by[statuses[c]] = append(by[statuses[c]], c)
	}
	if o.method == http.MethodPut || o.method == http.MethodPost {
		by[http.StatusRequestTimeout] = []string{v1.CodeMalformed}
		by[http.StatusRequestEntityTooLarge] = []string{v1.CodeTooLarge}
		if !slices.Contains(by[http.StatusBadRequest], v1.CodeMalformed) {
			by[http.StatusBadRequest] = append(by[http.StatusBadRequest], v1.CodeMalformed)
		}
	}
	if o.method == http.MethodPut {
		by[http.StatusUnprocessableEntity] = []string{v1.CodeInvalid}
		by[http.StatusUnsupportedMediaType] = []string{v1.CodeMalformed}
	}
	if o.conditions {
		by[http.StatusPreconditionFailed] = []string{v1.CodeConflict}
		by[http.StatusBadRequest] = []string{v1.CodeMalformed}
	}
	schema := r.Schema(reflect.TypeFor[v1.Problem](), true, "Problem")
	for status, codes := range by {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status) + ": " + strings.Join(codes, ", "),
			Content: map[string]*huma.MediaType{contentProblem: {Schema: schema}}}
	}
	return op
}

// register makes a route. Every error of the handler is answered as the problem that it is.
func register[I, O any](a *API, o operation, handle func(context.Context, *caller, *I) (*O, error)) {
	op := o.describe(a.huma.OpenAPI().Components.Schemas)
	responses := op.Responses
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, callerOf(ctx), in)
		if err == nil {
			return out, nil
		}
		f := problemOf(ctx, err)
		if f.Code == v1.CodeInternal {
			id := rand.Text()
			a.log.Error("a request failed", "request", id, "operation", o.id, "error", err)
			f = failed(id)
		}
		return nil, f
	})
	if ok := responses["200"]; ok != nil && o.method == http.MethodPut {
		made := *ok
		made.Description = http.StatusText(http.StatusCreated)
		made.Headers = maps.Clone(ok.Headers)
		responses["201"] = &made
	}
	if o.more != nil {
		o.more(a.operationOf(o))
	}
}

func (a *API) operationOf(o operation) *huma.Operation {
	p := a.huma.OpenAPI().Paths[o.path]
	return map[string]*huma.Operation{http.MethodGet: p.Get, http.MethodPut: p.Put, http.MethodPost: p.Post, http.MethodDelete: p.Delete}[o.method]
}
