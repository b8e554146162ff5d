// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

// completeLimit is how long somebody who presses the tabulator waits.
const completeLimit = 2 * time.Second

type completer = func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// complete gives the commands of these names what completes their arguments.
func complete(parent *cobra.Command, by completer, names ...string) {
	for _, c := range parent.Commands() {
		if slices.Contains(names, c.Name()) {
			c.ValidArgsFunction = by
		}
	}
}

func completeContexts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	f, err := load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return f.Names(), cobra.ShellCompDirectiveNoFileComp
}

// completing asks the HTTP API for names. Whatever goes wrong, there is then nothing to choose from.
func completing[T any](o *options, read func(context.Context, *client.API) iter.Seq2[T, error], name func(T) string) completer {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		s, err := open(c, o)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer s.close()
		api, err := s.api()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parent := c.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completeLimit)
		defer cancel()
		var names []string
		for v, err := range read(ctx, api) {
			if err != nil {
				break
			}
			names = append(names, console.Clean(name(v)))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func completeUsers(o *options) completer {
	by := completing(o, func(ctx context.Context, api *client.API) iter.Seq2[v1.User, error] { return api.Users(ctx) }, userColumns.name)
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if c.Name() == "admin" && len(args) == 1 {
			return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
		}
		return by(c, args, begun)
	}
}

func completeRooms(o *options) completer {
	return completing(o, func(ctx context.Context, api *client.API) iter.Seq2[v1.RoomView, error] { return api.Rooms(ctx) }, roomColumns.name)
}

// completeMembers completes a room and then a user: one who is in the room, or for add, any.
func completeMembers(o *options) completer {
	byRoom, byUser := completeRooms(o), completeUsers(o)
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return byRoom(c, nil, begun)
		case len(args) > 1 || c.Name() == "list":
			return nil, cobra.ShellCompDirectiveNoFileComp
		case c.Name() == "add":
			return byUser(c, nil, begun)
		}
		in := func(ctx context.Context, api *client.API) iter.Seq2[v1.MemberView, error] {
			return api.Members(ctx, args[0])
		}
		return completing(o, in, memberColumns.name)(c, nil, begun)
	}
}

func completeClasses(o *options) completer {
	read := func(ctx context.Context, api *client.API) iter.Seq2[v1.Class, error] {
		return func(yield func(v1.Class, error) bool) {
			all, err := api.Classes(ctx)
			for _, c := range all {
				if !yield(c, err) {
					return
				}
			}
		}
	}
	by := completing(o, read, classColumns.name)
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if c.Name() == "create" { // of --class: the room's name is given already
			args = nil
		}
		return by(c, args, begun)
	}
}
