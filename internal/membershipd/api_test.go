// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// httpUser asks nodes over HTTP.
type httpUser struct {
	t       *testing.T
	key     string
	private ed25519.PrivateKey
}

func mustHTTPUser(t *testing.T) *httpUser {
	t.Helper()
	return mustStranger(t).overHTTP(t)
}

// overHTTP is the same user.
func (u testUser) overHTTP(t *testing.T) *httpUser {
	t.Helper()
	seed, err := u.pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	return &httpUser{t, u.key, ed25519.NewKeyFromSeed(raw)}
}

// do asks a node; out may be nil.
func (u *httpUser) do(n *testNode, method, path string, body, out any) (status int) {
	u.t.Helper()
	r, err := http.DefaultClient.Do(u.request(n, method, path, body))
	if err != nil {
		u.t.Logf("%s %s: %v", method, path, err)
		return 0
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && out != nil && r.StatusCode < 300 {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		u.t.Logf("%s %s: %d %s: %v", method, path, r.StatusCode, b, err)
		return 0
	}
	return r.StatusCode
}

func (u *httpUser) request(n *testNode, method, path string, body any) *http.Request {
	u.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			u.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(u.t.Context(), method, n.apiURL+path, in)
	if err != nil {
		u.t.Fatal(err)
	}
	now := time.Now().Unix()
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": u.key, "aud": n.clusterInfo().ID, "iat": now, "exp": now + 60}).SignedString(u.private)
	if err != nil {
		u.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// mustFollow follows a room as soon as the node lets the user, and returns what says whether that has ended.
func (u *httpUser) mustFollow(n *testNode, room string) (ended func() bool) {
	u.t.Helper()
	path := v1.PathRooms + "/" + room + "/messages"
	u.mustDo(n, 200, "GET", path, nil, nil)
	req := u.request(n, "GET", path, nil)
	req.Header.Set("Accept", "text/event-stream")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		u.t.Fatal(err)
	}
	if r.StatusCode != 200 {
		r.Body.Close()
		u.t.Fatalf("following %s is %s", room, r.Status)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, r.Body) // however it ends
	}()
	u.t.Cleanup(func() { r.Body.Close(); <-over })
	return func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	}
}

func (u *httpUser) mustDo(n *testNode, want int, method, path string, body, out any) {
	u.t.Helper()
	got := 0
	if !natstest.Until(limit, func() bool { got = u.do(n, method, path, body, out); return got == want }) {
		u.t.Fatalf("%s %s is %d, want %d", method, path, got, want)
	}
}

