// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/natstest"
)

// planted is one fault: what was done to the scene, and what is to be found, beside what is in order.
type planted struct {
	name   string
	config Config
	want   string // "verdict code", separated by commas
	words  string // that are said
	before func()
	after  func()
}

// TestPlantedFaults: each fault is told apart from all others and named, and nothing else is found. All codes there are come up.
func TestPlantedFaults(t *testing.T) {
	for _, name := range []string{"CONTEXT", "SERVER", "API", "CA", "KEY", "CLUSTER_ID"} {
		t.Setenv("UNIBUS_"+name, "")
	}
	s := mustScene(t)
	t.Setenv(contexts.EnvFile, s.path("contexts.json"))
	s.user("ann", "kitchen")
	s.user("bob", "")
	seen := map[string]bool{}
	for _, group := range [][]planted{s.contexts(), s.keys(), s.ways(), s.greetings(), s.certificates(), s.clocks(), s.refusals(), s.apis()} {
		for _, p := range group {
			t.Run(p.name, func(t *testing.T) {
				if p.before != nil {
					p.before()
				}
				if p.after != nil {
					defer p.after()
				}
				if p.config.Limit == 0 {
					p.config.Limit = natstest.Patience
				}
				r, err := Examine(t.Context(), p.config)
				if err != nil {
					t.Fatal(err)
				}
				if all := fmt.Sprintf("%+v", r); strings.Contains(all, "secret") || strings.Contains(all, "SUABC") {
					t.Errorf("it repeats what is nobody's business: %s", all)
				}
				var got []string
				for _, f := range r.Findings {
					if f.Verdict != OK {
						got = append(got, string(f.Verdict)+" "+f.Code)
						seen[f.Code] = true
					}
					if f.What == "" || f.Found == "" || f.Verdict != OK && f.Remedy == "" {
						t.Errorf("a finding lacks words: %+v", f)
					}
				}
				if diff := cmp.Diff(p.want, strings.Join(got, ", ")); diff != "" {
					t.Errorf("found (-want +got):\n%s\n%+v", diff, r.Findings)
				}
				if all := fmt.Sprintf("%+v", r); !strings.Contains(all, p.words) {
					t.Errorf("it does not say %q: %s", p.words, all)
				}
				if ill := strings.Contains(p.want, "fault") || strings.Contains(p.want, "warning"); r.Well == ill {
					t.Errorf("well: %v", r.Well)
				}
			})
		}
	}
	for _, code := range codes(t) {
		if !seen[code] {
			t.Errorf("no test plants %s", code)
		}
	}
}

// codes are those that finding.go has.
func codes(t *testing.T) (all []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "finding.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && v.Type == nil {
			code, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			all = append(all, code)
		}
		return true
	})
	if len(all) < 30 {
		t.Errorf("only %v", all)
	}
	return all
}

// linked is the way of a user, changed.
func (s *scene) linked(user string, change func(*contexts.Flags)) Config {
	l := s.link(user)
	if change != nil {
		change(&l)
	}
	return Config{Link: l}
}

func (s *scene) contexts() []planted {
	file := s.path("contexts.json")
	return []planted{
		{name: "well", config: s.linked("ann", nil)},
		{name: "no context", config: Config{}, want: "fault context-missing"},
		{name: "damaged", config: s.linked("ann", nil), want: "fault context-damaged",
			before: func() { s.must(os.WriteFile(file, []byte("{"), 0o600)) }, after: func() { s.must(os.Remove(file)) }},
		{name: "unreadable", config: s.linked("ann", nil), want: "fault context-unreadable",
			before: func() { s.must(os.Mkdir(file, 0o700)) }, after: func() { s.must(os.Remove(file)) }},
		{name: "no CA", config: s.linked("ann", func(f *contexts.Flags) { f.CA += ".none" }), want: "fault ca-unusable"},
		{name: "not a CA", config: s.linked("ann", func(f *contexts.Flags) { f.CA = f.Key }), want: "fault ca-unusable"},
	}
}

