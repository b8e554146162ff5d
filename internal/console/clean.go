// SPDX-License-Identifier: Apache-2.0

package console

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// joiner is what holds the parts of an emoji together. It is no letter, but harmless.
const joiner = '\u200d'

// Clean makes one line of what somebody else wrote, in which a terminal obeys nothing: what can't be printed is shown as Go would write it.
func Clean(s string) string {
	strange := func(r rune) bool { return !unicode.IsPrint(r) && r != joiner || r == utf8.RuneError }
	if !strings.ContainsFunc(s, strange) {
		return s
	}
	var out strings.Builder
	for i, size := 0, 0; i < len(s); i += size {
		var r rune
		if r, size = utf8.DecodeRuneInString(s[i:]); !strange(r) {
			out.WriteRune(r)
			continue
		}
		quoted := strconv.Quote(s[i : i+size])
		out.WriteString(quoted[1 : len(quoted)-1])
	}
	return out.String()
}
