// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"
)

// Output formats. FormatName is the names of things only, one a line, for programs that go on with them.
const (
	FormatTable = "table"
	FormatJSON  = "json"
	FormatYAML  = "yaml"
	FormatName  = "name"
)

// CheckChoice refuses a flag's value that is not one of those there are.
func CheckChoice(flag, value string, of ...string) error {
	if slices.Contains(of, value) {
		return nil
	}
	return Failf(ExitUsage, "--%s %q is not one of %s", flag, value, strings.Join(of, ", "))
}

// CheckTime refuses a flag's value that is no time to wait for: what is waited for comes to an end.
func CheckTime(flag string, value time.Duration) error {
	if value > 0 {
		return nil
	}
	return Failf(ExitUsage, "--%s %v: use a time above 0, such as 30s", flag, value)
}

// Encode writes v as JSON or YAML.
func Encode(w io.Writer, format string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	if format == FormatYAML {
		// JSON is YAML: by way of it both formats have the same names and the same order.
		var n yaml.Node
		if err := yaml.Unmarshal(b, &n); err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		plain(&n)
		if b, err = yaml.Marshal(&n); err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
	}
	_, err = fmt.Fprintln(w, strings.TrimSpace(string(b)))
	return err
}

// EncodeOne writes v as one of several results that come one by one: a line of JSON, or a document of YAML.
func EncodeOne(w io.Writer, format string, v any) error {
	if format == FormatYAML {
		if _, err := fmt.Fprintln(w, "---"); err != nil {
			return err
		}
		return Encode(w, format, v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// plain takes the style of JSON off a tree.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// Table writes rows in columns, the first row as its head. It fails when w does.
func Table(w io.Writer, rows ...[]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if _, err := fmt.Fprintln(t, "  "+strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// Dash stands for what is empty.
func Dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Count says how many of something there are.
func Count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