// keys: without a key that can be used, the way is looked at all the same.
func (s *scene) keys() []planted {
	s.seed("account", nkeys.PrefixByteAccount)
	s.seed("operator", nkeys.PrefixByteOperator)
	s.must(os.WriteFile(s.path("public"), []byte(s.seed("stranger", nkeys.PrefixByteUser)), 0o600))
	for file, mode := range map[string]fs.FileMode{"typing": 0o600, "typing-group": 0o640, "typing-all": 0o644} {
		s.must(os.WriteFile(s.path(file), []byte("SUABC\n"), 0o600))
		s.strangers(file, mode)
	}
	s.must(os.Mkdir(s.path("folder"), 0o700))
	s.must(os.Mkdir(s.path("folder-all"), 0o755))
	s.seed("open", nkeys.PrefixByteUser)
	s.strangers("open", 0o640)
	s.strangers("operator", 0o644)
	var all []planted
	for file, want := range map[string]string{"none": "fault key-missing", "open": "fault key-open", "account": "fault key-kind", "public": "fault key-kind",
		"operator": "fault key-kind, fault key-open", "typing": "fault key-damaged", "typing-group": "fault key-damaged, fault key-open",
		"typing-all": "fault key-damaged, fault key-open", "folder": "fault key-unreadable", "folder-all": "fault key-unreadable"} {
		all = append(all, planted{name: "key " + file, config: s.linked(file, nil), want: want})
	}
	return all
}

// strangers gives a file to a group that nobody is in: root may have its own files open to a group that it is in.
func (s *scene) strangers(file string, mode fs.FileMode) {
	if os.Geteuid() == 0 {
		s.must(os.Chown(s.path(file), 0, 65533))
	}
	s.must(os.Chmod(s.path(file), mode))
}

// dns is a resolver whose server answers each question with that code.
func (s *scene) dns(code byte) *net.Resolver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	s.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			b[2], b[3] = 0x81, 0x80|code // an answer
			b[10], b[11] = 0, 0          // with no further records
			n = min(n, 12+questionEnd(b[12:n]))
			conn.WriteTo(b[:n], from)
		}
	}()
	s.t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// questionEnd is how long a question is: labels, an empty one, type and class.
func questionEnd(b []byte) int {
	i := 0
	for i < len(b) && b[i] != 0 {
		i += int(b[i]) + 1
	}
	return i + 5
}

func (s *scene) ways() []planted {
	at := func(servers ...string) func(*contexts.Flags) { return func(f *contexts.Flags) { f.Servers = servers } }
	nobody := fmt.Sprintf("127.0.0.1:%d", natstest.MustFreePort(s.t))
	unknown, failed := s.linked("ann", at("nats://nowhere.test:4222")), s.linked("ann", at("nats://nowhere.test:4222"))
	unknown.Resolver, failed.Resolver = s.dns(3), s.dns(2)
	return []planted{
		{name: "form", config: s.linked("ann", at("nats://u:secret@127.0.0.1:4222")), want: "fault url-form, warning only-api"},
		{name: "no such name", config: unknown, want: "fault name-unknown, warning only-api"},
		{name: "no DNS", config: failed, want: "fault name-failed, warning only-api"},
		{name: "nothing listens", config: s.linked("ann", at("nats://"+nobody)), want: "fault connection-refused, warning only-api"},
		{name: "one has no good form", config: s.linked("ann", at("nats://u:secret@127.0.0.1:4222", s.server)), want: "fault url-form"},
		{name: "some are down", config: s.linked("ann", at("nats://"+nobody, s.server)), want: "warning connection-refused"},
		{name: "no way", config: s.linked("ann", at("nats://[fe80::1]:4222")), want: "fault unreachable, warning only-api"},
		{name: "only messages", config: s.linked("ann", func(f *contexts.Flags) { f.API = "https://" + nobody }), want: "fault connection-refused, warning only-messages"},
		{name: "one of two APIs", config: s.linked("ann", func(f *contexts.Flags) { f.API = "https://" + nobody + ", " + f.API }), want: "warning connection-refused"},
		{name: "no API", config: s.linked("ann", func(f *contexts.Flags) { f.API = "" }), want: "note no-api"},
		{name: "no server", config: s.linked("ann", at()), want: "note no-server"},
		{name: "unpinned", config: s.linked("ann", func(f *contexts.Flags) { f.ClusterID = "" }), want: "note cluster"},
	}
}

