// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// statusLog is what was answered, by method and route.
type statusLog struct {
	mu   sync.Mutex
	seen map[string]map[string]bool
}

func (l *statusLog) answered(method, route string, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := method + " " + route
	if l.seen[key] == nil {
		l.seen[key] = map[string]bool{}
	}
	l.seen[key][fmt.Sprint(status)] = true
}

// note keeps the code of an answer.
func (s *scene) note(method, path string, r result) {
	key := fmt.Sprint(s.operation(method, path), " ", r.status)
	if s.codes[key] == nil {
		s.codes[key] = map[string]bool{}
	}
	s.codes[key][r.Code] = true
}

// operation is the method and route of a request, as the description has them.
func (s *scene) operation(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for key := range s.routes {
		m, route, _ := strings.Cut(key, " ")
		if m == method && slices.EqualFunc(strings.Split(route, "/"), parts, func(name, part string) bool { return name == part || strings.HasPrefix(name, "{") }) {
			return key
		}
	}
	return "other"
}

// expectCodes expects that the codes which the description tells of a status are those that were answered. What was asked by hand, which
// are bodies that don't come whole, is not among them.
func (s *scene) expectCodes(operation, status string, r response) {
	s.t.Helper()
	_, codes, _ := strings.Cut(r.Description, ": ")
	want := slices.Sorted(strings.SplitSeq(codes, ", "))
	if strings.HasPrefix(operation, http.MethodPost) && status == "400" {
		want = slices.DeleteFunc(want, func(c string) bool { return c == v1.CodeMalformed })
	}
	if got := slices.Sorted(maps.Keys(s.codes[operation+" "+status])); status != "408" && !slices.Equal(want, got) {
		s.t.Errorf("%s %s: the codes %q are documented, and %q are answered", operation, status, want, got)
	}
}
