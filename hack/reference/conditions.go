// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/unibus/unibus/api/v1alpha1"
)

const conditionsHead = "<!-- Written by hack/reference (make generate). Do not edit. -->\n\n# Conditions and remedies\n\n" +
	"`kubectl describe ubc NAME` shows the conditions of a UnibusCluster, each with a reason from this table and a message that names the objects. Stalled is true where a\n" +
	"person has to act, and Ready once as many nodes as wished are in sync and serve. [The fields](api.md) have what a spec and a status hold.\n\n" +
	"| reason | on | what was seen | what to do |\n|---|---|---|---|\n"

// writeConditions writes docs/conditions.md from the reasons of the API.
func writeConditions(root string) error {
	var out strings.Builder
	out.WriteString(conditionsHead)
	for _, r := range v1alpha1.Reasons() {
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", r.Name, strings.Join(r.Conditions, ", "), r.Means, r.Remedy)
	}
	return os.WriteFile(filepath.Join(root, "docs", "conditions.md"), []byte(out.String()), 0o644)
}
