// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// API calls the HTTP API: users, rooms, members, classes and what was changed. Its methods may be called by several goroutines.
//
// Each fails with an error of this package by the code of the *v1.Problem that was answered: ErrToken, ErrForbidden, ErrNotFound, ErrExists,
// ErrConflict, ErrInUse, ErrLastAdmin, ErrLimit, ErrInvalid, ErrTooLarge, ErrRate, ErrInternal and ErrUnavailable, the last also when nothing was
// answered; with ErrBadKey when the key can't be used, ErrBadServer for what no node answers, and the context's error.
//
// When a node can't be reached, the next of Options.API is asked. Where one could, and may have done what was asked, only what reads is asked again
// elsewhere, and a Put without an ETag: that does the same however often it is done.
type API struct {
	bases []*url.URL
	at    atomic.Int64 // the one that answered last
	key   Signer
	http  *http.Client
	now   func() time.Time

	mu      sync.Mutex
	cluster string
	token   string
	user    string    // whose token it is
	until   time.Time // the token is good
}

// ETag is the revision of something, as an answer gave it. With it, a write is done only if nobody else has written since, and
// fails with ErrConflict otherwise. An empty one demands nothing.
type ETag string

// Absent is the ETag of what is not there: a write with it creates only.
const Absent ETag = "*"

const (
	// callLimit is how long a call may take, but for nodes that can't be reached.
	callLimit = 30 * time.Second
	// mostAnswer is the longest answer in bytes.
	mostAnswer = 32 << 20
)

// NewAPI returns an API that has not asked anything yet. Of the options, API and Key are required, and only ClusterID, CAFile, CAs and Dial
// count besides. It fails with ErrInvalid, ErrInsecure or ErrBadKey when they can't be used.
func NewAPI(o Options) (*API, error) {
	bases, err := o.apis()
	if err != nil {
		return nil, err
	}
	if _, err := userOf(o.Key); err != nil {
		return nil, err
	}
	if _, err := o.roots(); err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: dialLimit,
		MaxResponseHeaderBytes: 64 << 10,
		DialContext:            (&net.Dialer{Timeout: dialLimit}).DialContext,
		DialTLSContext:         o.dialTLS}
	if o.Dial != nil {
		transport.DialContext = o.Dial
	}
	return &API{bases: bases, key: o.Key, cluster: o.ClusterID, now: time.Now, http: &http.Client{Transport: transport,
		// A token goes to whom it was made for, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// dialTLS connects to a node of the HTTP API, for as long as a connection may take.
func (o Options) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	config, err := o.tls()
	if err != nil {
		return nil, err
	}
	if o.Dial == nil {
		return (&tls.Dialer{NetDialer: &net.Dialer{Timeout: dialLimit}, Config: config}).DialContext(ctx, network, address)
	}
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := o.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// Close lets go of connections that are not used now.
func (a *API) Close() { a.http.CloseIdleConnections() }

// call is one request.
type call struct {
	method, path string
	query        url.Values
	body         any
	tag          ETag
	open         bool // without a token
}

// do sends a request and decodes what is answered into into, unless that is nil or nothing is answered.
func (a *API) do(ctx context.Context, c call, into any) (tag ETag, err error) {
	token := ""
	if !c.open {
		token, _, err = a.Token(ctx)
	}
	if err == nil {
		tag, err = a.try(ctx, c, token, into)
	}
	if !c.open && errors.Is(err, ErrToken) { // so nothing was done
		if other, failed := a.instead(ctx, token); failed == nil && other != token {
			tag, err = a.try(ctx, c, other, into)
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", c.method, c.path, err)
	}
	return tag, nil
}

// try asks one node after the other.
func (a *API) try(ctx context.Context, c call, token string, into any) (ETag, error) {
	var body []byte
	if c.body != nil {
		var err error
		if body, err = json.Marshal(c.body); err != nil {
			return "", fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	// A write on a condition that was done already would be refused.
	repeatable := c.method == http.MethodGet || c.method == http.MethodPut && c.tag == ""
	limit := callLimit
	if repeatable {
		limit /= time.Duration(len(a.bases))
	}
	first, last := a.at.Load(), error(nil)
	for i := range a.bases {
		at := (int(first) + i) % len(a.bases)
		tag, sent, err := a.ask(ctx, limit, c, a.bases[at], body, token, into)
		if ctx.Err() != nil {
			return tag, err
		}
		if !errors.Is(err, ErrUnavailable) {
			a.at.Store(int64(at))
			return tag, err
		}
		if last == nil {
			last = err
		} else {
			last = fmt.Errorf("%w; then: %w", last, err)
		}
		if sent && !repeatable {
			break
		}
	}
	return "", last
}

// ask asks one node, and says whether something was sent.
func (a *API) ask(ctx context.Context, limit time.Duration, c call, base *url.URL, body []byte, token string, into any) (_ ETag, sent bool, _ error) {
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	traced, cancel := context.WithTimeout(traced, limit)
	defer cancel()
	u := *base
	u.Path, u.RawPath = "", ""
	req, err := http.NewRequestWithContext(traced, c.method, u.String()+base.EscapedPath()+c.path, bytes.NewReader(body))
	if err != nil {
		return "", false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	req.URL.RawQuery = c.query.Encode()
	req.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	switch c.tag {
	case "":
	case Absent:
		req.Header.Set("If-None-Match", "*")
	default:
		req.Header.Set("If-Match", string(c.tag))
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := a.http.Do(req)
	if err == nil {
		defer resp.Body.Close()
		err = decode(resp, into)
	} else {
		err = fmt.Errorf("%w: no answer: %w", ErrUnavailable, err)
	}
	if errors.Is(err, ErrUnavailable) && ctx.Err() != nil {
		return "", true, ended(ctx, "no answer", nil)
	}
	if err != nil {
		return "", connected.Load(), err
	}
	return ETag(resp.Header.Get("ETag")), true, nil
}

// decode reads an answer.
func decode(resp *http.Response, into any) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%w: the answer broke off: %w", ErrUnavailable, err)
	case len(b) > mostAnswer:
		return fmt.Errorf("%w: its answer has no end", ErrBadServer)
	case resp.StatusCode/100 != 2:
		p := &v1.Problem{}
		if err := json.Unmarshal(b, p); err != nil || p.Code == "" {
			return fmt.Errorf("%w: status %s, without a problem's code", ErrBadServer, clean(resp.Status))
		}
		return refused(p.Code, p)
	case into == nil || len(b) == 0:
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: its answer can't be read", ErrBadServer)
	}
	return nil
}

// Cluster says what cluster the API is of. It takes no token.
func (a *API) Cluster(ctx context.Context) (c v1.Cluster, err error) {
	if _, err = a.do(ctx, call{method: http.MethodGet, path: v1.PathCluster, open: true}, &c); err == nil && c.ID == "" {
		err = fmt.Errorf("%w: it has no cluster's id", ErrBadServer)
	}
	return c, err
}
