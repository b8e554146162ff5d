// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
)

// options are the flags that commands share.
type options struct {
	link    contexts.Flags
	output  string
	yes     bool
	timeout time.Duration
	timed   bool // it has the flag for that
}

// New returns all commands, each ready to be put under the root.
func New() []*cobra.Command {
	return []*cobra.Command{
		newKey(), newContext(), newToken(), newDoctor(),
		newUser(), newRoom(), newMember(), newClass(), newAudit(),
		newSend(), newTail(), newHistory(), newRequest(), newReply(),
		newChat(), newWriter(), newVerify(), newBench(),
	}
}

// linked gives a command and those below it the flags of what connects to a bus.
func (o *options) linked(c *cobra.Command) *cobra.Command {
	f := c.PersistentFlags()
	o.link.Add(f)
	o.timed = true
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long one answer may take")
	_ = c.RegisterFlagCompletionFunc("context", completeContexts) // it fails for flags that are not there
	return c
}

// printed gives a command and those below it the flag for the format of the result.
func (o *options) printed(c *cobra.Command) *cobra.Command {
	c.PersistentFlags().StringVarP(&o.output, "output", "o", console.FormatTable, "format of the result: table, json, yaml or name")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// asking gives a command the flag that answers its question.
func (o *options) asking(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "go on without asking")
	return c
}

var formats = []string{console.FormatTable, console.FormatJSON, console.FormatYAML, console.FormatName}

// check refuses flags that make no sense.
func (o *options) check() error {
	if o.output == "" {
		o.output = console.FormatTable // of a command without that flag
	}
	if o.timed {
		if err := console.CheckTime("timeout", o.timeout); err != nil {
			return err
		}
	}
	return console.CheckChoice("output", o.output, formats...)
}
