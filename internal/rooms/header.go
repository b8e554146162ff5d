// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// What a header line costs besides name and value (": " and the end of the line), and the block besides its lines.
	headerLine  = 4
	headerBlock = len("NATS/1.0\r\n") + len("\r\n")
	// mostShown is how much of a name that somebody else chose is told back.
	mostShown = 64
)

// canonical returns the name under which a header of a sender is kept; ok is false for one that the sender may not set.
func canonical(name string) (kept string, ok bool) {
	for _, c := range v1.CopiedHeaders {
		if strings.EqualFold(c, name) {
			return c, true
		}
	}
	app := len(v1.HeaderApp)
	if len(name) <= app || !strings.EqualFold(name[:app], v1.HeaderApp) {
		return "", false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' || c == ':' {
			return "", false
		}
	}
	if name[:app] != v1.HeaderApp {
		name = v1.HeaderApp + name[app:]
	}
	return name, true
}

// isSenders says whether a header of a message that is kept is one that its sender has set.
func isSenders(name string) bool {
	return strings.HasPrefix(name, v1.HeaderApp) || slices.Contains(v1.CopiedHeaders, name)
}

// plain says whether a value can be written as it is: without what could end a line.
func plain(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// copyHeaders puts the headers that the sender may set into kept, and returns how many bytes they take, and the message id, if there is one.
func copyHeaders(kept, sent nats.Header) (id string, size int, refused *v1.Error) {
	for name, values := range sent {
		if strings.EqualFold(name, v1.HeaderMessageID) {
			if id != "" || len(values) != 1 || values[0] == "" || len(values[0]) > v1.MaxMessageID || !plain(values[0]) {
				return "", 0, errMalformedID
			}
			id = values[0]
			continue
		}
		to, ok := canonical(name)
		for _, v := range values {
			ok = ok && plain(v)
			size += lineSize(to, v)
		}
		if !ok {
			shown := name[:min(len(name), mostShown)]
			return "", 0, refusal(v1.CodeHeader, fmt.Sprintf("header %q may not be set, or not to that value: leave it out, or name it %s…",
				shown, v1.HeaderApp))
		}
		if had := kept[to]; had != nil { // spelt in two ways
			values = append(had[:len(had):len(had)], values...)
		}
		kept[to] = values
	}
	return id, size, nil
}

// lineSize is how many bytes a header takes in a message, besides what the block takes.
func lineSize(name, value string) int { return len(name) + len(value) + headerLine }