// TestTheAPI is the life of a bus by HTTP alone, on one node from its first start: the admin comes from the configuration.
func TestTheAPI(t *testing.T) {
	root, ann := mustHTTPUser(t), mustHTTPUser(t)
	n := mustRun(t, planFor(t, "n0", t.TempDir(), func(p *plan) { p.admins = []string{root.key} }))
	root.mustDo(n, 200, "GET", v1.PathUsers+"/admin", nil, nil)
	resp, err := http.Get(n.apiURL + v1.PathCluster)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var c v1.Cluster
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil || c.ID == "" || c.Node != "n0" || c.Name != "test" || c.MaxPayload != 1<<20 || c.Version == "" {
		t.Errorf("cluster %+v: %v", c, err)
	}
	class := membership.DefaultClass("kept")
	root.mustDo(n, 201, "PUT", v1.PathClasses+"/kept", class, nil)
	class.Name, class.MaxBytes = "huge", 1<<40
	root.mustDo(n, 409, "PUT", v1.PathClasses+"/huge", class, nil)
	// The second of two comes before the first has a stream.
	class.MaxBytes = 100 << 20
	class.Name = "half"
	root.mustDo(n, 201, "PUT", v1.PathClasses+"/half", class, nil)
	class.Name = "other-half"
	root.mustDo(n, 409, "PUT", v1.PathClasses+"/other-half", class, nil)
	root.mustDo(n, 201, "PUT", v1.PathRooms+"/red", v1.PutRoom{Class: "kept"}, nil)
	root.mustDo(n, 201, "PUT", v1.PathUsers+"/"+ann.key, v1.PutUser{Name: "ann"}, nil)
	root.mustDo(n, 201, "PUT", v1.PathRooms+"/red/members/ann", v1.PutMember{Role: v1.RoleMember}, nil)
	var appended v1.AppendAnswer
	ann.mustDo(n, 201, "POST", v1.PathRooms+"/red/messages", "hello", &appended) // once the class has its stream
	var page v1.Messages
	ann.mustDo(n, 200, "GET", fmt.Sprint(v1.PathRooms, "/red/messages?atLeast=", appended.Sequence), nil, &page)
	if len(page.Messages) != 1 || page.Messages[0].Text != `"hello"` || page.Messages[0].Sender != ann.key {
		t.Errorf("history %+v", page)
	}
	// A deleted room's name is free once its history is gone.
	root.mustDo(n, 204, "DELETE", v1.PathRooms+"/red", nil, nil)
	ann.mustDo(n, 404, "GET", v1.PathRooms+"/red", nil, nil)
	root.mustDo(n, 201, "PUT", v1.PathRooms+"/red", v1.PutRoom{}, nil)
	var audit v1.Audit
	root.mustDo(n, 200, "GET", v1.PathAudit, nil, &audit)
	if len(audit.Entries) == 0 || audit.Entries[len(audit.Entries)-1].Action != "--admin" || audit.Entries[len(audit.Entries)-1].Who != "n0" {
		t.Errorf("the audit begins with %+v", audit.Entries)
	}
	metrics, err := http.Get(n.httpURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	text, err := io.ReadAll(metrics.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`unibus_api_requests_total{method="PUT",route="/v1/rooms/{room}",status="201"} 2`, "unibus_api_connections ", "unibus_api_followers 0"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no metric %s", want)
		}
	}
	if strings.Contains(string(text), ann.key) {
		t.Error("metrics tell of a user")
	}
}

// TestRevokeFollowers: who follows a room by HTTP is out with the removal, and nobody else. No beat looks who may follow meanwhile.
func TestRevokeFollowers(t *testing.T) {
	root := mustHTTPUser(t)
	n := mustRun(t, planFor(t, "n0", t.TempDir(), func(p *plan) { p.admins, p.apiLimits.Heartbeat = []string{root.key}, time.Hour }))
	root.mustDo(n, 200, "GET", v1.PathUsers+"/admin", nil, nil)
	class := membership.DefaultClass("kept")
	root.mustDo(n, 201, "PUT", v1.PathClasses+"/kept", class, nil)
	root.mustDo(n, 201, "PUT", v1.PathRooms+"/red", v1.PutRoom{Class: "kept"}, nil)
	ended := map[string]func() bool{}
	for _, name := range []string{"ann", "eve"} {
		u := mustHTTPUser(t)
		root.mustDo(n, 201, "PUT", v1.PathUsers+"/"+u.key, v1.PutUser{Name: name}, nil)
		root.mustDo(n, 201, "PUT", v1.PathRooms+"/red/members/"+name, v1.PutMember{Role: v1.RoleMember}, nil)
		ended[name] = u.mustFollow(n, "red")
	}
	root.mustDo(n, 204, "DELETE", v1.PathUsers+"/eve", nil, nil)
	natstest.Within(t, limit, "eve to be out", ended["eve"])
	if ended["ann"]() {
		t.Error("ann was in nobody's way")
	}
}

