// SPDX-License-Identifier: Apache-2.0

// Package network is the network of a cluster: a bridge in the control plane's namespace and a cable from it to each
// node. None of it is in the namespace of the host.
package network

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// MaxNodes is how many nodes a cluster has at most.
const MaxNodes = 5

const (
	// Control is the address of the control plane, and of the bridge.
	Control = "10.77.0.1"
	// Services is the range of the addresses of Services.
	Services = "10.96.0.0/16"
	// API is the address of the Service kubernetes.
	API = "10.96.0.1"
	// DNS is the address of the Service kube-dns.
	DNS = "10.96.0.10"
	// Pods is the range of the addresses of pods.
	Pods = "10.244.0.0/16"
)

// Node returns the address of a node, counted from 1.
func Node(n int) string { return fmt.Sprintf("10.77.0.%d", 10+n) }

// NodePods returns the range of the addresses of a node's pods.
func NodePods(n int) string { return fmt.Sprintf("10.244.%d.0/24", n-1) }

// NodeName returns the name of a node, which is that of its port on the bridge too.
func NodeName(n int) string { return "node" + strconv.Itoa(n) }

// MakeBridge makes the bridge, in the namespace of the process pid.
func MakeBridge(ctx context.Context, pid int) error {
	batch := []string{
		"link set lo up",
		"link add bridge0 type bridge",
		"addr add " + Control + "/16 dev bridge0",
		"link set bridge0 up",
	}
	return ip(ctx, pid, append(batch, routes(0)...))
}

// Attach connects node n, whose init is node, with the bridge in the namespace of the process control.
func Attach(ctx context.Context, control, node, n int) error {
	name := NodeName(n)
	// The other end of a cable that was there has gone with its namespace, or goes now.
	_ = ip(ctx, control, []string{"link del " + name})
	if err := ip(ctx, control, []string{
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", name, node),
		fmt.Sprintf("link set %s master bridge0 up", name),
	}); err != nil {
		return err
	}
	batch := []string{
		"link set lo up",
		"addr add " + Node(n) + "/16 dev eth0",
		"link set eth0 up",
		"route add default via " + Control,
	}
	if err := ip(ctx, node, append(batch, routes(n)...)); err != nil {
		return err
	}
	return within(ctx, node, "1", "tee", "/proc/sys/net/ipv4/ip_forward")
}

// routes returns the ways to the pods of every node but n.
func routes(n int) []string {
	var all []string
	for other := 1; other <= MaxNodes; other++ {
		if other != n {
			all = append(all, "route add "+NodePods(other)+" via "+Node(other))
		}
	}
	return all
}

func ip(ctx context.Context, pid int, batch []string) error {
	return within(ctx, pid, strings.Join(batch, "\n")+"\n", "ip", "-batch", "-")
}

// within runs a command in the network namespace of the process pid.
func within(ctx context.Context, pid int, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--net", "--"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s in the network of process %d: %w: %s%s", args[0], pid, err, out, input)
	}
	return nil
}
