// SPDX-License-Identifier: Apache-2.0

package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	hit    = "apps/hit"
	spared = "apps/spared"
	limit  = 30 * time.Second // for what should come at once
)

// bench is an API server, the front before it, and a client.
type bench struct {
	faults *faults
	events chan string // what the API server tells its watchers; each event goes to one
	front  *httptest.Server
	client *http.Client
}

func mustBench(t *testing.T, http2 bool) *bench {
	t.Helper()
	b := &bench{faults: newFaults(time.Now), events: make(chan string)}
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(b.serveAPI))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	address, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(upstream.Certificate())
	b.front = httptest.NewUnstartedServer(newProxy(address, roots, b.faults, slog.New(slog.DiscardHandler)))
	b.front.EnableHTTP2, b.front.Config.ConnContext = http2, withLine
	b.front.StartTLS()
	t.Cleanup(b.front.Close)
	b.client = b.front.Client()
	return b
}

func (b *bench) serveAPI(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		fmt.Fprint(conn, "echo ", line)
	case isWatch(r.URL.Query()):
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case event := <-b.events:
				fmt.Fprintln(w, event)
				_ = http.NewResponseController(w).Flush()
			}
		}
	default:
		fmt.Fprint(w, r.Method, " ", r.URL.Path, " ", r.Header.Get("Authorization"), " upstream ", r.Proto)
	}
}

func token(account string) string {
	claims := fmt.Sprintf(`{"sub":"system:serviceaccount:%s"}`, strings.Replace(account, "/", ":", 1))
	return "Bearer h." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s"
}

func (b *bench) get(ctx context.Context, account, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.front.URL+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", token(account))
	return b.client.Do(request)
}

func (b *bench) mustGet(t *testing.T, account, path string) *http.Response {
	t.Helper()
	response, err := b.get(t.Context(), account, path)
	if err != nil {
		t.Fatalf("%s as %s: %v", path, account, err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func (b *bench) mustSet(t *testing.T, f Fault) {
	t.Helper()
	if err := b.faults.set(f); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) expectAnswer(t *testing.T, account string) {
	t.Helper()
	response := b.mustGet(t, account, "/api/v1/pods")
	body, err := io.ReadAll(response.Body)
	if want := "GET /api/v1/pods " + token(account); err != nil || response.StatusCode != 200 || !strings.HasPrefix(string(body), want) {
		t.Errorf("as %s: status %d, body %q, error %v; want %q", account, response.StatusCode, body, err, want)
	}
}

func (b *bench) expectEvent(t *testing.T, watch *bufio.Reader, event string) {
	t.Helper()
	select {
	case b.events <- event:
	case <-time.After(limit):
		t.Fatal("nobody watches the API server")
	}
	if line, err := watch.ReadString('\n'); err != nil || line != event+"\n" {
		t.Fatalf("watch: got %q, error %v, want %q", line, err, event)
	}
}

func eachProtocol(t *testing.T, test func(t *testing.T, b *bench)) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) { test(t, mustBench(t, http2)) })
	}
}

func TestPassesRequestsAndWatches(t *testing.T) {
	eachProtocol(t, func(t *testing.T, b *bench) {
		b.expectAnswer(t, hit)
		watch := bufio.NewReader(b.mustGet(t, hit, "/api/v1/pods?watch=true").Body)
		b.expectEvent(t, watch, "one") // comes while the response is open
		b.expectEvent(t, watch, "two")
	})
}

