// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"fmt"
	"io"

	"github.com/unibus/unibus/internal/console"
)

// columns say how things of a kind are shown to people.
type columns[T any] struct {
	head []string
	row  func(T) []string
	name func(T) string // what other commands call it
}

// one prints a thing.
func one[T any](w io.Writer, format string, c columns[T], v T) error {
	switch format {
	case console.FormatTable, console.FormatName:
		return list(w, format, c, []T{v})
	}
	return console.Encode(w, format, v)
}

// list prints things.
func list[T any](w io.Writer, format string, c columns[T], all []T) error {
	switch format {
	case console.FormatName:
		for _, v := range all {
			if _, err := fmt.Fprintln(w, console.Clean(c.name(v))); err != nil {
				return err
			}
		}
		return nil
	case console.FormatTable:
		rows := [][]string{c.head}
		for _, v := range all {
			row := c.row(v)
			for i, cell := range row {
				row[i] = console.Dash(console.Clean(cell))
			}
			rows = append(rows, row)
		}
		return console.Table(w, rows...)
	}
	if all == nil {
		all = []T{}
	}
	return console.Encode(w, format, all)
}
