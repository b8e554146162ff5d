// SPDX-License-Identifier: Apache-2.0

// Command unibus forms, grows, shrinks and repairs UniBus clusters.
package main

import (
	"os"

	"github.com/unibus/unibus/internal/cli"
)

func main() { os.Exit(cli.Main()) }
