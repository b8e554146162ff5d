// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/unibus/unibus/internal/daemonconfig"
)

const configurationHead = `<!-- Written by hack/reference (make generate). Do not edit. -->

# Configuration of a node

A setting has one name in three places: the flag ` + "`--NAME`" + `, the environment variable, and the key ` + "`NAME`" + ` of the YAML file that
` + "`--config`" + ` (or ` + "`UNIBUS_CONFIG`" + `) names. A flag beats the environment, which beats the file, which beats the default. Unknown names are
errors. ` + "`membershipd config`" + ` prints what is in force and where each value comes from; secrets are masked.

| setting | environment | type | default | |
|---|---|---|---|---|
`

// writeConfiguration writes docs/configuration.md.
func writeConfiguration(root string) error {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	daemonconfig.AddFlags(flags)
	var out strings.Builder
	out.WriteString(configurationHead)
	for _, s := range daemonconfig.Settings() {
		kind := flags.Lookup(s.Name).Value.Type()
		if s.Enum != nil {
			kind = strings.Join(s.Enum, ", ")
		}
		help := s.Help
		if s.Secret {
			help += ". Secret"
		}
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&out, "| `%s` | `%s` | %s | %s | %s |\n", s.Name, s.Env(), kind, value, strings.ReplaceAll(help, "<", "&lt;"))
	}
	return os.WriteFile(filepath.Join(root, "docs", "configuration.md"), []byte(out.String()), 0o644)
}
