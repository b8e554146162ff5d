// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"cmp"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

// messageView is a message for programs: as the HTTP API gives it, with what is known besides.
type messageView struct {
	v1.Message
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

func viewMessage(m client.Message, name string) messageView {
	v := messageView{Message: v1.Message{Sequence: m.Sequence, Sender: m.Sender, Headers: m.Header}, ID: m.ID, Name: name}
	if !m.Time.IsZero() {
		v.Time = &m.Time
	}
	if utf8.Valid(m.Data) {
		v.Text = string(m.Data)
	} else {
		v.Data = m.Data
	}
	return v
}

// printMessage prints one of several messages. In a table it is one line, whatever is in it; -o name is the sequence.
func printMessage(w io.Writer, format string, m client.Message, who *people) error {
	name := ""
	if m.Sender != "" && format != console.FormatName {
		name = who.name(m.Sender)
	}
	switch format {
	case console.FormatName:
		_, err := fmt.Fprintln(w, m.Sequence)
		return err
	case console.FormatTable:
		at := m.Time
		if at.IsZero() {
			at = time.Now()
		}
		text := fmt.Sprintf("(%s of data)", console.Count(uint64(len(m.Data)), "byte"))
		if utf8.Valid(m.Data) {
			text = console.Clean(string(m.Data))
		}
		_, err := fmt.Fprintf(w, "%s  %s  %s\n", at.UTC().Format("2006-01-02 15:04:05Z"), console.Clean(cmp.Or(name, brief(m.Sender))), text)
		return err
	}
	return console.EncodeOne(w, format, viewMessage(m, name))
}
