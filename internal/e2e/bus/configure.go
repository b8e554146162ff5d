// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
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
	p.settings = map[string]string{
		"bind":      p.host.Address,
		"formation": "order",
		"store-dir": p.Disk,

		"port":         strconv.Itoa(p.client),
		"cluster-port": strconv.Itoa(p.cluster),
		"control-port": strconv.Itoa(p.control),
		"http-port":    strconv.Itoa(p.status),
		"api-port":     "0",

		"operator-key": operator,
		"order-key":    order,

		"cluster-pass-file": filepath.Join(p.bus.folder(), "cluster.pass"),
		"route-tls-name":    natstest.RouteName,
		"route-tls-cert":    f.Cert,
		"route-tls-key":     f.Key,
		"route-tls-ca":      f.CA,
		"tls-cert":          f.Cert,
		"tls-key":           f.Key,
	}
	if d := p.bus.cfg.Doors; d != nil {
		// The same port on another address of this machine: a node advertises an address, the port is its own.
		host := fmt.Sprintf("127.0.1.%d", 10+p.Number)
		d.Door(p.Door(), net.JoinHostPort(host, strconv.Itoa(p.cluster)), p.address(p.cluster))
		p.settings["advertise"] = host
	}
	return p.Set(p.bus.cfg.Extra)
}

// Set changes settings of the node, from its next start on. An empty value takes a setting out.
func (p *Place) Set(settings map[string]string) error {
	maps.Copy(p.settings, settings)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p.settings)) {
		if v := p.settings[k]; v != "" {
			fmt.Fprintf(&b, "%s: %s\n", k, strconv.Quote(v))
		}
	}
	if err := os.WriteFile(p.config, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("configuration of place %d: %w", p.Number, err)
	}
	return nil
}

// Setting is a setting of the node, empty when it is not set.
func (p *Place) Setting(name string) string { return p.settings[name] }
