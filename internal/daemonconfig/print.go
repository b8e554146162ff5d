// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
)

// masked stands for a secret that is set.
const masked = "********"

// Print writes every setting that is in force, as a file would hold it, with its origin and with secrets masked.
func (l *Loaded) Print(w io.Writer) error {
	var b strings.Builder
	if l.File != "" {
		fmt.Fprintf(&b, "# file: %s\n", l.File)
	}
	for _, s := range settings {
		v := s.value(&l.Config)
		if s.Secret && v != "" {
			v = masked
		}
		line, err := yaml.Parser().Marshal(map[string]any{s.Name: v})
		if err != nil {
			return fmt.Errorf("print %s: %w", s.Name, err)
		}
		text := strings.TrimSuffix(string(line), "\n")
		// A list takes several lines; its origin goes beside its name.
		head, rest, more := strings.Cut(text, "\n")
		fmt.Fprintf(&b, "%-40s # %s\n", head, l.Origins[s.Name])
		if more {
			fmt.Fprintln(&b, rest)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Marshal writes the configuration as a file that a node reads, with what differs from the defaults. It refuses one with a secret
// in it: what is written so is rarely kept as one; give a file's name instead.
func (c Config) Marshal() ([]byte, error) {
	keep := map[string]any{}
	defaults := Default()
	for _, s := range settings {
		v := s.value(&c)
		if reflect.DeepEqual(v, s.value(&defaults)) {
			continue
		}
		if s.Secret {
			return nil, fmt.Errorf("write configuration: %s is a secret; set %s-file instead", s.Name, s.Name)
		}
		keep[s.Name] = v
	}
	b, err := yaml.Parser().Marshal(keep)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return b, nil
}
