// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// line is a connection on which HTTP is spoken by hand.
type line struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (b *bus) dial() *line {
	b.t.Helper()
	conn := b.must(net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))).(net.Conn)
	b.t.Cleanup(func() { conn.Close() })
	b.must(nil, conn.SetDeadline(time.Now().Add(natstest.Patience)))
	return &line{b.t, conn, bufio.NewReader(conn)}
}

func (l *line) send(format string, args ...any) {
	l.t.Helper()
	if _, err := fmt.Fprintf(l, format, args...); err != nil {
		l.t.Fatal(err)
	}
}

// answer reads a response; its status is 0 when the connection was ended without one.
func (l *line) answer() (status int) {
	r, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return r.StatusCode
}

func (u *user) head(method, path string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s%s\r\n", method, path, bearer, u.token(nil))
}

// Who is no admin any more by the time its request is whole, has asked as none.
func TestAnAdminUntilTheBodyCame(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.user("ann", true)
	l, body := b.dial(), `{"name":"ann","admin":true}`
	l.send("%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", ann.head("PUT", v1.PathUsers+"/"+ann.key), len(body), body[:5])
	if !natstest.Until(natstest.Patience, func() bool {
		there := 0
		b.api.flights.review(b.must(v1.UserHex(ann.key)).(string), func(*flight) *failure { there++; return nil })
		return there == 1
	}) {
		t.Fatal("the request is not in flight")
	}
	root.do("PUT", v1.PathUsers+"/"+ann.key, v1.PutUser{Name: "ann"}).expect(t, 200, "")
	l.send("%s", body[5:])
	if got := l.answer(); got != 403 {
		t.Errorf("answered %d, want 403", got)
	}
}

// Who is slow, or never comes to an end, is cut off, and others are served meanwhile.
func TestSlowAndEndless(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.HeaderTimeout, c.Limits.ReadTimeout = 300*time.Millisecond, time.Second })
	root := b.user("root", true)
	slow, endless, late, deep := b.dial(), b.dial(), b.dial(), b.dial()
	slow.send("GET %s HTTP/1.1\r\nHost: x\r\nX-Slow: ", v1.PathRooms)
	late.send("%sContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", root.head("PUT", v1.PathRooms+"/red"))
	endless.send("%sContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", root.head("PUT", v1.PathRooms+"/red"))
	go func() {
		for chunk := strings.Repeat(" ", 4<<10); ; {
			if _, err := fmt.Fprintf(endless, "%x\r\n%s\r\n", len(chunk), chunk); err != nil {
				return
			}
		}
	}()
	deep.send("GET %s HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", v1.PathRooms, strings.Repeat("x", 2*maxHeader))
	root.do("GET", v1.PathRooms, nil).expect(t, 200, "")
	if got := slow.answer(); got != 0 && got != 408 {
		t.Errorf("slow headers: %d", got)
	}
	if got := late.answer(); got != 408 {
		t.Errorf("a slow body: %d", got)
	}
	if got := endless.answer(); got != 413 {
		t.Errorf("an endless body: %d", got)
	}
	if got := deep.answer(); got != 431 {
		t.Errorf("large headers: %d", got)
	}
}

// Who sends more than it may is answered before the connection ends. For that the server has to know why it ends: it would reset it otherwise, and the
// answer with it, where it has told who sends to go on.
func TestTooMuchIsAnswered(t *testing.T) {
	b := newBus(t, nil)
	l := b.dial()
	l.send("%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", b.user("root", true).head("PUT", v1.PathRooms+"/red"), maxBody+10, strings.Repeat(" ", maxBody+10))
	r, err := http.ReadResponse(l.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusRequestEntityTooLarge || !r.Close {
		t.Errorf("status %d, and the server knows that it is the last answer: %v", r.StatusCode, r.Close)
	}
}

// A thousand who connect and are silent keep nobody out; neither do those who have begun a request, or have a token that is not good.
func TestIdleConnections(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.Connections = 50 })
	root := b.user("root", true)
	kept := b.user("ann", false)
	b.room("red", "", map[*user]v1.Role{kept: v1.RoleMember})
	follower := kept.follow(redMessages)
	for i := range 1000 {
		l := b.dial()
		switch i % 3 {
		case 1:
			l.send("GET / HTTP/1.1\r\nHost:")
		case 2:
			l.send("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 1000000\r\n\r\n", redMessages)
		}
	}
	root.do("GET", v1.PathRooms, nil).expect(t, 200, "")
	kept.do("POST", redMessages, "hello").expect(t, 202, "")
	if got := follower.texts(1); got[0] != "hello" {
		t.Errorf("who is served was cut off: %q", got)
	}
}

