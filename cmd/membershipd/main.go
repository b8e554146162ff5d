// SPDX-License-Identifier: Apache-2.0

// Command membershipd is a UniBus node.
package main

import (
	"os"

	"github.com/unibus/unibus/internal/membershipd"
)

func main() {
	os.Exit(membershipd.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
