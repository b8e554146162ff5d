// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// attacks are subjects for a user "me", who shares room A with another at most and room B with nobody.
type attacks struct{ publish, subscribe []string }

// refusedToAll may nobody use but nodes, whatever its role in room A.
func refusedToAll(me, other string) attacks {
	servers := []string{
		"$JS.API.INFO", "$JS.API.STREAM.MSG.GET.X", "$JS.API.DIRECT.GET.KV_UNIBUS_users", "$JS.ACK.X.c.1.1.1.1.0", "$JS.FC.X", "$KV.UNIBUS_users.x",
		"$KV.UNIBUS_members." + roomA, "$O.X.C.x", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.CLIENTS.SUBSZ",
		"$SYS.ACCOUNT.CLIENTS.CONNECT", "$SRV.PING", "$SRV.INFO.unibus", "$SRV.STATS.unibus.x", "$MQTT.sub.x", "$MQTT.msgs.x", "$NRG.V.x", "$LDS.x",
		"$G.x", "_R_.x", "_R_.x.y", "$GNR.x", "h." + roomA, "h." + roomB, "x", "room", "log", "reply", "unibus", "_INBOX", "_INBOX.x",
		"room." + roomA, "room." + roomB, "room." + roomB + "." + me + ".x", "room." + roomB + "." + other + ".x", "room." + roomB + ".x",
		"room." + roomA + "A.x", "room." + roomA[1:] + ".x", "room." + strings.ToLower(roomA) + ".x", "ROOM." + roomA + ".x",
		"log." + roomB, "log.x", "log." + roomA + ".x", "reply." + roomB + "." + me + ".x", "reply." + roomB + "." + other + ".x", "reply." + roomA,
		"_INBOX." + other + ".x", "_INBOX." + me, "_INBOX." + me + "A.x", "unibus." + other + ".rooms", "unibus." + other + ".append." + roomA,
		"unibus." + other + ".history." + roomB, "unibus." + other + ".x", "unibus." + me, "unibus.x",
		">", "*", "*.*", "*.>", "*.*.>", "room.>", "room.*", "room.*.>", "room.*.*.>", "room.*.*", "room.*." + me + ".>", "room.*." + me + ".x",
		"room." + roomB + ".>", "room." + roomB + ".*", "room." + roomB + ".*.x", "log.>", "log.*", "reply.>", "reply.*.>", "reply.*." + me + ".>",
		"reply." + roomB + ".>", "reply." + roomB + ".*.>", "_INBOX.>", "_INBOX.*", "_INBOX.*.>", "_INBOX.*.x", "_INBOX." + other + ".>", "unibus.>", "unibus.*.>",
		"unibus.*.append.*", "unibus.*.rooms", "unibus." + other + ".append." + roomA + ".NODE", "unibus." + other + ".history." + roomA + ".NODE",
		"unibus.*.append.*.NODE", "unibus." + other + ".append." + roomA + ".*", "_NODE", "_NODE.x", "_NODE.x.1", "_NODE.>", "_NODE.*", "_NODE.*.*", "$JS.>", "$JS.API.>", "$KV.>", "$SYS.>", "$SRV.>", "$MQTT.sub.>", "_R_.>", "h.>", "h.*",
	}
	return attacks{
		publish: append(slices.Clone(servers), "room."+roomA+"."+other+".x", "room."+roomA+"."+me, "room."+roomA+"."+me+"A.x", "room."+roomA+"."+strings.ToLower(me)+".x",
			"room."+roomA+".x."+me, "room."+roomA+".>", "room."+roomA+".*", "room."+roomA+".*.x", "log."+roomA, "_INBOX."+me+".x", "_INBOX."+me+".>"),
		subscribe: append(slices.Clone(servers), "unibus."+me+".>", "unibus."+me+".rooms", "unibus."+me+".append."+roomA, "unibus."+me+".append."+roomA+".NODE", "unibus."+me+".append."+roomA+".*",
			"reply."+roomA+".>", "reply."+roomA+".*.>", "reply."+roomA+"."+other+".>", "reply."+roomA+"."+other+".x", "room."+roomA+"*.>", "log."+roomA+".>"),
	}
}

// roles are those in which a user tries, with what that role may do.
func roles(me, other string) map[string]struct {
	role    v1.Role
	removed bool
	may     attacks
	mayNot  attacks
} {
	always := attacks{publish: []string{"unibus." + me + ".rooms", "unibus." + me + ".append." + roomB, "unibus." + me + ".append." + roomA + ".NODE"}, subscribe: []string{"_INBOX." + me + ".>", "_INBOX." + me + ".x.*"}}
	reads := []string{"room." + roomA + ".>", "room." + roomA + ".*.>", "room." + roomA + ".*.x", "room." + roomA + "." + other + ".x", "log." + roomA}
	writes := []string{"room." + roomA + "." + me + ".x", "room." + roomA + "." + me + ".x.y", "reply." + roomA + "." + other + ".x", "reply." + roomA + "." + me + ".x"}
	replies := []string{"reply." + roomA + "." + me + ".>", "reply." + roomA + "." + me + ".x"}
	type way = struct {
		role    v1.Role
		removed bool
		may     attacks
		mayNot  attacks
	}
	outside := attacks{publish: writes, subscribe: slices.Concat(reads, replies)}
	return map[string]way{
		"member":       {role: v1.RoleMember, may: attacks{publish: slices.Concat(always.publish, writes), subscribe: slices.Concat(always.subscribe, reads, replies)}},
		"reader":       {role: v1.RoleReader, may: attacks{publish: always.publish, subscribe: slices.Concat(always.subscribe, reads)}, mayNot: attacks{publish: writes, subscribe: replies}},
		"just removed": {role: v1.RoleMember, removed: true, may: always, mayNot: outside},
		"in no room":   {may: always, mayNot: outside},
	}
}

