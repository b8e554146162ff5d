// SPDX-License-Identifier: Apache-2.0

// Command devcluster makes a real Kubernetes on one Linux machine, from Go modules and packages of Debian alone: no
// Docker, no registry of images.
package main

import (
	"embed"
	"fmt"
	"os"

	"github.com/unibus/unibus/hack/devcluster/internal/command"
	"github.com/unibus/unibus/hack/devcluster/internal/machine"
)

// source is what the programs of a cluster are built from, wherever this program is.
//
//go:embed go.mod go.sum components pause
var source embed.FS

func main() {
	var err error
	if len(os.Args) == 3 && os.Args[1] == machine.Command {
		err = machine.Main(os.Args[2])
	} else {
		err = command.Main(source)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}
