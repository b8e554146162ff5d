// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"strings"
)

// Tags of command blocks.
const (
	tagCI    = "ci"
	tagLong  = "long"
	tagServe = "serve" // goes on beside the blocks after it
	tagE2E   = "e2e"   // run by internal/e2e, which has nodes and users for it
)

// block is one fenced block of commands.
type block struct {
	line int // of its first command, from 1
	tag  string
	text string
}

// blocks returns the command blocks of a Markdown text. It fails on one without a tag: nobody would ever run it.
func blocks(markdown string) ([]block, error) {
	var found []block
	fence := "" // what closes the block that we are in
	commands := false
	for i, line := range strings.Split(markdown, "\n") {
		mark := strings.TrimSpace(line)
		switch {
		case fence == "" && strings.HasPrefix(mark, "```"):
			fence = mark[:len(mark)-len(strings.TrimLeft(mark, "`"))]
			lang, tag, _ := strings.Cut(strings.TrimLeft(mark, "`"), " ")
			if commands = lang == "sh" || lang == "bash" || lang == "console"; !commands {
				continue
			}
			if tag != tagCI && tag != tagLong && tag != tagServe && tag != tagE2E {
				return nil, fmt.Errorf("line %d: a block of commands is tagged %q, want %q, %q, %q or %q after the language", i+1, tag, tagCI, tagLong, tagServe, tagE2E)
			}
			found = append(found, block{line: i + 2, tag: tag})
		case fence != "" && mark == fence:
			fence = ""
		case fence != "" && commands:
			found[len(found)-1].text += line + "\n"
		}
	}
	if fence != "" {
		return nil, fmt.Errorf("the last block is not closed")
	}
	return found, nil
}