func TestPassesUpgrades(t *testing.T) {
	b := mustBench(t, true)
	conn, err := tls.Dial("tcp", b.front.Listener.Addr().String(), &tls.Config{RootCAs: b.client.Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /exec HTTP/1.1\r\nHost: front\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %+v, error %v", response, err)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := reader.ReadString('\n'); err != nil || line != "echo hello\n" {
		t.Errorf("got %q, error %v", line, err)
	}
}

func TestDown(t *testing.T) {
	eachProtocol(t, func(t *testing.T, b *bench) {
		watch := b.mustGet(t, hit, "/api/v1/pods?watch=true")
		b.mustSet(t, Fault{ServiceAccount: hit, Mode: Down, For: time.Hour})
		expectBroken(t, watch.Body)
		if response, err := b.get(t.Context(), hit, "/api/v1/pods"); err == nil {
			t.Errorf("answered with %d", response.StatusCode)
		}
		b.expectAnswer(t, spared)
		b.mustSet(t, Fault{ServiceAccount: hit, Mode: None})
		b.expectAnswer(t, hit)
	})
}

// A client of HTTP/2 keeps its connection for as long as it can: it loses it as it would that of a server that died.
func TestDownBreaksConnections(t *testing.T) {
	eachProtocol(t, func(t *testing.T, b *bench) {
		for what, fault := range map[string]Fault{"its": {ServiceAccount: hit}, "everybody's": {}} {
			fault.Mode, fault.For = Down, time.Hour
			b.expectAnswer(t, hit)
			b.mustSet(t, fault)
			if response, err := b.get(t.Context(), hit, "/api/v1/pods"); err == nil {
				t.Errorf("answered with %d", response.StatusCode)
			}
			b.mustSet(t, Fault{Mode: None})
			again := false
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { again = c.Reused }})
			response, err := b.get(ctx, hit, "/api/v1/pods")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if again {
				t.Errorf("the connection outlived %s fault", what)
			}
		}
	})
}

func expectBroken(t *testing.T, body io.Reader) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(body)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an open watch ends in peace")
		}
	case <-time.After(limit):
		t.Fatal("an open watch goes on")
	}
}

func TestDownSparesOpenWatchesOfOthers(t *testing.T) {
	eachProtocol(t, func(t *testing.T, b *bench) {
		watch := bufio.NewReader(b.mustGet(t, spared, "/api/v1/pods?watch=1").Body)
		b.mustSet(t, Fault{ServiceAccount: hit, Mode: Down, For: time.Hour})
		if response, err := b.get(t.Context(), hit, "/api/v1/pods"); err == nil {
			t.Errorf("answered with %d", response.StatusCode)
		}
		b.expectEvent(t, watch, "still here")
	})
}

func TestReject(t *testing.T) {
	for status, reason := range map[int]metav1.StatusReason{
		429: metav1.StatusReasonTooManyRequests, 500: metav1.StatusReasonInternalError, 503: metav1.StatusReasonServiceUnavailable,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			b := mustBench(t, true)
			watch := bufio.NewReader(b.mustGet(t, hit, "/api/v1/pods?watch=true").Body)
			b.mustSet(t, Fault{ServiceAccount: hit, Mode: Reject, Status: status, For: time.Hour})
			response := b.mustGet(t, hit, "/api/v1/pods")
			var got metav1.Status
			if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			want := metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: int32(status),
				Reason: reason, Message: got.Message, Details: got.Details}
			if diff := cmp.Diff(want, got); diff != "" || response.StatusCode != status {
				t.Errorf("status %d (-want +got):\n%s", response.StatusCode, diff)
			}
			if after := response.Header.Get("Retry-After"); (after != "") != (status == 429) {
				t.Errorf("Retry-After is %q", after)
			}
			b.expectAnswer(t, spared)
			b.expectEvent(t, watch, "open watches go on")
		})
	}
}

func TestSlow(t *testing.T) {
	eachProtocol(t, func(t *testing.T, b *bench) {
		watch := bufio.NewReader(b.mustGet(t, hit, "/api/v1/pods?watch=true").Body)
		const latency = 100 * time.Millisecond
		b.mustSet(t, Fault{ServiceAccount: hit, Mode: Slow, Latency: latency, For: time.Hour})
		for what, act := range map[string]func(){
			"a request":     func() { b.expectAnswer(t, hit) },
			"a watch event": func() { b.expectEvent(t, watch, "late") },
		} {
			began := time.Now()
			act()
			if took := time.Since(began); took < latency {
				t.Errorf("%s took %s, which is less than the latency", what, took)
			}
		}
	})
}

func TestSlowSparesOthers(t *testing.T) {
	b := mustBench(t, true)
	b.mustSet(t, Fault{ServiceAccount: hit, Mode: Slow, Latency: time.Hour, For: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.get(ctx, hit, "/api/v1/pods")
		ended <- err
	}()
	b.expectAnswer(t, spared)
	cancel() // whoever is being delayed can leave
	if err := <-ended; err == nil {
		t.Error("answered within an hour")
	}
}
