// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

var userColumns = columns[v1.User]{
	head: []string{"NAME", "ADMIN", "KEY", "SINCE"},
	row:  func(u v1.User) []string { return []string{u.Name, yes(u.Admin), u.Key, when(u.Created)} },
	name: func(u v1.User) string { return u.Name },
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// when shows a time to people.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime) + "Z"
}

func newUser() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{Use: "user", Short: "Manage who may use the bus (admins)",
		Long: "A user is a public key (unibus key new) and a name. USER is either of them."}))
	add := &cobra.Command{Use: "add NAME KEY", Short: "Put a key on the allowlist", Args: cobra.ExactArgs(2),
		Example: "  unibus user add ann \"$(unibus key show ann.nk)\"\n  unibus user add root UBDX... --admin"}
	admin := add.Flags().Bool("admin", false, "a user who manages users, rooms and classes")
	add.RunE = run(o, func(s *session, args []string) error {
		if _, err := v1.UserHex(args[1]); err != nil {
			return console.Failf(console.ExitUsage, "KEY: %w", err)
		}
		return change(s, userColumns, "user "+args[0], func(ctx context.Context, api *client.API) (v1.User, error) {
			u, _, err := api.PutUser(ctx, args[1], v1.PutUser{Name: args[0], Admin: *admin}, client.Absent)
			if errors.Is(err, client.ErrExists) {
				return u, fmt.Errorf("%w; see who that is with: unibus user show %s", err, args[0])
			}
			return u, anew(err, "see who that is with: unibus user show "+args[1])
		})
	})
	remove := &cobra.Command{Use: "remove USER", Short: "Take a user off the allowlist and out of all rooms", Args: cobra.ExactArgs(1),
		Example: "  unibus user remove ann"}
	remove.RunE = run(o, func(s *session, args []string) error {
		return removing(s, "user "+args[0],
			func(ctx context.Context, api *client.API) (string, client.ETag, error) {
				u, tag, err := api.User(ctx, args[0])
				return fmt.Sprintf("Remove user %s (%s)? Its connections end at once.", u.Name, u.Key), tag, err
			},
			func(ctx context.Context, api *client.API, tag client.ETag) error {
				return api.DeleteUser(ctx, args[0], tag)
			})
	})
	c.AddCommand(
		lister(o, userColumns, &cobra.Command{Use: "list", Short: "List all users", Args: cobra.NoArgs, Example: "  unibus user list\n  unibus user list -o name"},
			func(ctx context.Context, api *client.API, _ []string) iter.Seq2[v1.User, error] {
				return api.Users(ctx)
			}),
		shower(o, userColumns, &cobra.Command{Use: "show USER", Short: "Show a user", Args: cobra.ExactArgs(1), Example: "  unibus user show ann -o json"},
			func(ctx context.Context, api *client.API, args []string) (v1.User, error) {
				u, _, err := api.User(ctx, args[0])
				return u, err
			}),
		add, newUserAdmin(o), o.asking(remove))
	complete(c, completeUsers(o), "show", "admin", "remove")
	return c
}

func newUserAdmin(o *options) *cobra.Command {
	c := &cobra.Command{Use: "admin USER on|off", Short: "Make a user an admin of the bus, or none any more", Args: cobra.ExactArgs(2),
		Example: "  unibus user admin ann on"}
	c.RunE = run(o, func(s *session, args []string) error {
		if args[1] != "on" && args[1] != "off" {
			return console.Failf(console.ExitUsage, "%q: say on or off", args[1])
		}
		return change(s, userColumns, "user "+args[0], func(ctx context.Context, api *client.API) (v1.User, error) {
			u, tag, err := api.User(ctx, args[0])
			if err != nil {
				return u, err
			}
			u, _, err = api.PutUser(ctx, u.Key, v1.PutUser{Name: u.Name, Admin: args[1] == "on"}, tag)
			return u, err
		})
	})
	return c
}
