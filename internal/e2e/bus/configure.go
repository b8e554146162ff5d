// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/unibus/unibus/internal/natstest"
)

// configure writes the node's configuration: it waits for orders, over mutual TLS.
func (p *Place) configure() error {
	operator, err := p.bus.public("operator.nk")
	if err != nil {
		return err
	}
	order, err := p.bus.public("order.nk")
	if err != nil {
		return err
	}
	f := p.bus.pki.files(fmt.Sprint(p.Number))
	lines := []string{
		"bind: " + p.host.Address,
		"formation: order",
		"cluster-name: soak",
		"store-dir: " + p.Disk,
		fmt.Sprintf("port: %d", p.client),
		fmt.Sprintf("cluster-port: %d", p.cluster),
		fmt.Sprintf("control-port: %d", p.control),
		fmt.Sprintf("http-port: %d", p.status),
		"operator-key: " + operator,
		"order-key: " + order,
		"route-tls-name: " + natstest.RouteName,
		"cluster-pass-file: " + filepath.Join(p.bus.folder(), "cluster.pass"),
		"route-tls-cert: " + f.Cert,
		"route-tls-key: " + f.Key,
		"route-tls-ca: " + f.CA,
		"tls-cert: " + f.Cert,
		"tls-key: " + f.Key,
		p.bus.cfg.Extra,
	}
	if d := p.bus.cfg.Doors; d != nil {
		// The same port on another address of this machine: a node advertises an address, the port is its own.
		host := fmt.Sprintf("127.0.1.%d", 10+p.Number)
		if err := d.Door(p.Door(), net.JoinHostPort(host, strconv.Itoa(p.cluster)), p.address(p.cluster)); err != nil {
			return err
		}
		lines = append(lines, "advertise: "+host)
	}
	if err := os.WriteFile(p.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("configuration of place %d: %w", p.Number, err)
	}
	return nil
}
