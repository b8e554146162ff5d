// SPDX-License-Identifier: Apache-2.0

package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type proxy struct {
	faults  *faults
	reverse *httputil.ReverseProxy
}

func newProxy(upstream *url.URL, roots *x509.CertPool, f *faults, log *slog.Logger) *proxy {
	p := &proxy{faults: f}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport:      newTransport(roots),
		FlushInterval:  -1, // a watch is a response that never ends
		ModifyResponse: p.slowWatch,
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				log.Warn("the API server does not answer", "error", err)
			}
			panic(http.ErrAbortHandler) // before a dead server stands a dead front
		},
	}
	return p
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	account := accountOf(r.Header)
	ctx, fault, leave := p.faults.enter(r.Context(), account)
	defer leave()
	switch fault.Mode {
	case Down:
		panic(http.ErrAbortHandler) // answers nothing
	case Reject:
		reject(w, fault.Status)
		return
	case Slow:
		if !pause(ctx, fault.Latency) {
			panic(http.ErrAbortHandler)
		}
	}
	p.reverse.ServeHTTP(w, r.WithContext(ctx))
}

// slowWatch asks at each event: a watch may be older than the fault.
func (p *proxy) slowWatch(r *http.Response) error {
	if r.StatusCode == http.StatusOK && isWatch(r.Request.URL.Query()) {
		account, ctx := accountOf(r.Request.Header), r.Request.Context()
		r.Body = &slowBody{r.Body, func() {
			if fault := p.faults.of(account); fault.Mode == Slow {
				pause(ctx, fault.Latency)
			}
		}}
	}
	return nil
}

func isWatch(query url.Values) bool { return query.Get("watch") == "true" || query.Get("watch") == "1" }

type slowBody struct {
	io.ReadCloser
	wait func()
}

func (b *slowBody) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	b.wait()
	return n, err
}

// pause is false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// reject answers as kube-apiserver does, so that clients read it as one of its errors.
func reject(w http.ResponseWriter, status int) {
	answer := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(status), Message: "devcluster: the API server refuses for a time",
	}
	switch status {
	case http.StatusTooManyRequests:
		answer.Reason = metav1.StatusReasonTooManyRequests
		answer.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
		w.Header().Set("Retry-After", "1")
	case http.StatusInternalServerError:
		answer.Reason = metav1.StatusReasonInternalError
	default:
		answer.Reason = metav1.StatusReasonServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // who went away needs no answer
}

// accountOf reads the ServiceAccount, as "namespace/name", from a bearer token that it does not verify: the API server does, this only
// chooses whom a fault hits. Everybody else is "".
func accountOf(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	parts := strings.Split(token, ".")
	if !strings.EqualFold(scheme, "bearer") || len(parts) != 3 {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var who struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(claims, &who) != nil {
		return ""
	}
	account, found := strings.CutPrefix(who.Subject, "system:serviceaccount:")
	if !found {
		return ""
	}
	return strings.Replace(account, ":", "/", 1)
}

// transport speaks HTTP/2 upstream, but for what changes the protocol (exec, port-forward), which HTTP/2 can't carry.
type transport struct{ plain, upgrade *http.Transport }

func newTransport(roots *x509.CertPool) transport {
	speaking := func(protocols *http.Protocols) *http.Transport {
		return &http.Transport{
			Protocols:          protocols,
			TLSClientConfig:    &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableCompression: true, // bytes pass as they are
			IdleConnTimeout:    90 * time.Second,
		}
	}
	both, one := new(http.Protocols), new(http.Protocols)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	one.SetHTTP1(true)
	return transport{plain: speaking(both), upgrade: speaking(one)}
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgrade.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}
