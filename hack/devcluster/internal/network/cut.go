// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Cut is a pair of machines that do not hear each other: nodes counted from 1, or 0 for the control plane. The first is
// the lower one.
type Cut [2]int

// NewCut returns the cut between two machines.
func NewCut(a, b int) Cut { return Cut{min(a, b), max(a, b)} }

// With returns all cuts of machine n from others, or from every other of a cluster of so many nodes, if none is named.
func With(n, nodes int, others []int) []Cut {
	if len(others) == 0 {
		for other := range nodes + 1 {
			others = append(others, other)
		}
	}
	var all []Cut
	for _, other := range others {
		if other != n {
			all = append(all, NewCut(n, other))
		}
	}
	return all
}

// Add returns the cuts of both, each once.
func Add(cuts, more []Cut) []Cut {
	all := slices.Clone(cuts)
	for _, c := range more {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// Healed returns the cuts without those of machine n.
func Healed(cuts []Cut, n int) []Cut {
	return slices.DeleteFunc(slices.Clone(cuts), func(c Cut) bool { return c[0] == n || c[1] == n })
}

// Apply makes these the cuts of the bridge in the namespace of the process control. They hold for a node that starts
// anew too: a port has its node's name.
func Apply(ctx context.Context, control int, cuts []Cut) error {
	return within(ctx, control, rules(cuts), "nft", "-f", "-")
}

// rules drop whole frames, ARP as well, so that who is cut off is not there: no answer, not a refused connection.
func rules(cuts []Cut) string {
	var b strings.Builder
	b.WriteString("table bridge cuts\ndelete table bridge cuts\ntable bridge cuts {\n")
	chain := func(hook string, drops func(c Cut) []string) {
		fmt.Fprintf(&b, "  chain %s {\n    type filter hook %s priority 0;\n", hook, hook)
		for _, c := range cuts {
			for _, drop := range drops(c) {
				fmt.Fprintf(&b, "    %s drop\n", drop)
			}
		}
		b.WriteString("  }\n")
	}
	name := func(n int) string { return strconv.Quote(NodeName(n)) }
	chain("forward", func(c Cut) []string {
		if c[0] == 0 {
			return nil
		}
		a, b := name(c[0]), name(c[1])
		return []string{"iifname " + a + " oifname " + b, "iifname " + b + " oifname " + a}
	})
	local := func(key string) func(Cut) []string {
		return func(c Cut) []string {
			if c[0] != 0 {
				return nil
			}
			return []string{key + " " + name(c[1])}
		}
	}
	chain("input", local("iifname"))
	chain("output", local("oifname"))
	b.WriteString("}\n")
	return b.String()
}
