// SPDX-License-Identifier: Apache-2.0

package steering

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
	"net/url"
	"slices"
	"strings"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// StatusLimit is how long a node may take to tell its status. It answers from memory.
	StatusLimit = 2 * time.Second
	// maxStatus is the size limit of an answer in bytes.
	maxStatus = 1 << 20
)

// phases are those that a node can be in.
var phases = []v1.NodePhase{v1.NodeWaiting, v1.NodeStarting, v1.NodeRunning, v1.NodeRepairing, v1.NodeStopping}

// ErrStranger is what an answer is refused with that no node gives.
var ErrStranger = errors.New("what answers there is not a UniBus node")

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Control speaks to control endpoints. It may be used by several goroutines.
type Control struct{ http *http.Client }

// NewControl returns a Control that speaks TLS as configured; nil is for plain HTTP, which nodes take on loopback only. With a nil dial
// connections are opened by the system.
func NewControl(tlsConfig *tls.Config, dial Dial) *Control {
	// No proxy and no redirect: a node is asked, and gets orders, at the address that is written down and nowhere else.
	return &Control{&http.Client{
		Transport:     &http.Transport{TLSClientConfig: tlsConfig, DialContext: dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: 10 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close gives up idle connections.
func (c *Control) Close() { c.http.CloseIdleConnections() }

// Status asks a node for its status, for two seconds at most. It fails with ErrStranger when another program answers. Any web server
// answers 200, and JSON without a single field of ours is valid: what has no disk id would be heard as a node whose disk is gone.
func (c *Control) Status(ctx context.Context, base string) (*v1.NodeStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, StatusLimit)
	defer cancel()
	var s v1.NodeStatus
	if err := c.do(ctx, http.MethodGet, base, v1.PathNode, nil, &s); err != nil {
		return nil, fmt.Errorf("ask the node at %s: %w", base, err)
	}
	if s.DiskID == "" || !slices.Contains(phases, s.Phase) {
		return nil, fmt.Errorf("ask the node at %s: %w (disk id %q, phase %q): see which program has that port", base, ErrStranger, s.DiskID, s.Phase)
	}
	s.ClientURL, s.RouteURL = reachable(s.ClientURL, base), reachable(s.RouteURL, base)
	return &s, nil
}

// reachable puts the host at which a node was reached in place of one that means all of its addresses.
func reachable(raw, base string) string {
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		return raw
	}
	at, err := url.Parse(base)
	if ip := net.ParseIP(u.Hostname()); err != nil || ip == nil || !ip.IsUnspecified() {
		return raw
	}
	u.Host = net.JoinHostPort(at.Hostname(), u.Port())
	return u.String()
}

// Send gives an order to a node. A refusal is a *v1.Error.
func (c *Control) Send(ctx context.Context, base string, o v1.SignedOrder) error {
	if err := c.do(ctx, http.MethodPost, base, v1.PathOrders, o, nil); err != nil {
		return fmt.Errorf("send the order to %s: %w", base, err)
	}
	return nil
}

// SafeToRestart asks a node, at its HTTP port, whether a node may be restarted. It fails with what the node says against it.
func (c *Control) SafeToRestart(ctx context.Context, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/safe-to-restart", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the node at %s whether a restart is safe: %w", base, unwrapURL(err))
	}
	defer resp.Body.Close()
	var said struct {
		OK             bool
		Reason, Server string
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&said); err != nil {
		return fmt.Errorf("ask the node at %s whether a restart is safe: it answered %s: %w", base, resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK || !said.OK {
		return fmt.Errorf("%s says that no restart is safe: %s", said.Server, said.Reason)
	}
	return nil
}

func (c *Control) do(ctx context.Context, method, base, path string, body, out any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, r)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unwrapURL(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		refusal := &v1.Error{}
		if json.Unmarshal(b, refusal) == nil && refusal.Code != "" {
			return refusal
		}
		return fmt.Errorf("it answered %s", resp.Status)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// unwrapURL takes the method and URL off an error, which the caller names in its own words.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
