// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func call(t *testing.T, srv *httptest.Server, method, path string, body io.Reader, into any) int {
	t.Helper()
	req, err := http.NewRequest(method, srv.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s %s: content type %q", method, path, ct)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode
}

func TestControlEndpoint(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Version, cfg.RouteURL, cfg.HTTPURL = "v9", "nats://10.0.0.1:6222", func() string { return "http://10.0.0.1:8222" }
	f := MustOpen(t, cfg)
	srv := httptest.NewServer(f.Handler())
	t.Cleanup(srv.Close)

	var s v1.NodeStatus
	if code := call(t, srv, "GET", v1.PathNode, nil, &s); code != 200 {
		t.Errorf("status: %d", code)
	}
	if d := cmp.Diff(f.Status(), s); d != "" || s.Version != "v9" || s.RouteURL != "nats://10.0.0.1:6222" || s.HTTPURL == "" {
		t.Errorf("status (-want +got):\n%s", d)
	}

	o := order(f, v1.OrderJoin, "a-1")
	signed, _ := o.Sign(testSign)
	good, _ := json.Marshal(signed)
	late, _ := with(o, func(o *v1.Order) { o.Nonce = "n" }).Sign(testSign)
	lateBody, _ := json.Marshal(late)
	unsigned, _ := json.Marshal(v1.SignedOrder{Order: signed.Order})
	malformed, _ := with(o, func(o *v1.Order) { o.Kind = "x" }).Sign(testSign)
	malformedBody, _ := json.Marshal(malformed)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"no body":       {"POST", v1.PathOrders, "", 400, v1.CodeMalformed},
		"garbled":       {"POST", v1.PathOrders, string(good[:len(good)/2]), 400, v1.CodeMalformed},
		"unknown field": {"POST", v1.PathOrders, `{"order":"","signature":"","x":1}`, 400, v1.CodeMalformed},
		"two values":    {"POST", v1.PathOrders, string(good) + "{}", 400, v1.CodeMalformed},
		"too large":     {"POST", v1.PathOrders, strings.Repeat(" ", v1.MaxBody+1), 413, v1.CodeMalformed},
		"unsigned":      {"POST", v1.PathOrders, string(unsigned), 403, v1.CodeUnsigned},
		"malformed":     {"POST", v1.PathOrders, string(malformedBody), 400, v1.CodeMalformed},
		"late":          {"POST", v1.PathOrders, string(lateBody), 409, v1.CodeNonce},
		"wrong method":  {"GET", v1.PathOrders, "", 405, v1.CodeMalformed},
		"wrong path":    {"GET", "/v1", "", 404, v1.CodeMalformed},
	} {
		var e v1.Error
		if status := call(t, srv, c.method, c.path, strings.NewReader(c.body), &e); status != c.status || e.Code != c.code || e.Message == "" {
			t.Errorf("%s: %d %+v, want %d %s", name, status, e, c.status, c.code)
		}
	}
	if code := call(t, srv, "POST", v1.PathOrders, bytes.NewReader(good), &s); code != 200 || s.ServerName != "a-1" || s.Nonce == o.Nonce {
		t.Errorf("a good order: %d %+v", code, s)
	}
}
