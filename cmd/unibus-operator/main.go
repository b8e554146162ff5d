// SPDX-License-Identifier: Apache-2.0

// Command unibus-operator runs UniBus clusters on Kubernetes.
package main

import (
	"os"

	"github.com/unibus/unibus/internal/operator"
)

func main() {
	os.Exit(operator.Main(os.Args[1:], os.Stderr))
}
