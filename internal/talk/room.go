// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

var roomColumns = columns[v1.RoomView]{
	head: []string{"NAME", "CLASS", "ROLE", "ID", "SINCE"},
	row: func(r v1.RoomView) []string {
		class := r.Class
		if r.Deleting {
			class = "(is being deleted)"
		}
		return []string{r.Name, class, string(r.Role), r.ID, when(r.Created)}
	},
	name: func(r v1.RoomView) string { return r.Name },
}

func newRoom() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{Use: "room", Short: "Manage rooms",
		Long: "A room is a named place that users are in. One with a history class keeps what is said in it; one without forgets at once."}))
	create := &cobra.Command{Use: "create NAME", Short: "Make a room (admins)", Args: cobra.ExactArgs(1),
		Example: "  unibus room create kitchen --class chat\n  unibus room create alarms"}
	class := create.Flags().String("class", "", "history class that keeps the room's messages; it can't be changed later (default: none, nothing is kept)")
	_ = create.RegisterFlagCompletionFunc("class", completeClasses(o))
	create.RunE = run(o, func(s *session, args []string) error {
		return change(s, roomColumns, "room "+args[0], func(ctx context.Context, api *client.API) (v1.RoomView, error) {
			r, _, err := api.PutRoom(ctx, args[0], *class, client.Absent)
			return r, anew(err, "see it with: unibus room show "+args[0]+" (one that is being deleted is gone in a moment)")
		})
	})
	remove := &cobra.Command{Use: "delete NAME", Short: "Delete a room with its history (admins)", Args: cobra.ExactArgs(1), Example: "  unibus room delete kitchen"}
	remove.RunE = run(o, func(s *session, args []string) error {
		return removing(s, "room "+args[0],
			func(ctx context.Context, api *client.API) (string, client.ETag, error) {
				r, tag, err := api.Room(ctx, args[0])
				return fmt.Sprintf("Delete room %s and all that it keeps?", r.Name), tag, err
			},
			func(ctx context.Context, api *client.API, tag client.ETag) error {
				return api.DeleteRoom(ctx, args[0], tag)
			})
	})
	c.AddCommand(
		lister(o, roomColumns, &cobra.Command{Use: "list", Short: "List the rooms that you are in; all, for admins", Args: cobra.NoArgs, Example: "  unibus room list"},
			func(ctx context.Context, api *client.API, _ []string) iter.Seq2[v1.RoomView, error] {
				return api.Rooms(ctx)
			}),
		shower(o, roomColumns, &cobra.Command{Use: "show NAME", Short: "Show a room", Args: cobra.ExactArgs(1), Example: "  unibus room show kitchen -o json"},
			func(ctx context.Context, api *client.API, args []string) (v1.RoomView, error) {
				r, _, err := api.Room(ctx, args[0])
				return r, err
			}),
		create, o.asking(remove))
	complete(c, completeRooms(o), "show", "delete")
	return c
}

var memberColumns = columns[v1.MemberView]{
	head: []string{"USER", "ROLE", "KEY", "SINCE"},
	row:  func(m v1.MemberView) []string { return []string{m.Name, string(m.Role), m.User, when(m.Created)} },
	name: func(m v1.MemberView) string { return m.Name },
}

var roles = []string{string(v1.RoleReader), string(v1.RoleMember), string(v1.RoleAdmin)}

func newMember() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{Use: "member", Short: "Manage who is in a room (the room's admins)",
		Long: "A reader hears and reads; a member also speaks, asks and answers; an admin also manages the room's members. USER is a name or a public key."}))
	remove := &cobra.Command{Use: "remove ROOM USER", Short: "Take a user out of a room; yourself, to leave", Args: cobra.ExactArgs(2),
		Example: "  unibus member remove kitchen ann"}
	remove.RunE = run(o, func(s *session, args []string) error {
		return removing(s, args[1]+" in room "+args[0],
			func(ctx context.Context, api *client.API) (string, client.ETag, error) {
				m, tag, err := api.Member(ctx, args[0], args[1])
				return fmt.Sprintf("Take %s (%s) out of room %s?", m.Name, m.Role, args[0]), tag, err
			},
			func(ctx context.Context, api *client.API, tag client.ETag) error {
				return api.DeleteMember(ctx, args[0], args[1], tag)
			})
	})
	c.AddCommand(
		lister(o, memberColumns, &cobra.Command{Use: "list ROOM", Short: "List who is in a room", Args: cobra.ExactArgs(1), Example: "  unibus member list kitchen"},
			func(ctx context.Context, api *client.API, args []string) iter.Seq2[v1.MemberView, error] {
				return api.Members(ctx, args[0])
			}),
		newMemberPut(o, "add", "Take a user into a room", string(v1.RoleMember), func(context.Context, *client.API, []string) (client.ETag, error) {
			return client.Absent, nil
		}),
		newMemberPut(o, "set", "Change what a user is in a room", "", func(ctx context.Context, api *client.API, args []string) (client.ETag, error) {
			_, tag, err := api.Member(ctx, args[0], args[1])
			return tag, err
		}),
		o.asking(remove))
	complete(c, completeMembers(o), "list", "add", "set", "remove")
	return c
}

// newMemberPut is a command that puts a user into a room if what is there is still what read found.
func newMemberPut(o *options, verb, short, role string, read func(context.Context, *client.API, []string) (client.ETag, error)) *cobra.Command {
	c := &cobra.Command{Use: verb + " ROOM USER", Short: short, Args: cobra.ExactArgs(2),
		Example: "  unibus member " + verb + " kitchen ann --role reader"}
	c.Flags().StringVar(&role, "role", role, "reader, member or admin")
	_ = c.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roles, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = run(o, func(s *session, args []string) error {
		if role == "" {
			return console.Failf(console.ExitUsage, "--role is needed: reader, member or admin")
		}
		if err := console.CheckChoice("role", role, roles...); err != nil {
			return err
		}
		return change(s, memberColumns, args[1]+" in room "+args[0], func(ctx context.Context, api *client.API) (v1.MemberView, error) {
			tag, err := read(ctx, api, args)
			if err != nil {
				return v1.MemberView{}, err
			}
			m, _, err := api.PutMember(ctx, args[0], args[1], v1.Role(role), tag)
			if tag == client.Absent {
				err = anew(err, "change the role with: unibus member set "+args[0]+" "+args[1]+" --role "+role)
			}
			return m, err
		})
	})
	return c
}
