// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

var classColumns = columns[v1.Class]{
	head: []string{"NAME", "BYTES", "MESSAGES/ROOM", "MESSAGE BYTES", "AGE", "FULL", "RATE/USER", "RATE/ROOM"},
	row: func(c v1.Class) []string {
		age := "for ever"
		if c.MaxAge > 0 {
			age = c.MaxAge.String()
		}
		if c.MaxAge > 0 && c.MaxAge%time.Hour == 0 {
			age = fmt.Sprintf("%.0fh", c.MaxAge.Hours())
		}
		bytes, message := size(c.MaxBytes), size(c.MaxMessageBytes)
		return []string{c.Name, bytes.String(), fmt.Sprint(c.MaxMessagesPerRoom), message.String(), age, string(c.Full),
			rate(c.PublisherRate), rate(c.RoomRate)}
	},
	name: func(c v1.Class) string { return c.Name },
}

func rate(r float64) string {
	if r == 0 {
		return "any"
	}
	return strconv.FormatFloat(r, 'g', -1, 64) + "/s"
}

func newClass() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{Use: "class", Short: "Manage history classes",
		Long: `A history class says how much is kept of each room that has it: how many messages, how large, how long. All rooms of a class share its
bytes, which are reserved on every node.`}))
	remove := &cobra.Command{Use: "delete NAME", Short: "Delete a class that no room has (admins)", Args: cobra.ExactArgs(1), Example: "  unibus class delete chat",
		Long: "Rooms that are still being deleted, with what they keep, are waited for."}
	remove.RunE = run(o, func(s *session, args []string) error {
		return removing(s, "class "+args[0],
			func(ctx context.Context, api *client.API) (string, client.ETag, error) {
				_, tag, err := api.Class(ctx, args[0])
				return fmt.Sprintf("Delete history class %s?", args[0]), tag, err
			},
			func(ctx context.Context, api *client.API, tag client.ETag) error {
				return s.deleteClass(ctx, api, args[0], tag)
			})
	})
	c.AddCommand(
		lister(o, classColumns, &cobra.Command{Use: "list", Short: "List all classes", Args: cobra.NoArgs, Example: "  unibus class list"},
			func(ctx context.Context, api *client.API, _ []string) iter.Seq2[v1.Class, error] {
				return func(yield func(v1.Class, error) bool) {
					all, err := api.Classes(ctx)
					for _, c := range all {
						if !yield(c, nil) {
							return
						}
					}
					if err != nil {
						yield(v1.Class{}, err)
					}
				}
			}),
		shower(o, classColumns, &cobra.Command{Use: "show NAME", Short: "Show a class", Args: cobra.ExactArgs(1), Example: "  unibus class show chat -o json"},
			func(ctx context.Context, api *client.API, args []string) (v1.Class, error) {
				c, _, err := api.Class(ctx, args[0])
				return c, err
			}),
		newClassSet(o), o.asking(remove))
	complete(c, completeClasses(o), "show", "set", "delete")
	return c
}

// deletePause is between two attempts to delete a class.
const deletePause = 200 * time.Millisecond

// deleteClass waits for rooms that are still being deleted: what they keep goes a moment after they do.
func (s *session) deleteClass(ctx context.Context, api *client.API, class string, tag client.ETag) error {
	for told := false; ; told = true {
		used := api.DeleteClass(ctx, class, tag)
		if !errors.Is(used, client.ErrInUse) {
			return used
		}
		for r, err := range api.Rooms(ctx) { // those that are being deleted are not among them
			if err != nil {
				return err
			}
			if r.Class == class {
				return used
			}
		}
		if !told {
			fmt.Fprintf(s.notice, "a room of class %s is still being deleted; it is waited for\n", class)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a room of it is still being deleted: %w", ctx.Err())
		case <-time.After(deletePause):
		}
	}
}

