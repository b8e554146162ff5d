// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// Output formats.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// encode writes v as JSON or YAML.
func encode(w io.Writer, format string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	if format == formatYAML {
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

// plain takes the style of JSON off a tree.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// table writes rows in columns, the first row as its head.
func table(w io.Writer, rows ...[]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, "  "+strings.Join(r, "\t"))
	}
	_ = t.Flush() // it fails only when w does, and then there is nobody to tell
}

// dash stands for what is empty.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// confirm asks a question that has to be answered with yes. Without a terminal nobody could answer it.
func confirm(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	f, ok := in.(*os.File)
	if !ok || !terminal(f) {
		return failf(exitRefused, "%s this needs an answer, and there is no terminal: pass --yes to go on without one", question)
	}
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // an end of input is a no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return failf(exitInterrupted, "interrupted; nothing was changed")
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
	}
	return failf(exitRefused, "nothing was changed")
}
