// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/e2e/crowd"
)

// TestParlourJudges: what is wrong in the parlour and with the pager is found.
func TestParlourJudges(t *testing.T) {
	l := &library{say: t.Logf}
	p, err := l.newParlour(crowd.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	said := func(by *guest, number int) client.Message {
		return client.Message{Sender: by.key, Data: fmt.Append(nil, number, " ", time.Now().UnixNano())}
	}
	expect := func(what string, want crowd.Findings) {
		t.Helper()
		if diff := cmp.Diff(want, l.findings()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		l.found = crowd.Findings{}
	}
	p.said, p.taken = 5, map[uint64]bool{1: true, 2: true, 4: true}
	for _, number := range []int{1, 2, 4} {
		p.hear(said(p.speaker, number))
	}
	p.compare(1, 4)
	expect("all is heard", crowd.Findings{})
	p.taken[3] = true
	p.compare(1, 4)
	expect("one is not heard", crowd.Findings{Lost: 1})
	p.hear(said(p.speaker, 2))
	expect("one comes twice as a node stops", crowd.Findings{})
	p.calmly.Store(true)
	p.hear(said(p.speaker, 2))
	expect("one comes twice", crowd.Findings{Duplicated: 1})
	p.hear(said(p.speaker, 6))
	p.hear(said(p.passer, 3))
	p.hear(client.Message{Sender: p.speaker.key, Data: []byte("hello")})
	expect("nobody said that", crowd.Findings{Wrong: 3})

	for _, m := range []client.Message{{Sender: p.speaker.key, Data: []byte("1.0")}, {Sender: p.speaker.key, Data: []byte("1.1")}} {
		if a, err := p.serve(t.Context(), m); err != nil || string(a.Data) != p.speaker.key+" "+string(m.Data) {
			t.Errorf("%q, %v", a.Data, err)
		}
	}
	expect("two requests", crowd.Findings{})
	for by, want := range map[*guest]crowd.Findings{p.speaker: {Duplicated: 1}, p.listener: {Duplicated: 1, Leaks: 1}} {
		if _, err := p.serve(t.Context(), client.Message{Sender: by.key, Data: []byte("1.0")}); err != nil {
			t.Error(err)
		}
		expect("a request that comes twice", want)
	}
}