// TestLeakBySubject tries every subject in every role, by the server's word and by what is heard.
func TestLeakBySubject(t *testing.T) {
	b := mustBus(t)
	other := b.mustUser(t)
	b.let(other.hex, roomA, v1.RoleMember)
	b.let(other.hex, roomB, v1.RoleMember)
	for name := range roles("", "") {
		t.Run(name, func(t *testing.T) {
			me := b.mustUser(t)
			way, all := roles(me.public, other.public)[name], refusedToAll(me.public, other.public)
			b.let(me.hex, roomA, way.role)
			c := b.mustRaw(t, me)
			if way.removed {
				b.refresh(me, roomA, "")
			}
			spy := b.mustSpy(t)
			for _, s := range slices.Concat(all.publish, way.mayNot.publish) {
				expectDenied(t, c, "publish", s, "PUB "+s+" 0\r\n\r\n")
				// A trace of what may be published is told to a place that may not.
				h := "NATS/1.0\r\nNats-Trace-Dest: " + s + "\r\nNats-Trace-Only: true\r\n\r\n"
				if !strings.ContainsAny(s, "*>") { // those are no destinations at all
					expectDenied(t, c, "trace", s, fmt.Sprintf("HPUB unibus.%s.rooms %d %d\r\n%s\r\n", me.public, len(h), len(h), h))
				}
			}
			for _, s := range slices.Concat(all.subscribe, way.mayNot.subscribe) {
				for _, queue := range []string{"", " q", " >", " " + roomA} {
					expectDenied(t, c, "subscribe"+queue, s, "SUB "+s+queue+" 1\r\n")
				}
			}
			// Whoever asks it gives it no subject to answer to.
			inbox, elsewhere := "_INBOX."+me.public+".x", "room."+roomB+".answer" // not tried before: the server remembers
			if errs := c.do("SUB " + inbox + " 3\r\n"); len(errs) > 0 {
				t.Errorf("its own inbox: %q", errs)
			}
			if err := spy.nc.PublishRequest(inbox, elsewhere, nil); err != nil || spy.nc.Flush() != nil {
				t.Fatal(err, spy.nc.LastError())
			}
			expectDenied(t, c, "answer", elsewhere, "PUB "+elsewhere+" 0\r\n\r\n")
			if diff := cmp.Diff([]string{inbox}, spy.expectHeard(t)); diff != "" {
				t.Errorf("what was refused is heard, -want +heard:\n%s", diff)
			}
			for _, s := range way.may.subscribe {
				for _, queue := range []string{"", " q"} {
					if errs := c.do("SUB " + s + queue + " 2\r\nUNSUB 2\r\n"); len(errs) > 0 {
						t.Errorf("subscribe%s %s: %q", queue, s, errs)
					}
				}
			}
			for _, s := range way.may.publish {
				if errs := c.do("PUB " + s + " 0\r\n\r\n"); len(errs) > 0 {
					t.Errorf("publish %s: %q", s, errs)
				}
			}
			if diff := cmp.Diff(way.may.publish, spy.expectHeard(t)); diff != "" {
				t.Errorf("what was allowed, -want +heard:\n%s", diff)
			}
		})
	}
}

func expectDenied(t testing.TB, c *rawClient, what, subject, lines string) {
	t.Helper()
	// A wildcard in a published subject is another error, told before.
	errs := c.do(lines)
	if len(errs) == 0 || !strings.HasPrefix(errs[len(errs)-1], "-ERR 'Permissions Violation for") {
		t.Errorf("%s %s: %q, want a permission error", what, subject, errs)
	}
}

// TestLeakByNoGrants: to the server, a list that is missing or empty would mean everything.
func TestLeakByNoGrants(t *testing.T) {
	for name, grants := range map[string]func(string) ([]string, []string){
		"nil":       nil,
		"nil lists": func(string) ([]string, []string) { return nil, nil },
		"empty":     func(string) ([]string, []string) { return []string{}, []string{} },
		"nonsense": func(string) ([]string, []string) {
			return []string{"", "a..b", "> q", ".>"}, []string{"", "a..b", "> q", ".>"}
		},
	} {
		b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
		b.auth = mustAuth(t, Config{Keys: b.keys, IsAuthorized: b.has, Grants: grants})
		b.srv = mustServer(t, b.auth, nil)
		c := b.mustRaw(t, b.mustUser(t))
		for _, s := range []string{"x", "a.b", ">", "$SYS.REQ.USER.INFO", "_INBOX.x"} {
			expectDenied(t, c, name+": publish", s, "PUB "+s+" 0\r\n\r\n")
			expectDenied(t, c, name+": subscribe", s, "SUB "+s+" 1\r\n")
			expectDenied(t, c, name+": subscribe in a queue", s, "SUB "+s+" q 1\r\n")
		}
	}
}
