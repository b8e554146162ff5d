// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// A handler that panics is the node's failure: it is logged as an error, under an id that the caller is told and without what may be secret. What
// was half answered by then is cut off.
func TestPanics(t *testing.T) {
	log := natstest.NewLog()
	b := newBus(t, func(c *Config) { c.Logger = log.Logger() })
	root := b.user("root", true)
	b.api.mux.HandleFunc("GET /v1/broken", func(http.ResponseWriter, *http.Request) { panic("a " + "secret") })
	b.api.mux.HandleFunc("GET /v1/half", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		b.must(nil, http.NewResponseController(w).Flush())
		var none []int
		_ = none[len(none)]
	})
	r := root.do("GET", "/v1/broken", nil).expect(t, 500, v1.CodeInternal)
	_, id, _ := strings.Cut(r.Detail, "of request ")
	if id == "" || !log.Said("ERROR a request panicked", id, "/v1/broken", "problem_test.go") {
		t.Errorf("not logged: %s", r.Detail)
	}
	req := b.must(http.NewRequestWithContext(t.Context(), "GET", b.url+"/v1/half", nil)).(*http.Request)
	req.Header.Set("Authorization", bearer+root.token(nil))
	resp := b.must(http.DefaultClient.Do(req)).(*http.Response)
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q is taken for all", got)
	}
	natstest.Within(t, natstest.Patience, "what was wrong", func() bool { return log.Said("ERROR a request panicked", "/v1/half", "index out of range") })
	if log.Said("secret") {
		t.Error("what it panicked with is logged")
	}
	natstest.Within(t, natstest.Patience, "the end of both", func() bool {
		b.api.flights.mu.Lock()
		defer b.api.flights.mu.Unlock()
		return len(b.api.flights.byUser) == 0
	})
}