func newClassSet(o *options) *cobra.Command {
	c := &cobra.Command{Use: "set NAME", Short: "Make a class, or change the bounds that are given (admins)", Args: cobra.ExactArgs(1),
		Long: "A class that is made smaller drops at once the oldest of what is over its new bounds.",
		Example: `  unibus class set chat --bytes 256MiB --messages 10000 --age 720h
  unibus class set orders --full refuse --age 0`}
	// What a class is like of which no more is said than its name.
	want := v1.Class{MaxBytes: 64 << 20, MaxMessagesPerRoom: 1000, MaxMessageBytes: 64 << 10, MaxAge: 30 * 24 * time.Hour, Full: v1.FullRolls,
		PublisherRate: 100, RoomRate: 1000}
	message := size(want.MaxMessageBytes)
	f := c.Flags()
	f.Var((*size)(&want.MaxBytes), "bytes", "what all rooms of the class together may hold on each node, such as 64MiB")
	f.Int64Var(&want.MaxMessagesPerRoom, "messages", want.MaxMessagesPerRoom, "how many messages of a room are kept")
	f.Var(&message, "message-bytes", "the largest message, headers included, such as 64KiB")
	f.DurationVar(&want.MaxAge, "age", want.MaxAge, "how long messages are kept; 0 for ever")
	f.StringVar((*string)(&want.Full), "full", string(want.Full), "what happens when it is full: roll (the oldest go) or refuse (nothing more is taken)")
	f.Float64Var(&want.PublisherRate, "user-rate", want.PublisherRate, "messages a second that one user may send at each node; 0 for any")
	f.Float64Var(&want.RoomRate, "room-rate", want.RoomRate, "messages a second that all users of a room may send at each node; 0 for any")
	_ = c.RegisterFlagCompletionFunc("full", cobra.FixedCompletions([]string{string(v1.FullRolls), string(v1.FullRefuses)}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = run(o, func(s *session, args []string) error {
		if message > 1<<31-1 {
			return console.Failf(console.ExitUsage, "--message-bytes %v: no message is as large", message)
		}
		want.Name, want.MaxMessageBytes = args[0], int32(message)
		return change(s, classColumns, "class "+args[0], func(ctx context.Context, api *client.API) (v1.Class, error) {
			is, tag, err := api.Class(ctx, args[0])
			switch {
			case errors.Is(err, client.ErrNotFound):
				is, tag = want, client.Absent
			case err != nil:
				return is, err
			}
			merge(f, &is, want)
			is, _, err = api.PutClass(ctx, is, tag)
			return is, err
		})
	})
	return c
}

// merge changes of a class what was given by flags.
func merge(f *pflag.FlagSet, is *v1.Class, want v1.Class) {
	for name, set := range map[string]func(){
		"bytes":         func() { is.MaxBytes = want.MaxBytes },
		"messages":      func() { is.MaxMessagesPerRoom = want.MaxMessagesPerRoom },
		"message-bytes": func() { is.MaxMessageBytes = want.MaxMessageBytes },
		"age":           func() { is.MaxAge = want.MaxAge },
		"full":          func() { is.Full = want.Full },
		"user-rate":     func() { is.PublisherRate = want.PublisherRate },
		"room-rate":     func() { is.RoomRate = want.RoomRate },
	} {
		if f.Changed(name) {
			set()
		}
	}
}

// size is a number of bytes, as a flag.
type size int64

var units = []struct {
	name string
	of   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// String implements pflag.Value.
func (s *size) String() string {
	for _, u := range units {
		if n := int64(*s); n > 0 && n%u.of == 0 {
			return strconv.FormatInt(n/u.of, 10) + u.name
		}
	}
	return "0B"
}

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > (1<<63-1)/u.of {
			break
		}
		*s = size(n * u.of)
		return nil
	}
	return errors.New("use a number of bytes, such as 65536, 64KiB, 64MiB or 1GiB")
}

// Type implements pflag.Value.
func (s *size) Type() string { return "size" }
