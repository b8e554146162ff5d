// SPDX-License-Identifier: Apache-2.0

package front

import (
	"encoding/base64"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultsEndByThemselves(t *testing.T) {
	now := time.Unix(1000, 0)
	f := newFaults(func() time.Time { return now })
	all := Fault{Mode: Slow, Latency: time.Second, For: time.Minute}
	one := Fault{ServiceAccount: "a/b", Mode: Down, For: 10 * time.Second}
	for _, fault := range []Fault{all, one} {
		if err := f.set(fault); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		after   time.Duration
		account string
		want    Fault
	}{
		{0, "a/b", one},
		{0, "c/d", all},
		{0, "", all},
		{10*time.Second - 1, "a/b", one},
		{1, "a/b", all},
		{50*time.Second - 1, "a/b", all},
		{1, "a/b", Fault{Mode: None}},
		{0, "c/d", Fault{Mode: None}},
	}
	for i, step := range steps {
		now = now.Add(step.after)
		if diff := cmp.Diff(step.want, f.of(step.account)); diff != "" {
			t.Errorf("step %d, account %q (-want +got):\n%s", i, step.account, diff)
		}
	}
}

func TestNoneEndsFaults(t *testing.T) {
	f := newFaults(time.Now)
	for _, account := range []string{"", "a/b", "c/d"} {
		if err := f.set(Fault{ServiceAccount: account, Mode: Reject, For: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.of("a/b").Status; got != http.StatusServiceUnavailable {
		t.Errorf("a fault without a status answers %d, want 503", got)
	}
	if err := f.set(Fault{ServiceAccount: "a/b", Mode: None}); err != nil {
		t.Fatal(err)
	}
	if got := f.of("a/b").ServiceAccount; got != "" {
		t.Errorf("the fault of %q goes on", got)
	}
	if got := f.of("c/d").ServiceAccount; got != "c/d" {
		t.Errorf("the fault of another account ended")
	}
	if err := f.set(Fault{Mode: None}); err != nil {
		t.Fatal(err)
	}
	if got := f.of("c/d"); got.Mode != None {
		t.Errorf("after all faults were ended: %+v", got)
	}
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	for _, fault := range []Fault{
		{},
		{Mode: "broken", For: time.Minute},
		{Mode: Slow, For: time.Minute},
		{Mode: Slow, Latency: -1, For: time.Minute},
		{Mode: Reject, Status: 404, For: time.Minute},
		{Mode: Reject, Status: 500},
		{Mode: Down},
		{Mode: Down, For: -1},
	} {
		if err := newFaults(time.Now).set(fault); err == nil {
			t.Errorf("%+v is taken", fault)
		}
	}
}

func TestDownEndsWhatIsOpen(t *testing.T) {
	f := newFaults(time.Now)
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	shared := withLine(t.Context(), near)
	hit, _, leave := f.enter(shared, "a/b")
	defer leave()
	spared, _, leave := f.enter(shared, "c/d")
	defer leave()
	if err := f.set(Fault{ServiceAccount: "a/b", Mode: Down, For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if hit.Err() == nil || spared.Err() != nil {
		t.Errorf("hit: %v, spared: %v", hit.Err(), spared.Err())
	}
	if err := f.set(Fault{Mode: Down, For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if spared.Err() == nil {
		t.Error("an outage for all spares one")
	}
	if _, met, leave := f.enter(shared, "e/f"); met.Mode != Down {
		t.Errorf("a request meets %+v", met)
	} else {
		leave()
	}
	if len(f.open) != 2 {
		t.Errorf("%d requests are open, want the 2 that nobody left", len(f.open))
	}
}

func TestAccountOf(t *testing.T) {
	claims := func(text string) string {
		return "Bearer h." + base64.RawURLEncoding.EncodeToString([]byte(text)) + ".s"
	}
	tests := map[string]struct{ header, want string }{
		"a service account": {claims(`{"sub":"system:serviceaccount:ns:name"}`), "ns/name"},
		"lower case scheme": {"bearer" + claims(`{"sub":"system:serviceaccount:ns:name"}`)[len("Bearer"):], "ns/name"},
		"a user":            {claims(`{"sub":"admin"}`), ""},
		"no subject":        {claims(`{}`), ""},
		"subject no string": {claims(`{"sub":7}`), ""},
		"no JSON":           {claims(`x`), ""},
		"no base64":         {"Bearer a.%.c", ""},
		"opaque":            {"Bearer secret", ""},
		"basic":             {"Basic YTpi", ""},
		"none":              {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := accountOf(http.Header{"Authorization": {test.header}}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