// greetings are what servers say that are no nodes.
func (s *scene) greetings() []planted {
	plain, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true})
	s.must(err)
	plain.Start()
	s.t.Cleanup(func() { plain.Shutdown(); plain.WaitForShutdown() })
	web := httptest.NewServer(http.NotFoundHandler())
	s.t.Cleanup(web.Close)
	read := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	silent, got := s.listenTCP(read), make(chan string, 2)
	say := func(what string) string {
		return s.listenTCP(func(c net.Conn) { io.WriteString(c, what+"\r\n"); c.Read(make([]byte, 1)) })
	}
	// Without CA and API: what is on loopback may do without TLS.
	at := func(server string, limit time.Duration) Config {
		c := s.linked("ann", func(f *contexts.Flags) { f.Servers, f.CA, f.API = []string{server}, "", "" })
		c.Limit = limit
		return c
	}
	withCA := s.linked("ann", func(f *contexts.Flags) { f.Servers, f.API = []string{plain.ClientURL()}, "" })
	return []planted{
		{name: "silent", config: at(silent, time.Second), want: "fault silent, note no-api"},
		{name: "HTTP", config: at(web.Listener.Addr().String(), 4*time.Second), want: "fault not-nats, note no-api"},
		{name: "SSH", config: at(say("SSH-2.0-x"), 0), want: "fault not-nats, note no-api"},
		{name: "hangs up", config: at(s.listenTCP(func(net.Conn) {}), 0), want: "fault hung-up, note no-api"},
		{name: "another NATS", config: at(plain.ClientURL(), 0), want: "fault not-unibus, note no-api"},
		{name: "asks for a signature", config: at(s.listenTCP(func(c net.Conn) {
			io.WriteString(c, `INFO {"nonce":"header.claims-of-a-token","max_payload":1024}`+"\r\n")
			b, _ := io.ReadAll(c)
			got <- string(b)
		}), 0), want: "fault not-unibus, note no-api", after: func() {
			if greeting, login := <-got, <-got; greeting != "" || login != "" {
				s.t.Errorf("it was told %q, %q", greeting, login)
			}
		}},
		{name: "hangs up in the login", config: at(say(`INFO {"nonce":"abcdefghijklmn","max_payload":1024}`), 0), want: "fault node-not-ready, note no-api"},
		{name: "fails in the login", config: at(s.listenTCP(func(c net.Conn) {
			io.WriteString(c, `INFO {"nonce":"abcdefghijklmn","max_payload":1024}`+"\r\n")
			if _, err := c.Read(make([]byte, 4096)); err == nil {
				io.WriteString(c, "-ERR 'maximum connections exceeded'\r\n")
				read(c)
			}
		}), 0), want: "fault login-failed, note no-api"},
		{name: "TLS fails", config: at(say(`INFO {"nonce":"abcdefghijklmn","tls_required":true}`), 0), want: "fault tls-failed, note no-api"},
		{name: "no TLS", config: withCA, want: "fault not-unibus, note no-api"},
		{name: "no TLS of a node", config: s.linked("ann", func(f *contexts.Flags) {
			f.Servers, f.API = []string{say(`INFO {"nonce":"abcdefghijklmn"}`)}, ""
		}), want: "fault no-tls, note no-api"},
	}
}

func TestInterrupt(t *testing.T) {
	s := &scene{t: t, folder: t.TempDir()}
	t.Setenv(contexts.EnvFile, filepath.Join(t.TempDir(), "contexts.json"))
	s.seed("ann", nkeys.PrefixByteUser)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address := s.listenTCP(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	var told []string
	r, err := Examine(ctx, Config{Link: contexts.Flags{Servers: []string{address}, Key: s.path("ann")}, Limit: natstest.Patience,
		Waiting: func(what string) func() {
			told = append(told, what)
			if strings.HasPrefix(what, "greeting") {
				cancel()
			}
			return func() { told = append(told, "done") }
		}})
	if err == nil || ctx.Err() == nil || len(r.Findings) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	want := []string{"context: context", "done", "key: " + s.path("ann"), "done", "connect: " + address, "done", "greeting: " + address, "done"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}
