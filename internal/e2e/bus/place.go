// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

// Place is where one node runs: ports, certificates and a disk.
type Place struct {
	Number int
	// Disk is the node's store folder. It may be exchanged while the node does not run.
	Disk string
	// Log is where the node's words go.
	Log string

	host                             Host
	bus                              *Bus
	settings                         map[string]string
	config                           string
	client, cluster, control, status int
	http                             *http.Client

	mu   sync.Mutex
	node *proc.Process
}

func (b *Bus) newPlace(i int) (*Place, error) {
	ports, err := natstest.FreePorts(4)
	if err != nil {
		return nil, err
	}
	host := Host{Address: "127.0.0.1"}
	if len(b.cfg.Hosts) > 0 {
		host = b.cfg.Hosts[i]
	}
	p := &Place{
		host:   host,
		Number: i, Disk: filepath.Join(b.cfg.Dir, fmt.Sprintf("disk-%d", i)), Log: filepath.Join(b.cfg.Dir, fmt.Sprintf("node-%d.log", i)),
		bus: b, config: filepath.Join(b.cfg.Dir, fmt.Sprintf("node-%d.yaml", i)),
		client: ports[0], cluster: ports[1], control: ports[2], status: ports[3],
		http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: b.clients, DisableKeepAlives: true}},
	}
	return p, p.configure()
}

// Door is the name of the place's door.
func (p *Place) Door() string { return fmt.Sprint("place ", p.Number) }

// Start starts the node.
func (p *Place) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.node != nil && p.node.Running() {
		return fmt.Errorf("start place %d: %w", p.Number, errRunning)
	}
	line := append(slices.Clone(p.host.Enter), p.bus.cfg.Bin.Membershipd, "--config", p.config)
	n, err := proc.Start(proc.Command{Name: fmt.Sprintf("node %d", p.Number), Path: line[0], Args: line[1:], Log: p.Log})
	if err != nil {
		return err
	}
	p.node = n
	if d := p.bus.cfg.Doors; d != nil {
		d.Process(p.Door(), n.PID())
	}
	return nil
}

// Process is the node's process, nil when it never ran.
func (p *Place) Process() *proc.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node
}

// Running says whether the node's process runs.
func (p *Place) Running() bool {
	n := p.Process()
	return n != nil && n.Running()
}

// Kill ends the node with SIGKILL, if it runs.
func (p *Place) Kill() {
	if n := p.Process(); n != nil {
		n.Kill()
	}
}

// Stop ends the node with SIGTERM, if it runs.
func (p *Place) Stop(ctx context.Context) error {
	n := p.Process()
	if n == nil || !n.Running() {
		return nil
	}
	return n.Stop(ctx)
}

// Control is the URL of the node's control endpoint, which speaks TLS off loopback.
func (p *Place) Control() string {
	scheme := "https://"
	if net.ParseIP(p.host.Address).IsLoopback() {
		scheme = "http://"
	}
	return scheme + p.address(p.control)
}

// Client is where clients connect.
func (p *Place) Client() string { return "tls://" + p.address(p.client) }

// Route is where the other nodes connect, past any door.
func (p *Place) Route() string { return "nats://" + p.address(p.cluster) }

func (p *Place) address(port int) string { return net.JoinHostPort(p.host.Address, strconv.Itoa(port)) }

// Status is the node's own word.
func (p *Place) Status(ctx context.Context) (v1.NodeStatus, error) {
	var s v1.NodeStatus
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it answers from memory
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Control()+v1.PathNode, nil)
	if err != nil {
		return s, fmt.Errorf("status of place %d: %w", p.Number, err)
	}
	a, err := p.http.Do(r)
	if err != nil {
		return s, fmt.Errorf("status of place %d: %w", p.Number, err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		return s, fmt.Errorf("status of place %d: %w", p.Number, err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("status of place %d: %w: %s", p.Number, err, b)
	}
	return s, nil
}

// Send signs an order for the node, with its disk and the nonce that it shows, and returns what the node refuses it for.
func (p *Place) Send(ctx context.Context, o v1.Order) error {
	s, err := p.Status(ctx)
	if err != nil {
		return err
	}
	key, err := p.bus.key("order.nk")
	if err != nil {
		return err
	}
	o.DiskID, o.Nonce = s.DiskID, s.Nonce
	signed, err := o.Sign(key.Sign)
	if err != nil {
		return err
	}
	b, err := json.Marshal(signed)
	if err != nil {
		return fmt.Errorf("encode an order: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Control()+v1.PathOrders, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("order for place %d: %w", p.Number, err)
	}
	a, err := p.http.Do(r)
	if err != nil {
		return fmt.Errorf("order for place %d: %w", p.Number, err)
	}
	defer a.Body.Close()
	if a.StatusCode == http.StatusOK {
		return nil
	}
	refused := &v1.Error{}
	if err := json.NewDecoder(a.Body).Decode(refused); err != nil {
		return fmt.Errorf("order for place %d: %s: %w", p.Number, a.Status, err)
	}
	return refused
}

// Health asks one of the node's HTTP endpoints, /readyz say, and returns the status and the body.
func (p *Place) Health(ctx context.Context, path string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address(p.status)+path, nil)
	if err != nil {
		return 0, "", fmt.Errorf("%s of place %d: %w", path, p.Number, err)
	}
	a, err := p.http.Do(r)
	if err != nil {
		return 0, "", fmt.Errorf("%s of place %d: %w", path, p.Number, err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, string(b), err
}

// Lose empties the disk of a node that does not run.
func (p *Place) Lose() error {
	if p.Running() {
		return errRunning
	}
	return os.RemoveAll(p.Disk)
}

// Keep copies the disk of a node that does not run.
func (p *Place) Keep(to string) error {
	if p.Running() {
		return errRunning
	}
	if err := os.CopyFS(to, os.DirFS(p.Disk)); err != nil {
		return fmt.Errorf("copy the disk of place %d: %w", p.Number, err)
	}
	return nil
}

// PutBack replaces the disk of a node that does not run by a copy that was kept, which is gone then.
func (p *Place) PutBack(from string) error {
	if err := p.Lose(); err != nil {
		return err
	}
	return os.Rename(from, p.Disk)
}

// Swap exchanges the disks of two nodes that don't run.
func (p *Place) Swap(q *Place) error {
	if p.Running() || q.Running() {
		return errRunning
	}
	aside := p.Disk + ".swap"
	for _, m := range [][2]string{{p.Disk, aside}, {q.Disk, p.Disk}, {aside, q.Disk}} {
		if err := os.Rename(m[0], m[1]); err != nil {
			return fmt.Errorf("swap the disks of places %d and %d: %w", p.Number, q.Number, err)
		}
	}
	return nil
}

// verify checks a server's chain, and that it is for a node.
func verify(s tls.ConnectionState, pool *x509.CertPool) error {
	inter := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		inter.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: inter, DNSName: natstest.RouteName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}
