// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// Confirm asks a question that has to be answered with yes. Without a terminal nobody could answer it.
func Confirm(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	if f := File(in); f == nil || !Terminal(f) {
		return Failf(ExitRefused, "%s this needs an answer, and there is no terminal: pass --yes to go on without one", question)
	}
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // an end of input is a no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return Failf(ExitInterrupted, "interrupted; nothing was changed")
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
	}
	return Failf(ExitRefused, "nothing was changed")
}
