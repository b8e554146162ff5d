// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

// lookAtAPI goes the way to the HTTP API of a node, step by step.
func (e *examination) lookAtAPI(ctx context.Context, raw string) standing {
	urls, err := client.Options{API: raw}.APIURLs()
	if err != nil {
		f := fault(URLForm, "give it as https://host:8223, without user or query", "the API's URL is not of the form https://host:port")
		if errors.Is(err, client.ErrInsecure) { // its form is right, so that it holds no password
			f = fault(Insecure, "give it as https://...", "without TLS the API is asked on loopback only, and %s leads elsewhere", raw)
		}
		e.check(ctx, "api", "the API", func(context.Context) Finding { return f })
		return down
	}
	u := urls[0]
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	var conn net.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	if !e.check(ctx, "connect", raw, func(ctx context.Context) (f Finding) {
		conn, f = e.dial(ctx, u.Hostname(), cmp.Or(u.Port(), port))
		return f
	}) || u.Scheme == "https" && !e.check(ctx, "tls", raw, func(ctx context.Context) Finding {
		return e.handshake(ctx, conn, u.Hostname())
	}) {
		return down
	}
	conn.Close()
	var a answer
	if !e.check(ctx, "api", raw, func(ctx context.Context) (f Finding) {
		a, f = e.ask(ctx, u)
		return f
	}) {
		return down
	}
	right := a.began.IsZero() || e.check(ctx, "clock", raw, func(context.Context) Finding { return a.clock() })
	if !e.check(ctx, "cluster", raw, func(context.Context) Finding { return e.cluster(a.ID) }) {
		return down
	}
	if !right || e.user == "" {
		return unknown
	}
	return e.token(ctx, raw, a.began.IsZero())
}

// answer is what the API says to whoever asks, and between which times of this machine it said it.
type answer struct {
	v1.Cluster
	date, began, ended time.Time
}

const (
	mostAnswer = 64 << 10
	useAPI     = "see that --api is the URL of a node's HTTP API (port 8223 unless it is configured otherwise; https if it speaks TLS)"
)

// ask asks which cluster it is, which takes no token, and what time it is there.
func (e *examination) ask(ctx context.Context, u *url.URL) (a answer, f Finding) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.roots},
		DialContext: (&net.Dialer{Resolver: e.Resolver}).DialContext}
	hc := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String()+v1.PathCluster, nil)
	if err != nil {
		return a, fault(URLForm, useAPI, "%v", err)
	}
	began := e.Now()
	resp, err := hc.Do(req)
	switch {
	case ctx.Err() != nil:
		return a, fault(Silent, lookAtNode, "it takes the connection, and answers nothing in %v", e.Limit)
	case err != nil:
		return a, fault(NotAPI, useAPI, "it does not answer as the API does: %v", err)
	}
	defer resp.Body.Close()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.date, a.began, a.ended = date, began, e.Now()
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return a, fault(APIFailed, "try again", "its answer breaks off: %v", err)
	}
	var p v1.Problem
	switch {
	case resp.StatusCode != http.StatusOK && json.Unmarshal(body, &p) == nil && p.Code != "":
		return a, fault(APIFailed, "try again, and have who runs the node look at its log", "it answers: %v", &p)
	case resp.StatusCode != http.StatusOK, json.Unmarshal(body, &a.Cluster) != nil:
		return a, fault(NotAPI, useAPI, "it does not answer as the API does: status %s", resp.Status)
	case a.ID == "":
		return a, fault(NodeNotReady, "wait until it has found or joined its cluster, and try again; it says how it is at /readyz of its --http-port",
			"the node belongs to no cluster yet")
	}
	return a, fine("node %s of cluster %s answers", a.Node, a.Name)
}

// clock compares this machine's clock with the API's, which tells whole seconds. Between the two times of this machine the answer was made.
func (a answer) clock() Finding {
	var ahead time.Duration // this machine is, at the least
	if early := a.began.Sub(a.date.Add(time.Second)); early > 0 {
		ahead = early
	} else if late := a.ended.Sub(a.date); late < 0 {
		ahead = late
	}
	ahead = ahead.Round(time.Second)
	where := "ahead of"
	if ahead < 0 {
		where = "behind"
	}
	f := fault(ClockWrong, "set the clock by the network (chrony, systemd-timesyncd), here or there, whichever is wrong",
		"this machine's clock is %v %s the node's; tokens are taken within %v only", ahead.Abs(), where, v1.TokenLeeway)
	switch {
	case ahead.Abs() > v1.TokenLeeway:
		return f
	case ahead.Abs() > v1.TokenLeeway/3:
		f.Verdict = Warning
		return f
	}
	return fine("this machine's clock agrees with the node's")
}

func (e *examination) cluster(id string) Finding {
	if e.bus.ClusterID == "" {
		e.bus.ClusterID = id
		return note("cluster", "", "keep it: make a context with unibus context add, or pass --cluster-id "+id,
			fmt.Sprintf("it is cluster %s, and nothing says which one it has to be", id))
	}
	if e.bus.ClusterID != id {
		return fault(OtherCluster, "correct --api; if the cluster was made anew, remove the context and add it again (unibus context remove, add)",
			"another cluster answers: it says that it is %s, and %s was expected; it was given no token", id, e.bus.ClusterID)
	}
	return fine("it is the cluster that it has to be")
}

// token asks the API who the caller is. Whoever can't compare the clocks can't tell a wrong one from a key that is not listed.
func (e *examination) token(ctx context.Context, raw string, timeless bool) (s standing) {
	o := e.bus.Options()
	o.API = raw
	api, err := client.NewAPI(o)
	if err != nil {
		e.check(ctx, "token", raw, func(context.Context) Finding { return fault(APIFailed, useAPI, "%v", err) })
		return down
	}
	defer api.Close()
	s = down
	e.check(ctx, "token", raw, func(ctx context.Context) Finding {
		u, _, err := api.User(ctx, e.user)
		switch {
		case err == nil:
			s = taken
			return fine("you are %s", u.Name)
		case errors.Is(err, client.ErrToken):
			s = stranger
			if timeless {
				return fault(NotListed, "see that this machine's clock is right, then have an admin add your key: unibus user add NAME "+e.user,
					"the API refuses the key: it is not on the allowlist, or the clocks differ, which can't be told: the API does not say what time it has")
			}
			return e.unlisted("the API refuses the key")
		case errors.Is(err, client.ErrUnavailable):
			return fault(NodeNotReady, "try again, or ask another node; it says how it is at /readyz of its --http-port",
				"the node does not know all users now: %v", err)
		}
		return fault(APIFailed, "try again, and have who runs the node look at its log", "%v", err)
	})
	return s
}
