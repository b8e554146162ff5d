// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// office is the HTTP API of a node that runs, by the client library.
type office struct {
	*cluster
	url       string
	store     *membership.Store // past the API
	root, ann *clerk
}

// clerk is a user with the API, who is called by name.
type clerk struct {
	*client.API
	key string
}

func mustPair(t *testing.T) (nkeys.KeyPair, string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	must(t, err)
	key, err := pair.PublicKey()
	must(t, err)
	return pair, key
}

func (o *office) clerk(t *testing.T, change func(*client.Options)) *clerk {
	t.Helper()
	pair, key := mustPair(t)
	opts := client.Options{API: o.url, CAFile: o.CA(), Key: pair}
	if change != nil {
		change(&opts)
	}
	api, err := client.NewAPI(opts)
	must(t, err)
	t.Cleanup(api.Close)
	return &clerk{api, key}
}

// mustOffice starts a node whose first admin is root, with the user ann, the class "kept" and the room "talk", in which ann is a member.
func mustOffice(t *testing.T) *office {
	t.Helper()
	o := &office{cluster: mustBus(t, bus.Config{Places: 1})}
	ports, err := natstest.FreePorts(1)
	must(t, err)
	o.url = fmt.Sprint("https://127.0.0.1:", ports[0])
	o.root, o.ann = o.clerk(t, nil), o.clerk(t, nil)
	must(t, o.Places[0].Set(map[string]string{"formation": "found", "server-name": "node-0", "api-port": fmt.Sprint(ports[0]), "admin": o.root.key,
		"cut-off-refuse": "0", "cut-off-drop": "0"}))
	o.mustStart(o.Places[0])
	o.expectReady(o.Places[0])
	o.store = mustStore(t, o.cluster)
	ctx := t.Context()
	o.within("the first admin", func() string {
		_, _, err := o.root.User(ctx, "admin")
		return problem(err)
	})
	_, _, err = o.root.PutUser(ctx, o.ann.key, v1.PutUser{Name: "ann"}, client.Absent)
	must(t, err)
	class := membership.DefaultClass("kept")
	class.MaxBytes = 8 << 20
	_, _, err = o.root.PutClass(ctx, class, client.Absent)
	must(t, err)
	_, _, err = o.root.PutRoom(ctx, "talk", "kept", client.Absent)
	must(t, err)
	_, _, err = o.root.PutMember(ctx, "talk", "ann", v1.RoleMember, client.Absent)
	must(t, err)
	return o
}

// expectProblem expects an error of the library that a node has answered.
func expectProblem(t *testing.T, what string, err, want error) {
	t.Helper()
	var p *v1.Problem
	if !errors.Is(err, want) || !errors.As(err, &p) || p.Detail == "" {
		t.Errorf("%s: error %v, want %v as a node says it", what, err, want)
	}
}

func all[T any](t *testing.T, list iter.Seq2[T, error]) (items []T) {
	t.Helper()
	for v, err := range list {
		must(t, err)
		items = append(items, v)
	}
	return items
}

// fails is the error that a list ends with.
func fails[T any](list iter.Seq2[T, error]) (err error) {
	for _, err = range list {
	}
	return err
}

// TestLibraryAPI: every call of the client library to the HTTP API does at a node what it says, and each of its errors is one of those
// that are documented.
func TestLibraryAPI(t *testing.T) {
	o := mustOffice(t)
	t.Run("cluster", o.expectCluster)
	t.Run("users", o.expectUsers)
	t.Run("rooms", o.expectRoomCalls)
	t.Run("members", o.expectMembers)
	t.Run("classes", o.expectClasses)
	t.Run("audit", o.expectAudit)
	t.Run("conflicts", o.expectNoLostUpdate)
	t.Run("pages", o.expectPages)
	t.Run("rate", o.expectRate)
	t.Run("gone", o.expectGone)
}

func (o *office) expectCluster(t *testing.T) {
	ctx := t.Context()
	status, err := o.Places[0].Status(ctx)
	must(t, err)
	c, err := o.clerk(t, nil).Cluster(ctx) // who is no user may ask that
	must(t, err)
	if c.ID != status.ClusterID || c.Node != "node-0" || c.MaxPayload <= 0 || c.Version == "" {
		t.Errorf("%+v, want the id %s of node-0", c, status.ClusterID)
	}
	_, _, err = o.clerk(t, nil).User(ctx, "ann")
	expectProblem(t, "of who is no user", err, client.ErrToken)
	pair, key := mustPair(t)
	_, _, err = o.root.PutUser(ctx, key, v1.PutUser{Name: "tourist"}, client.Absent)
	must(t, err)
	_, _, err = o.clerk(t, func(c *client.Options) { c.Key, c.ClusterID = pair, "another" }).User(ctx, "tourist")
	expectProblem(t, "for another cluster", err, client.ErrToken)
	tourist := o.clerk(t, func(c *client.Options) { c.Key, c.ClusterID = pair, status.ClusterID })
	_, _, err = tourist.User(ctx, "tourist")
	must(t, err)
	must(t, o.root.DeleteUser(ctx, "tourist", ""))
	_, _, err = tourist.User(ctx, "tourist")
	expectProblem(t, "of a removed user", err, client.ErrToken)
	_, _, err = o.clerk(t, func(c *client.Options) { c.CAFile, c.Key = "", pair }).User(ctx, "tourist")
	if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "x509") {
		t.Errorf("without the CA: %v", err)
	}
}

