// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
)

// mustHosts makes network namespaces, each with an address of its own on a bridge, which this machine reaches too. It needs root
// and iproute2.
func mustHosts(t *testing.T, n int) []bus.Host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("network namespaces need root: run the tests as root, or leave this one out (-skip TestThreeHosts)")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatal("network namespaces need the command ip (Debian: iproute2)")
	}
	ip := func(args ...string) error {
		out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	tag := fmt.Sprintf("ub%x", os.Getpid()&0xffff) // names of interfaces have 15 characters
	net := fmt.Sprintf("10.%d.%d", 200+os.Getpid()>>8&15, os.Getpid()&255)
	if err := ip("link", "add", tag, "type", "bridge"); err != nil {
		t.Fatalf("network namespaces are not allowed here: %v", err)
	}
	t.Cleanup(func() { exec.Command("ip", "link", "del", tag).Run() })
	must(t, ip("addr", "add", net+".1/24", "dev", tag))
	must(t, ip("link", "set", tag, "up"))
	var hosts []bus.Host
	for i := range n {
		ns, veth, addr := fmt.Sprint(tag, "n", i), fmt.Sprint(tag, "v", i), fmt.Sprintf("%s.%d", net, 11+i)
		must(t, ip("netns", "add", ns))
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		for _, args := range []string{
			"link add " + veth + " type veth peer name eth0 netns " + ns,
			"link set " + veth + " master " + tag + " up",
			"-n " + ns + " addr add " + addr + "/24 dev eth0",
			"-n " + ns + " link set eth0 up",
			"-n " + ns + " link set lo up",
		} {
			must(t, ip(strings.Fields(args)...))
		}
		hosts = append(hosts, bus.Host{Address: addr, Enter: []string{"/usr/bin/env", "ip", "netns", "exec", ns}})
	}
	return hosts
}

// TestThreeHosts: nodes wait for orders on three hosts, over mutual TLS, and the command on a fourth makes them a cluster, grows
// it under writes, and shrinks it again.
func TestThreeHosts(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3, Hosts: mustHosts(t, 3)})
	c.mustStart(c.Places...)
	for _, p := range c.Places {
		c.expectPhase(p, v1.NodeWaiting, "empty")
	}
	must(t, c.Run(t.Context(), c.Create(c.Places[0])...))
	c.mustWrite(100)
	must(t, c.Run(t.Context(), c.Grow(3)...))
	c.expectSettled(3)
	c.expectKept(3)

	c.Places[0].Kill() // a host is lost, and comes back
	c.mustWrite(50)
	c.mustStart(c.Places[0])
	c.expectSettled(3)
	c.expectKept(3)

	must(t, c.Run(t.Context(), c.Shrink(1)...))
	c.expectSettled(1)
	c.expectKept(1)
}
