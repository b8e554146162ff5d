// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/natstest"
)

// certificates: what is wrong with one is found at the node and at the API.
func (s *scene) certificates() []planted {
	other, err := natstest.NewCA("other")
	s.must(err)
	now := time.Now()
	var all []planted
	for want, issue := range map[string]func(){
		CertificateCA: func() { s.use(other, natstest.LeafSpec{}) },
		CertificateOver: func() {
			s.use(s.ca, natstest.LeafSpec{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})
		},
		CertificateEarly: func() {
			s.use(s.ca, natstest.LeafSpec{NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour)})
		},
		CertificateName: func() { s.use(s.ca, natstest.LeafSpec{Names: []string{"elsewhere.test"}}) },
	} {
		all = append(all, planted{name: want, config: s.linked("ann", nil), want: "fault " + want + ", fault " + want,
			before: issue, after: func() { s.use(s.ca, natstest.LeafSpec{}) }})
	}
	return all
}

func (s *scene) clocks() []planted {
	var all []planted
	for skew, want := range map[time.Duration]string{2 * time.Minute: "fault clock-wrong", -2 * time.Minute: "fault clock-wrong",
		20 * time.Second: "warning clock-wrong", 3 * time.Second: ""} {
		all = append(all, planted{name: "clock " + skew.String(), config: s.linked("ann", nil), want: want,
			before: func() { s.skew.Store(int64(skew)) }, after: func() { s.skew.Store(0) }})
	}
	return all
}

// refusals are all the ways in which one is not let in.
func (s *scene) refusals() []planted {
	at := func(servers ...string) func(*contexts.Flags) { return func(f *contexts.Flags) { f.Servers = servers } }
	var tokens int64
	slow := s.linked("ann", at(s.oddServer))
	slow.Limit = 3 * time.Second
	return []planted{
		{name: "stranger", config: s.linked("stranger", nil), want: "fault key-not-listed, fault key-not-listed"},
		{name: "stranger without API", config: s.linked("stranger", func(f *contexts.Flags) { f.API = "" }), want: "fault key-not-listed, note no-api"},
		{name: "stranger who is told no time", config: s.linked("stranger", nil), want: "fault key-not-listed, fault key-not-listed",
			words: "or the clocks differ, which can't be told", before: func() { s.timeless.Store(true) }, after: func() { s.timeless.Store(false) }},
		{name: "one node takes nobody", config: s.linked("ann", at(s.oddServer, s.server)), want: "warning node-not-ready"},
		{name: "the only node takes nobody", config: s.linked("ann", at(s.oddServer)), want: "fault node-not-ready, warning only-api"},
		{name: "no services", config: slow, want: "fault rooms-failed, warning only-api",
			before: func() { s.admits.Store(true) }, after: func() { s.admits.Store(false) }},
		{name: "no room", config: s.linked("bob", nil), want: "note no-room"},
		{name: "another cluster", config: s.linked("ann", func(f *contexts.Flags) { f.ClusterID = "mine" }), want: "fault other-cluster, warning only-messages",
			before: func() { tokens = s.tokens.Load() }, after: func() {
				if s.tokens.Load() != tokens {
					s.t.Error("another cluster was given a token")
				}
			}},
		{name: "token", config: s.linked("ann", nil), want: "fault token-refused",
			before: func() { s.deaf.Store(true) }, after: func() { s.deaf.Store(false) }},
	}
}

func (s *scene) apis() []planted {
	web := httptest.NewServer(http.NotFoundHandler())
	s.t.Cleanup(web.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		w.Write([]byte(`{"code":"internal","status":500}`))
	}))
	s.t.Cleanup(broken.Close)
	silent := s.listenTCP(func(c net.Conn) {
		for b := make([]byte, 512); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	})
	nobody := fmt.Sprintf("127.0.0.1:%d", natstest.MustFreePort(s.t))
	at := func(api string) Config { return s.linked("ann", func(f *contexts.Flags) { f.API = api }) }
	quiet := at("http://" + silent)
	quiet.Limit = 2 * time.Second
	return []planted{
		{name: "not the API", config: at(web.URL), want: "fault not-api, warning only-messages"},
		{name: "messages' port", config: at("http" + s.server[len("nats"):]), want: "fault not-api, warning only-messages"},
		{name: "failing API", config: at(broken.URL), want: "fault api-failed, warning only-messages"},
		{name: "API without TLS", config: at("https" + web.URL[len("http"):]), want: "fault no-tls, warning only-messages"},
		{name: "silent API", config: quiet, want: "fault silent, warning only-messages"},
		{name: "API off loopback", config: at("http://192.0.2.1:8223"), want: "fault insecure, warning only-messages"},
		{name: "API's form", config: at("https://u:secret@127.0.0.1"), want: "fault url-form, warning only-messages"},
		{name: "one API is down", config: at("https://" + nobody + ", " + s.api), want: "warning connection-refused"},
		{name: "one API is elsewhere", config: at(s.api + ",http://192.0.2.1:8223"), want: "fault insecure"},
		{name: "one API is none", config: at(s.api + "," + web.URL), want: "fault not-api"},
		{name: "API that knows nobody", config: at(s.oddAPI), want: "fault node-not-ready, warning only-messages"},
	}
}

// TestClockAgrees: an answer that takes long is no wrong clock.
func TestClockAgrees(t *testing.T) {
	date := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		began, ended time.Duration // after date
		want         Verdict
	}{
		{0, 0, OK}, {-time.Hour, time.Hour, OK}, {900 * time.Millisecond, time.Hour, OK}, {30 * time.Second, 30 * time.Second, Warning},
		{-30 * time.Second, -30 * time.Second, Warning}, {32 * time.Second, 33 * time.Second, Fault}, {-33 * time.Second, -32 * time.Second, Fault},
	} {
		if f := (answer{date: date, began: date.Add(c.began), ended: date.Add(c.ended)}).clock(); f.Verdict != c.want {
			t.Errorf("%v to %v: %+v, want %s", c.began, c.ended, f, c.want)
		}
	}
}