// TestFirstAdmins: three nodes make the admins of their configuration at once, and each but once. An admin who was removed does not come
// back as long as there is another.
func TestFirstAdmins(t *testing.T) {
	root, second := mustHTTPUser(t), mustHTTPUser(t)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, func(i int, p *plan) {
		p.formation.StoreDir, p.admins = dirs[i], []string{root.key, second.key}
	})
	mustBecome(t, "/readyz", 200, nodes...)
	for _, n := range nodes {
		var users v1.Users
		second.mustDo(n, 200, "GET", v1.PathUsers, nil, &users)
		if len(users.Users) != 2 || users.Users[0].Name != "admin" || users.Users[1].Name != "admin-2" || !users.Users[0].Admin || !users.Users[1].Admin {
			t.Errorf("users of %s: %+v", n.name, users.Users)
		}
	}
	second.mustDo(nodes[1], 204, "DELETE", v1.PathUsers+"/admin", nil, nil)
	nodes[2].stop(t)
	back := mustRun(t, nodes[2].plan)
	second.mustDo(back, 200, "GET", v1.PathUsers, nil, nil)
	root.mustDo(back, 401, "GET", v1.PathUsers, nil, nil)
	second.mustDo(nodes[0], 404, "GET", v1.PathUsers+"/"+root.key, nil, nil)
}

// TestAdminsRemoveEachOther: two admins remove each other at the same moment on two nodes, again and again. One of them always stays.
func TestAdminsRemoveEachOther(t *testing.T) {
	root := mustHTTPUser(t)
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, func(_ int, p *plan) { p.admins = []string{root.key} })
	mustBecome(t, "/readyz", 200, nodes...)
	root.mustDo(nodes[0], 200, "GET", v1.PathUsers, nil, nil)
	for round := range 15 {
		other := mustHTTPUser(t)
		root.mustDo(nodes[0], 201, "PUT", v1.PathUsers+"/"+other.key, v1.PutUser{Name: fmt.Sprint("other-", round), Admin: true}, nil)
		other.mustDo(nodes[1], 200, "GET", v1.PathUsers, nil, nil)
		var wg sync.WaitGroup
		status := make([]int, 2)
		wg.Go(func() { status[0] = root.do(nodes[0], "DELETE", v1.PathUsers+"/"+other.key, nil, nil) })
		wg.Go(func() { status[1] = other.do(nodes[1], "DELETE", v1.PathUsers+"/"+root.key, nil, nil) })
		wg.Wait()
		store := mustStore(t, nodes[2])
		if ok, err := store.HasAdmin(t.Context()); err != nil || !ok {
			t.Fatalf("no admin is left: %v, answers %v", err, status)
		}
		if _, err := store.GetUser(t.Context(), root.key); err != nil {
			root = other
		}
		root.mustDo(nodes[0], 200, "GET", v1.PathUsers, nil, nil)
	}
}

// TestTheAPIOverTLS: off loopback it has the certificate of the client port, and asks for none.
func TestTheAPIOverTLS(t *testing.T) {
	c, ca := mustExposed(t)
	p, err := assemble(c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n := mustRun(t, p)
	at, err := url.Parse(n.apiURL)
	if err != nil || at.Scheme != "https" {
		t.Fatalf("%s: %v", n.apiURL, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}}}
	r, err := client.Get("https://127.0.0.1:" + at.Port() + v1.PathCluster)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 200 {
		t.Errorf("status %d", r.StatusCode)
	}
	if r, err := http.Get("http://127.0.0.1:" + at.Port() + v1.PathCluster); err == nil {
		r.Body.Close()
		if r.StatusCode == 200 {
			t.Error("it answers without TLS")
		}
	}
}

// TestAPIWithoutMembers: an open node has no API.
func TestAPIWithoutMembers(t *testing.T) {
	n := mustRun(t, planFor(t, "n0", t.TempDir(), func(p *plan) { p.members, p.server.Auth, p.server.Connect = nil, nil, nil }))
	mustBecome(t, "/readyz", 200, n)
	if n.apiURL != "" {
		t.Errorf("an API at %s", n.apiURL)
	}
}