func (o *office) expectUsers(t *testing.T) {
	ctx := t.Context()
	_, key := mustPair(t)
	bob, tag, err := o.root.PutUser(ctx, key, v1.PutUser{Name: "bob"}, client.Absent)
	must(t, err)
	if bob.Key != key || bob.Name != "bob" || bob.Admin || bob.Created.IsZero() || tag == "" {
		t.Errorf("%+v, ETag %q", bob, tag)
	}
	for _, by := range []string{"bob", key} {
		got, now, err := o.root.User(ctx, by)
		must(t, err)
		if diff := cmp.Diff(bob, got); diff != "" || now != tag {
			t.Errorf("by %s: %s, ETag %s", by, diff, now)
		}
	}
	_, same, err := o.root.PutUser(ctx, key, v1.PutUser{Name: "bob"}, "")
	if must(t, err); same != tag {
		t.Errorf("what is there already was changed: ETag %s after %s", same, tag)
	}
	_, _, err = o.root.PutUser(ctx, key, v1.PutUser{Name: "bob"}, client.Absent)
	expectProblem(t, "is there", err, client.ErrConflict)
	_, next, err := o.root.PutUser(ctx, key, v1.PutUser{Name: "bob", Admin: true}, tag)
	must(t, err)
	_, _, err = o.root.PutUser(ctx, key, v1.PutUser{Name: "bob"}, tag)
	expectProblem(t, "was changed since", err, client.ErrConflict)
	expectProblem(t, "removed, but changed since", o.root.DeleteUser(ctx, "bob", tag), client.ErrConflict)
	_, other := mustPair(t)
	for what, x := range map[string]struct {
		key, name string
		want      error
	}{
		"a name that is taken": {other, "bob", client.ErrExists}, "a new name": {key, "bert", client.ErrExists}, "no name": {other, "Bob B.", client.ErrInvalid},
		"no key": {"bob", "bob", client.ErrInvalid},
	} {
		_, _, err = o.root.PutUser(ctx, x.key, v1.PutUser{Name: x.name}, "")
		expectProblem(t, what, err, x.want)
	}
	if names := fmt.Sprint(namesOf(all(t, o.root.Users(ctx)))); names != "[admin ann bob]" {
		t.Errorf("the users are %s", names)
	}
	me, _, err := o.ann.User(ctx, "ann")
	if must(t, err); me.Key != o.ann.key {
		t.Errorf("oneself: %+v", me)
	}
	expectProblem(t, "list", fails(o.ann.Users(ctx)), client.ErrForbidden)
	_, _, err = o.ann.PutUser(ctx, other, v1.PutUser{Name: "eve"}, "")
	expectProblem(t, "put", err, client.ErrForbidden)
	expectProblem(t, "delete", o.ann.DeleteUser(ctx, "bob", ""), client.ErrForbidden)

	must(t, o.root.DeleteUser(ctx, "bob", next))
	_, _, err = o.root.User(ctx, "bob")
	expectProblem(t, "is gone", err, client.ErrNotFound)
	expectProblem(t, "is gone", o.root.DeleteUser(ctx, "bob", ""), client.ErrNotFound)
	expectProblem(t, "the last admin", o.root.DeleteUser(ctx, "admin", ""), client.ErrLastAdmin)
	_, _, err = o.root.PutUser(ctx, o.root.key, v1.PutUser{Name: "admin"}, "")
	expectProblem(t, "the last admin", err, client.ErrLastAdmin)
}

