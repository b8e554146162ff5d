// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/natstest"
)

// newOurs lays out a cluster of size membershipd processes; it starts nothing.
func (p *program) newOurs(name string, size int) (*bus, error) {
	w := p.shop
	// One operator's key opens every account; which one is said in the user name.
	b := &bus{label: "ours", login: func(account string) []nats.Option {
		return []nats.Option{w.keys[accountSystem].option(), nats.UserInfo(account, ""), nats.Secure(w.clientTLS())}
	}}
	ports, err := natstest.FreePorts(5 * size)
	if err != nil {
		return nil, err
	}
	boss, err := newPerson(admin)
	if err != nil {
		return nil, err
	}
	var routes []string
	for i := range size {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[5*i+1]))
	}
	formation := "found"
	if size > 1 {
		formation = "bootstrap"
	}
	for i := range size {
		n := &node{name: fmt.Sprint("ours-", i), url: fmt.Sprintf("tls://127.0.0.1:%d", ports[5*i]),
			http: fmt.Sprintf("http://127.0.0.1:%d", ports[5*i+2]), api: fmt.Sprintf("https://127.0.0.1:%d", ports[5*i+4])}
		dir, err := w.folder(name, n.name)
		if err != nil {
			return nil, err
		}
		n.store, n.log = filepath.Join(dir, "store"), filepath.Join(dir, "log")
		n.argv = []string{w.membershipd,
			"--server-name", n.name, "--cluster-name", "bench", "--store-dir", n.store, "--formation", formation,
			"--port", fmt.Sprint(ports[5*i]), "--cluster-port", fmt.Sprint(ports[5*i+1]),
			"--http-port", fmt.Sprint(ports[5*i+2]), "--control-port", fmt.Sprint(ports[5*i+3]), "--api-port", fmt.Sprint(ports[5*i+4]), "--admin", boss.key,
			"--routes", strings.Join(routes, ","), "--operator-key", w.keys[accountSystem].public,
			"--route-tls-cert", w.files.Cert, "--route-tls-key", w.files.Key, "--route-tls-ca", w.files.CA,
			"--tls-cert", w.files.Cert, "--tls-key", w.files.Key,
			"--cluster-user", "bench",
		}
		n.env = []string{"UNIBUS_CLUSTER_PASS=bench"}
		b.nodes = append(b.nodes, n)
	}
	return b, nil
}
