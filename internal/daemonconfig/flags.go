// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// AddFlags adds --config and a flag for every setting.
func AddFlags(fs *pflag.FlagSet) {
	fs.String(ConfigFlag, "", "YAML file with any of these settings, by the names of their flags ("+envPrefix+strings.ToUpper(ConfigFlag)+")")
	for _, s := range settings {
		v := &flagValue{setting: s}
		f := fs.VarPF(v, s.Name, "", s.usage())
		if s.kind() == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

func (s Setting) usage() string {
	text := s.Help
	if s.Enum != nil {
		text += "; one of " + strings.Join(s.Enum, ", ")
	}
	return text + " (" + s.Env() + ")"
}

// flagValue keeps what was given as text: the layers are read all alike, in one place.
type flagValue struct {
	setting Setting
	given   []string
}

// String implements pflag.Value. Before anything is given it is the default, as help shows it.
func (v *flagValue) String() string {
	if v.given == nil {
		return v.setting.Default
	}
	if v.setting.Secret {
		return masked
	}
	return strings.Join(v.given, ",")
}

// Set implements pflag.Value. It refuses what can't be read, so that the error names the flag as it was typed.
func (v *flagValue) Set(text string) error {
	if err := v.setting.set(new(Config), []string{text}); err != nil {
		return err
	}
	if v.setting.kind() != "list" {
		v.given = nil
	}
	v.given = append(slices.Clone(v.given), text)
	return nil
}

// Type implements pflag.Value.
func (v *flagValue) Type() string { return v.setting.kind() }
