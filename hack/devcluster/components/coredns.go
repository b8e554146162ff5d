// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"      // a directive of the Corefile
	_ "github.com/coredns/coredns/plugin/errors"     // a directive of the Corefile
	_ "github.com/coredns/coredns/plugin/health"     // a directive of the Corefile
	_ "github.com/coredns/coredns/plugin/kubernetes" // a directive of the Corefile
	_ "github.com/coredns/coredns/plugin/ready"      // a directive of the Corefile
)

// coredns has the directives that are linked, in the order in which CoreDNS has them: it refuses others at start.
func coredns() {
	dnsserver.Directives = []string{"errors", "health", "ready", "cache", "kubernetes"}
	coremain.Run()
}