func namesOf(users []v1.User) (names []string) {
	for _, u := range users {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return names
}

func (o *office) expectRoomCalls(t *testing.T) {
	ctx := t.Context()
	made, tag, err := o.root.PutRoom(ctx, "hall", "", client.Absent)
	must(t, err)
	got, now, err := o.root.Room(ctx, "hall")
	must(t, err)
	if diff := cmp.Diff(made, got); diff != "" || now != tag || !v1.IsRoomID(got.ID) || got.Role != "" {
		t.Errorf("%s, ETag %s after %s", diff, now, tag)
	}
	_, _, err = o.root.PutRoom(ctx, "hall", "", client.Absent)
	expectProblem(t, "is there", err, client.ErrConflict)
	_, _, err = o.root.PutRoom(ctx, "hall", "kept", "")
	expectProblem(t, "with another class", err, client.ErrExists)
	_, _, err = o.root.PutRoom(ctx, "den", "nowhere", "")
	expectProblem(t, "with no such class", err, client.ErrInvalid)
	_, _, err = o.root.PutRoom(ctx, "The Den", "", "")
	expectProblem(t, "no name", err, client.ErrInvalid)
	_, _, err = o.root.PutRoom(ctx, "den", strings.Repeat("x", 1<<20), "")
	expectProblem(t, "a body without an end", err, client.ErrTooLarge)
	_, _, err = o.ann.PutRoom(ctx, "den", "", "")
	expectProblem(t, "put", err, client.ErrForbidden)
	expectProblem(t, "delete", o.ann.DeleteRoom(ctx, "talk", ""), client.ErrForbidden)
	_, _, err = o.ann.Room(ctx, "hall")
	expectProblem(t, "not in it", err, client.ErrNotFound)
	talk, _, err := o.ann.Room(ctx, "talk")
	if must(t, err); talk.Role != v1.RoleMember || talk.Class != "kept" {
		t.Errorf("%+v", talk)
	}
	if own, every := all(t, o.ann.Rooms(ctx)), all(t, o.root.Rooms(ctx)); len(own) != 1 || own[0].Name != "talk" || len(every) != 2 || every[0].Name != "hall" {
		t.Errorf("ann is in %+v, there are %+v", own, every)
	}
	expectProblem(t, "changed since", o.root.DeleteRoom(ctx, "hall", `"1"`), client.ErrConflict)
	must(t, o.root.DeleteRoom(ctx, "hall", tag))
	_, _, err = o.root.Room(ctx, "hall")
	expectProblem(t, "is gone", err, client.ErrNotFound)
	expectProblem(t, "is gone", o.root.DeleteRoom(ctx, "hall", ""), client.ErrNotFound)
}

func (o *office) expectMembers(t *testing.T) {
	ctx := t.Context()
	_, key := mustPair(t)
	_, _, err := o.root.PutUser(ctx, key, v1.PutUser{Name: "cleo"}, "")
	must(t, err)
	_, _, err = o.ann.PutMember(ctx, "talk", "cleo", v1.RoleReader, "")
	expectProblem(t, "by a plain member", err, client.ErrForbidden)
	_, _, err = o.root.PutMember(ctx, "talk", "ann", v1.RoleAdmin, "")
	must(t, err)
	made, tag, err := o.ann.PutMember(ctx, "talk", "cleo", v1.RoleReader, client.Absent)
	must(t, err)
	got, now, err := o.ann.Member(ctx, "talk", key)
	must(t, err)
	if diff := cmp.Diff(made, got); diff != "" || now != tag || got.Name != "cleo" || got.User != key || got.Role != v1.RoleReader {
		t.Errorf("%s, ETag %s after %s", diff, now, tag)
	}
	_, _, err = o.ann.PutMember(ctx, "talk", "cleo", v1.RoleMember, client.Absent)
	expectProblem(t, "is there", err, client.ErrConflict)
	_, next, err := o.ann.PutMember(ctx, "talk", "cleo", v1.RoleMember, tag)
	must(t, err)
	_, _, err = o.ann.PutMember(ctx, "talk", "cleo", v1.RoleReader, tag)
	expectProblem(t, "was changed since", err, client.ErrConflict)
	expectProblem(t, "removed, but changed since", o.ann.DeleteMember(ctx, "talk", "cleo", tag), client.ErrConflict)
	_, _, err = o.ann.PutMember(ctx, "talk", "cleo", "king", "")
	expectProblem(t, "no role", err, client.ErrInvalid)
	_, _, err = o.root.PutMember(ctx, "talk", "nobody", v1.RoleReader, "")
	expectProblem(t, "no user", err, client.ErrNotFound)
	_, _, err = o.root.PutMember(ctx, "nowhere", "cleo", v1.RoleReader, "")
	expectProblem(t, "no room", err, client.ErrNotFound)
	expectProblem(t, "list of a room that one is not in", fails(o.ann.Members(ctx, "nowhere")), client.ErrNotFound)
	if members := all(t, o.ann.Members(ctx, "talk")); len(members) != 2 || members[0].Name != "ann" || members[0].Role != v1.RoleAdmin || members[1].Name != "cleo" {
		t.Errorf("%+v", members)
	}
	must(t, o.ann.DeleteMember(ctx, "talk", "cleo", next))
	_, _, err = o.ann.Member(ctx, "talk", "cleo")
	expectProblem(t, "is gone", err, client.ErrNotFound)
	must(t, o.ann.DeleteMember(ctx, "talk", "ann", "")) // oneself
	expectProblem(t, "who has left", fails(o.ann.Members(ctx, "talk")), client.ErrNotFound)
}