func TestRates(t *testing.T) {
	now := time.Now()
	b := newBus(t, func(c *Config) {
		c.Limits.UserRate, c.Limits.AddressRate, c.Now = 2, 2, func() time.Time { return now }
	})
	root, ann := b.user("root", true), b.user("ann", false)
	for range 4 {
		root.do("GET", v1.PathClasses, nil).expect(t, 200, "")
	}
	if r := root.do("GET", v1.PathClasses, nil).expect(t, 429, v1.CodeRate); r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	ann.do("GET", v1.PathClasses, nil).expect(t, 200, "")
	// Whoever has no good token, or a new key for each, spends what its address has; users spend nothing of it.
	for range 4 {
		b.do("GET", v1.PathClasses, nil, "Authorization", bearer+"x").expect(t, 401, v1.CodeToken)
		b.stranger("eve").do("GET", v1.PathClasses, nil).expect(t, 401, v1.CodeToken)
	}
	b.stranger("eve").do("GET", v1.PathClasses, nil).expect(t, 429, v1.CodeRate)
	if n := len(b.api.users.entries); n != 2 {
		t.Errorf("%d keys are remembered", n)
	}
	b.do("GET", v1.PathClasses, nil).expect(t, 429, v1.CodeRate)
	ann.do("GET", v1.PathClasses, nil).expect(t, 200, "")
	b.do("GET", v1.PathCluster, nil).expect(t, 429, v1.CodeRate)
	b.do("GET", pathOpenAPI+".json", nil).expect(t, 429, v1.CodeRate)
}

// To be sure that something is not there takes a write by a quorum. Nobody has more of them made than one may make requests.
func TestWhatIsAbsentCountsAsARequest(t *testing.T) {
	now := time.Now()
	b := newBus(t, func(c *Config) { c.Limits.UserRate, c.Now = 2, func() time.Time { return now } })
	ann := b.user("ann", false)
	var writes atomic.Int64
	b.hook(func(_ context.Context, _ *nats.Msg, write func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error) {
		writes.Add(1)
		return write()
	})
	for range 4 {
		ann.do("GET", v1.PathClasses+"/none", nil).expect(t, 404, v1.CodeNotFound)
	}
	for range 4 {
		ann.do("GET", v1.PathClasses+"/none", nil).expect(t, 429, v1.CodeRate)
	}
	if n := writes.Load(); n != 4 {
		t.Errorf("%d writes for four reads", n)
	}
}

// However many there are, no more are remembered than were busy lately.
func TestRatesForget(t *testing.T) {
	r, now := newRates(10, 2), time.Now()
	for i := range 100 * leastSweep {
		r.take(fmt.Sprint(i), now)
		now = now.Add(time.Millisecond)
	}
	if n := len(r.entries); n > 2*leastSweep {
		t.Errorf("%d are remembered", n)
	}
}

func TestTheCrowd(t *testing.T) {
	c := newCrowd(nil, 3)
	conn := func() net.Conn { a, _ := net.Pipe(); t.Cleanup(func() { a.Close() }); return a }
	var g []*guest
	for range 3 {
		g = append(g, c.enter(conn()))
	}
	done := make([]func(), 3)
	for i := range g {
		done[i] = busy(connContext(t.Context(), g[i]))
	}
	if c.enter(conn()) != nil {
		t.Error("one came in where users are served on all")
	}
	done[1]()
	fourth := c.enter(conn())
	if fourth == nil || !g[1].gone || g[0].gone || g[2].gone {
		t.Error("not the one that was idle had to go")
	}
	done[1]()
	done[0]()
	fifth := c.enter(conn())
	if fifth == nil || !fourth.gone || g[0].gone {
		t.Error("not the one that was idle for longest had to go")
	}
	for _, x := range append(g, fourth, fifth) {
		x.Close()
		x.Close()
	}
	done[2]()
	if c.all != 0 || c.idle.Len() != 0 || len(c.peers) != 0 {
		t.Errorf("%d, %d and %d are left", c.all, c.idle.Len(), len(c.peers))
	}
}

func TestWhatIsNowhere(t *testing.T) {
	b := newBus(t, nil)
	root := b.user("root", true)
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/docs", "/schemas/User.json", "/v1/users/", "/v1/rooms/a/b", "/v1//rooms", "/v1/rooms/../users"} {
		root.do("GET", path, nil).expect(t, 404, v1.CodeNotFound)
	}
	for path, allow := range map[string]string{v1.PathUsers: "GET, HEAD", v1.PathUsers + "/x": "DELETE, GET, HEAD, PUT", v1.PathCluster: "GET, HEAD"} {
		if r := root.do("PATCH", path, nil).expect(t, 405, v1.CodeMalformed); r.header.Get("Allow") != allow {
			t.Errorf("%s allows %q", path, r.header.Get("Allow"))
		}
	}
	var first sync.WaitGroup
	for range 4 {
		first.Go(func() { b.do("GET", pathOpenAPI+".json", nil).expect(t, 200, "") })
	}
	first.Wait()
	for _, path := range []string{".json", ".yaml", "-3.0.json", "-3.0.yaml"} {
		if r := b.do("GET", pathOpenAPI+path, nil).expect(t, 200, ""); strings.Contains(string(r.body), "<script") || len(r.body) == 0 {
			t.Errorf("%s: %.80s", path, r.body)
		}
	}
}
