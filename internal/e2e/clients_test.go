// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// TestClientsOfOthers: clients that nobody here wrote talk in a room, by the commands that the documents tell, each through another
// node; all else is denied to them; and who is removed is out.
func TestClientsOfOthers(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	for i, p := range c.Places {
		// On a machine with too much to do nodes may seem to be cut off, which is not what is judged here.
		must(t, p.Set(map[string]string{"formation": "bootstrap", "server-name": fmt.Sprint("node-", i), "routes": routes(c.Places...),
			"cut-off-refuse": "0", "cut-off-drop": "0"}))
	}
	c.mustStart(c.Places...)
	c.expectReady(c.Places...)
	store := mustStore(t, c)
	class := membership.DefaultClass("kept")
	class.MaxBytes = 8 << 20
	_, err := store.PutClass(t.Context(), class, 0)
	must(t, err)
	talk, err := store.CreateRoom(t.Context(), "talk", "kept")
	must(t, err)
	secret, err := store.CreateRoom(t.Context(), "secret", "kept")
	must(t, err)
	ann := mustForeign(t, c, store, natsCLI, "ann", talk.Value, v1.RoleMember, 0)
	bob := mustForeign(t, c, store, nodeNATS, "bob", talk.Value, v1.RoleMember, 1)
	eve := mustForeign(t, c, store, natsCLI, "eve", secret.Value, v1.RoleMember, 2)

	told := mustCommands(t)
	for _, f := range []foreign{ann, eve} {
		out, err := f.run(t, told.line(t, "context save"))
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, f := range []foreign{ann, bob, eve} {
		c.expectRooms(t, told, f)
	}
	for _, pair := range [][2]foreign{{ann, bob}, {bob, ann}} {
		t.Run(pair[0].program+" to "+pair[1].program, func(t *testing.T) {
			c.expectTalk(t, told, pair[0], pair[1])
			c.expectHistory(t, told, pair[0], pair[1])
			for line, run := range told {
				if !run {
					t.Errorf("nobody has run this line of docs/rooms.md: %s", line)
				}
			}
		})
	}
	t.Run("strangers", func(t *testing.T) {
		expectStrangers(t, told, ann)
		expectStrangers(t, told, bob)
	})
	t.Run("denied", func(t *testing.T) {
		expectDenied(t, ann, bob, eve)
		expectDenied(t, bob, ann, eve)
		expectNoAdministration(t, ann)
	})
	t.Run("removed", func(t *testing.T) { c.expectRemoved(t, told, store, ann, bob, eve) })
}

func (c *cluster) expectRooms(t *testing.T, told commands, f foreign) {
	t.Helper()
	c.in(t).within("the list of rooms", func() string {
		out, err := f.run(t, told.line(t, ".rooms"))
		return problem(err) + missing(out, `"name":`, `"id":"`+f.room+`"`, `"role":"member"`)
	})
}

// expectTalk: what one says the other hears, and what one asks the other answers.
func (c *cluster) expectTalk(t *testing.T, told commands, from, to foreign) {
	t.Helper()
	listener := to.start(t, told.line(t, "nats sub", "room."))
	c.hears(t, listener, func() {
		if out, err := from.run(t, told.line(t, "nats pub")); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}, fmt.Sprintf("%q", v1.RoomSubject(from.room, from.key, "chat")), "hello")

	answerer, answer := to.start(t, told.line(t, "nats reply")), ""
	c.hears(t, answerer, func() { answer, _ = from.run(t, told.line(t, "what time")) }, v1.RoomSubject(from.room, from.key, "ask"), "what time is it?")
	c.in(t).within("an answer", func() string {
		wrong := missing(answer, "it is noon")
		if wrong != "" {
			answer, _ = from.run(t, told.line(t, "what time"))
		}
		return wrong
	})
}

var sequence = regexp.MustCompile(`"seq":(\d+)`)

// expectHistory: what one appends the other follows and reads.
func (c *cluster) expectHistory(t *testing.T, told commands, from, to foreign) {
	t.Helper()
	id, last := 0, ""
	keep := func() string {
		out, err := from.run(t, told.line(t, ".append."), fmt.Sprint("ID=", id))
		if m := sequence.FindStringSubmatch(out); err == nil && m != nil {
			last = m[1]
			return ""
		}
		return problem(err) + out
	}
	follower := to.start(t, told.line(t, "nats sub", "log."))
	c.in(t).within("what is appended is followed", func() string {
		id++
		if wrong := keep(); wrong != "" {
			return wrong // the class may not have its stream yet
		}
		return missing(follower.Output(), v1.LogSubject(from.room), v1.HeaderLogSequence+": "+last, v1.HeaderSender+": "+from.key, "to be kept")
	})
	first := last
	if wrong := keep(); wrong != "" || last != first {
		t.Errorf("the same id again: %s, sequence %s after %s", wrong, last, first)
	}

	out, err := to.run(t, told.line(t, ".history."))
	if wrong := problem(err) + missing(out, v1.HeaderSequence+": "+last+"\n", v1.HeaderSender+": "+from.key, v1.HeaderID+": "+strconv.Itoa(id)+"\n",
		"to be kept", v1.HeaderEnd+`: {"messages":`); wrong != "" {
		t.Error(wrong)
	}
	// The last message has no body: by that the clients know that it is the last.
	if !regexp.MustCompile(v1.HeaderEnd + `: \{[^\n]*\}[\s\d:]*(nil body)?\s*$`).MatchString(out) {
		t.Errorf("something follows the end: %q", out)
	}
}

// expectStrangers: the client refuses a node whose CA it does not know, and the node a key that it does not know.
func expectStrangers(t *testing.T, told commands, f foreign) {
	ca, err := natstest.NewCA("stranger")
	must(t, err)
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	wrongCA, wrongKey := filepath.Join(f.dir, "stranger.crt"), filepath.Join(f.dir, "stranger.nk")
	must(t, os.WriteFile(wrongCA, ca.PEM(), 0o600))
	must(t, os.WriteFile(wrongKey, seed, 0o600))
	for variable, words := range map[string]string{"NATS_CA=" + wrongCA: "certificate", "NATS_NKEY=" + wrongKey: "authorization violation"} {
		out, err := f.run(t, told.line(t, "nats pub"), variable)
		if wrong := missing(strings.ToLower(out), words); err == nil || wrong != "" {
			t.Errorf("%s with %s: %v %s", f.program, variable, err, wrong)
		}
	}
}

// expectDenied tries what a member of one room may not do, with another member of it and a stranger in another room.
func expectDenied(t *testing.T, f, member, stranger foreign) {
	me, other := f.key, member.key
	publish := []string{
		"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.MSG.GET.HISTORY_kept", "$JS.API.DIRECT.GET.KV_UNIBUS_users", "$JS.ACK.HISTORY_kept.x",
		"$KV.UNIBUS_users.user", "$KV.UNIBUS_members." + stranger.room, "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$SRV.PING", "anything",
		"room." + f.room, "room." + f.room + ".chat", v1.RoomSubject(f.room, other, "chat"),
		v1.RoomSubject(stranger.room, me, "chat"), v1.RoomSubject(stranger.room, stranger.key, "chat"),
		v1.ReplyPrefix(stranger.room, stranger.key) + ".x", v1.LogSubject(f.room), v1.LogSubject(stranger.room), v1.HistoryKept("kept", f.room),
		v1.AppendSubject(other, f.room), v1.HistorySubject(stranger.key, stranger.room), v1.RoomsSubject(other),
		v1.InboxPrefix(other) + ".x", v1.InboxPrefix(me) + ".x",
	}
	subscribe := []string{
		">", "*", "$JS.>", "$JS.API.>", "$KV.>", "$SYS.>", "$SRV.>", "h.>", "anything",
		"room.>", "room.*.*.chat", v1.RoomSubjects(stranger.room), "reply.>", "reply." + f.room + ".>", v1.ReplyPrefix(f.room, other) + ".>",
		v1.ReplyPrefix(stranger.room, stranger.key) + ".>", "log.*", v1.LogSubject(stranger.room), "unibus.>", "unibus." + me + ".>", "unibus." + other + ".>",
		"_INBOX.>", v1.InboxPrefix(other) + ".>",
	}
	t.Run(f.program, func(t *testing.T) {
		for _, s := range publish {
			t.Run("publish "+s, func(t *testing.T) { f.expectDenied(t, "nats pub '"+s+"' x", "publish", s) })
		}
		for _, s := range subscribe {
			t.Run("subscribe "+s, func(t *testing.T) { f.expectDenied(t, "nats sub --wait 1s '"+s+"'", "subscription", s) })
		}
		// These the node takes, and refuses by the room.
		for _, s := range []string{v1.AppendSubject(me, stranger.room), v1.HistorySubject(me, stranger.room), v1.AppendSubject(me, strings.Repeat("A", v1.RoomIDSize))} {
			t.Run("request "+s, func(t *testing.T) {
				t.Parallel()
				if out, _ := f.run(t, "nats request '"+s+"' '{}'"); missing(out, `"code":"forbidden"`) != "" {
					t.Error(out)
				}
			})
		}
	})
}

// denial is how what a client says in lower case begins when the server denies it a subject: of a request to a service the server names
// the node's own subject, which is longer.
func denial(what, subject string) string {
	return strings.ToLower(fmt.Sprintf("Permissions Violation for %s to \"%s", what, subject))
}

// expectDenied runs a command that must fail since the server denies the subject.
func (f foreign) expectDenied(t *testing.T, line, what, subject string) {
	t.Parallel()
	out, err := f.run(t, line)
	if wrong := missing(strings.ToLower(out), denial(what, subject)); wrong != "" || err == nil {
		t.Errorf("%s: %s, %v", line, wrong, err)
	}
}

// expectNoAdministration: none of what the command line can administer is there for a user.
func expectNoAdministration(t *testing.T, f foreign) {
	ctx, cancel := contextFor(t, limit)
	defer cancel()
	running := map[*proc.Process]string{} // at once: some wait for an answer until they give up
	for line, subject := range map[string]string{
		"stream ls":                                  "$JS.API.STREAM.LIST",
		"stream info HISTORY_kept":                   "$JS.API.STREAM.INFO.HISTORY_kept",
		"stream get HISTORY_kept 1":                  "$JS.API.STREAM.INFO.HISTORY_kept",
		"stream purge -f HISTORY_kept":               "$JS.API.STREAM.INFO.HISTORY_kept",
		"stream add mine --defaults --subjects mine": "$JS.API.STREAM.CREATE.mine",
		"consumer ls HISTORY_kept":                   "$JS.API.STREAM.INFO.HISTORY_kept",
		"kv ls":                                      "$JS.API.STREAM.LIST",
		"kv get UNIBUS_users x":                      "$JS.API.STREAM.INFO.KV_UNIBUS_users",
		"kv put UNIBUS_users x y":                    "$JS.API.STREAM.INFO.KV_UNIBUS_users",
		"kv add mine":                                "$JS.API.INFO",
		"object ls":                                  "$JS.API.STREAM.LIST",
		"account info":                               "$JS.API.INFO",
		"server ls":                                  "$SYS.REQ.SERVER.PING",
		"server report jetstream":                    "$SYS.REQ.SERVER.PING.JSZ",
		"service ls":                                 "$SRV.INFO",
	} {
		running[f.start(t, "nats "+line)] = denial("publish", subject)
	}
	for p, words := range running {
		err := p.Wait(ctx) // not all say by it that they have failed
		if wrong := missing(strings.ToLower(p.Output()), words); wrong != "" {
			t.Errorf("%s, %v", wrong, err)
		}
	}
}

// expectRemoved removes the users of one room, one after the other. Those who stay don't notice.
func (c *cluster) expectRemoved(t *testing.T, told commands, store *membership.Store, first, second, bystander foreign) {
	listen, speak := told.line(t, "nats sub", "room."), told.line(t, "nats pub")
	var watched []*proc.Process
	for _, p := range c.Places {
		w := bystander.start(t, listen, "NATS_URL="+p.Client())
		watched = append(watched, w)
		c.hears(t, w, func() { _, _ = bystander.run(t, speak) }, bystander.key, "hello")
	}
	for _, f := range []foreign{first, second} {
		listener := f.start(t, listen)
		c.hears(t, listener, func() { _, _ = f.run(t, speak) }, "hello")
		must(t, store.RemoveUser(t.Context(), f.key, 0))
		c.in(t).within(f.program+" is disconnected", func() string { return missing(strings.ToLower(listener.Output()), "disconnect") })
		for _, p := range c.Places {
			c.in(t).within(fmt.Sprintf("place %d refuses", p.Number), func() string {
				out, err := f.run(t, speak, "NATS_URL="+p.Client())
				if err == nil {
					return "no error"
				}
				return missing(strings.ToLower(out), "authorization violation")
			})
		}
	}
	for _, w := range watched {
		before := strings.Count(w.Output(), "hello")
		c.in(t).within("one who stays goes on listening", func() string {
			_, _ = bystander.run(t, speak)
			if strings.Count(w.Output(), "hello") == before {
				return w.Output()
			}
			return ""
		})
		if out := w.Output(); strings.Contains(strings.ToLower(out), "disconnect") {
			t.Errorf("one who stays was disconnected: %s", out)
		}
	}
}
