// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	natsserver "github.com/nats-io/nats-server/v2/server"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// jetStreamSubjects are all of JetStream's that take a request, with the names of a stream and a consumer.
func jetStreamSubjects(stream, consumer string) (subjects []string) {
	for _, s := range []string{natsserver.JSApiStreamCreateT, natsserver.JSApiStreamUpdateT, natsserver.JSApiStreamInfoT, natsserver.JSApiStreamDeleteT,
		natsserver.JSApiStreamPurgeT, natsserver.JSApiStreamSnapshotT, natsserver.JSApiStreamRestoreT, natsserver.JSApiMsgDeleteT, natsserver.JSApiMsgGetT,
		natsserver.JSDirectMsgGetT, natsserver.JSApiConsumerCreateT, natsserver.JSApiConsumersT, natsserver.JSApiConsumerListT, natsserver.JSApiStreamRemovePeerT,
		natsserver.JSApiStreamEvacuatePeerT, natsserver.JSApiStreamCancelMoveT, natsserver.JSApiStreamLeaderStepDownT, natsserver.JSApiAccountPurgeT} {
		subjects = append(subjects, fmt.Sprintf(s, stream))
	}
	for _, s := range []string{natsserver.JSDirectGetLastBySubjectT, natsserver.JSApiDurableCreateT, natsserver.JSApiConsumerInfoT, natsserver.JSApiConsumerDeleteT,
		natsserver.JSApiConsumerPauseT, natsserver.JSApiRequestNextT, natsserver.JSApiConsumerResetT, natsserver.JSApiConsumerUnpinT,
		natsserver.JSApiConsumerLeaderStepDownT, natsserver.JSApiConsumerRemovePeerT, natsserver.JSApiConsumerEvacuatePeerT, natsserver.JSApiServerStreamMoveT,
		natsserver.JSApiServerStreamCancelMoveT, "$JS.ACK.%s.%s.1.1.1.1.0", "$JS.ACK._.HASH.%s.%s.1.1.1.1.0.x", "$JS.FC.%s.%s.1", "$JS.SNAPSHOT.ACK.%s.%s",
		"$JS.SNAPSHOT.RESTORE.%s.%s"} {
		subjects = append(subjects, fmt.Sprintf(s, stream, consumer))
	}
	return append(subjects, fmt.Sprintf(natsserver.JSApiConsumerCreateExT, stream, consumer, "x"), natsserver.JSApiAccountInfo, natsserver.JSApiStreams,
		natsserver.JSApiStreamList, natsserver.JSApiLeaderStepDown, natsserver.JSApiRemoveServer, natsserver.JSApiEvacuateServer, natsserver.JSApiMetaRescue,
		"$JS.hub.API.INFO", "$JS.EVENT.ADVISORY.STREAM.CREATED."+stream, "$JS.EVENT.METRIC.CONSUMER.ACK."+stream+"."+consumer)
}

// stage is a bus with two rooms: some who attack are in red, none of them is in blue, the victim is in both.
type stage struct {
	*bus
	red, blue v1.Room
	victim    testUser
	ears      *ears
}

func mustStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{bus: mustBus(t, nil)}
	s.victim = mustUser(t, s.store, "zzvictim")
	s.red, s.blue = s.mustRoom(t, "zzred", "kept", s.victim), s.mustRoom(t, "zzblue", "kept", s.victim)
	nc := s.victim.mustConnect(t, s.nodes[0])
	for _, r := range []v1.Room{s.red, s.blue} {
		s.victim.append(t, nc, r.ID, "secret of "+r.Name)
	}
	s.ears = s.mustHear(t, 1)
	return s
}

// refused are subjects that nobody may use but nodes, whatever it is in red, to publish, to ask or to subscribe.
func (s *stage) refused(me testUser) []string {
	stream := v1.HistoryStream("kept")
	list := slices.Concat(jetStreamSubjects(stream, "c"), jetStreamSubjects("KV_"+v1.BucketUsers, "c"))
	for _, account := range []string{embeddednats.AccountClients, embeddednats.AccountSystem} {
		list = append(list, "$SYS.REQ.ACCOUNT."+account+".CONNZ", "$SYS.REQ.ACCOUNT."+account+".SUBSZ", "$SYS.REQ.ACCOUNT."+account+".INFO", "$SYS.ACCOUNT."+account+".CONNECT",
			"$SYS.ACCOUNT."+account+".DISCONNECT", "$SYS.REQ.ACCOUNT."+account+".CLAIMS.UPDATE")
	}
	id := s.nodes[0].formation.Server().Unwrap().ID()
	for _, what := range []string{"STATSZ", "VARZ", "CONNZ", "SUBSZ", "ROUTEZ", "JSZ", "HEALTHZ", "ACCOUNTZ", "PROFILEZ", "RELOAD", "KICK", "LDM"} {
		list = append(list, "$SYS.REQ.SERVER."+id+"."+what, "$SYS.REQ.SERVER.PING."+what)
	}
	own := s.nodes[0].formation.Server()
	other, red, blue := s.victim.key, s.red.ID, s.blue.ID
	return append(list, "$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.SERVER."+own.Name()+".SHUTDOWN", claimSubject,
		"$KV."+v1.BucketUsers+"."+v1.UserNameKey("zzvictim"), "$KV."+v1.BucketMembers+".x", "$O.B.C.x", "$O.B.M.x", "$SRV.PING", "$SRV.INFO", "$SRV.STATS.unibus",
		"_R_.x", "_R_.x.y", "_GR_.x.y.z", "$GNR.x", "$GR.x", "$NRG.V.x", "$NRG.AE.x", "$NRG.P.x", "$LDS.x", "$MQTT.sub.x", "$G.x", v1.HistoryKept("kept", red), v1.HistoryKept("kept", blue),
		v1.LogSubject(blue), v1.LogSubject(red)+".x", v1.RoomSubject(blue, me.key, "x"), v1.RoomSubject(blue, other, "x"), "room."+blue+".x", "room."+red, "room."+s.red.Name+"."+me.key+".x",
		v1.ReplyPrefix(blue, me.key)+".x", v1.ReplyPrefix(blue, other)+".x", v1.InboxPrefix(other)+".x", "_INBOX.x", v1.InboxPrefix(me.key), v1.RoomsSubject(other),
		v1.AppendSubject(other, red), v1.AppendSubject(other, blue), v1.HistorySubject(other, blue), "x", "zzred", "end.of.story")
}

// wild are spellings that would match subjects of others; queue groups are those of nodes, too.
func (s *stage) wild() []string {
	blue := s.blue.ID
	return []string{">", "*", "*.>", "*.*.>", "*.*.*.>", "room.>", "room.*", "room.*.>", "room.*.*.>", "room.*." + s.victim.key + ".>", v1.RoomSubjects(blue), "room." + blue + ".*.x",
		"reply.>", "reply.*.>", "reply." + blue + ".>", "reply." + s.red.ID + ".>", v1.ReplyPrefix(s.red.ID, s.victim.key) + ".>", "reply." + s.red.ID + ".*.>", "log.>", v1.LogSubjects, "_INBOX.>", "_INBOX.*.>",
		v1.InboxPrefix(s.victim.key) + ".>", "unibus.>", v1.AppendSubjects, v1.HistorySubjects, v1.RoomsSubjects, "unibus." + s.victim.key + ".>", "$JS.>", "$JS.API.>", "$JS.ACK.>", "$KV.>",
		"$KV.*.>", "$O.>", "$SYS.>", "$SYS.ACCOUNT.*.>", "$SRV.>", "_R_.>", "_GR_.>", "h.>", "h.*.*", "h.kept." + blue}
}

// way is what an attacker is in red.
type way struct {
	name          string
	role          v1.Role
	removed       bool
	reads, writes bool
	admin         bool // of the bus, who has no more than others in rooms and none of what is the nodes'
}

// TestLeak tries every class of subject, header, reply subject and odd spelling in every role, while everything is listened to in all
// accounts of another node: nobody hears any of it, no stream keeps any, the attacker gets nothing.
func TestLeak(t *testing.T) {
	s := mustStage(t)
	for _, w := range []way{
		{name: "member", role: v1.RoleMember, reads: true, writes: true}, {name: "reader", role: v1.RoleReader, reads: true},
		{name: "admin of the room", role: v1.RoleAdmin, reads: true, writes: true}, {name: "admin of the bus", admin: true},
		{name: "just removed", role: v1.RoleMember, removed: true}, {name: "stranger"},
	} {
		t.Run(w.name, func(t *testing.T) {
			l := s.mustAttacker(t, w)
			before := s.kept(t)
			s.ears.take(t)
			s.expectSubjectsDenied(t, w, l)
			s.expectHeadersInert(t, w, l)
			s.expectRepliesInert(t, w, l)
			s.expectOddRefused(t, w, l)
			if diff := cmp.Diff(before, s.kept(t)); diff != "" {
				t.Errorf("streams changed, -before +after:\n%s", diff)
			}
		})
	}
	t.Run("names", s.expectNames)
	t.Run("node", s.expectNodeTellsNothing)
	t.Run("services", s.expectServed)
}

// mustAttacker makes a user, with a connection to the first node that has had what it may do.
func (s *stage) mustAttacker(t *testing.T, w way) *line {
	t.Helper()
	me := mustUser(t, s.store, "me-"+strings.ReplaceAll(w.name, " ", "-"))
	if w.admin {
		if _, err := s.store.SetAdmin(t.Context(), me.key, true, 0); err != nil {
			t.Fatal(err)
		}
	}
	if w.role != "" {
		s.mustPut(t, s.red, me, w.role)
	}
	l := s.mustLine(t, me, w.role != "")
	if w.removed {
		if err := s.store.RemoveMember(t.Context(), s.red.Name, me.key, 0); err != nil {
			t.Fatal(err)
		}
		natstest.Within(t, limit, "the removal on the node", func() bool {
			errs, _ := l.do("PUB " + v1.RoomSubject(s.red.ID, me.key, "x") + " 0\r\n\r\n") // a subscription would cost it the connection
			return len(errs) > 0
		})
	}
	if errs, open := l.do("SUB " + v1.InboxPrefix(me.key) + ".> 9\r\n"); !open || len(errs) > 0 {
		t.Fatalf("its own inbox: %q", errs)
	}
	return l
}

// expectSubjectsDenied publishes to, asks at and subscribes to what the attacker may not.
func (s *stage) expectSubjectsDenied(t *testing.T, w way, l *line) {
	t.Helper()
	me := l.user
	writes := []string{v1.RoomSubject(s.red.ID, me.key, "x"), v1.ReplyPrefix(s.red.ID, s.victim.key) + ".x"}
	publish := append(s.refused(me), v1.RoomSubject(s.red.ID, s.victim.key, "x"), v1.LogSubject(s.red.ID), v1.InboxPrefix(me.key)+".x")
	subscribe := slices.Concat(s.refused(me), s.wild(), []string{"unibus." + me.key + ".>", v1.AppendSubject(me.key, s.red.ID)})
	if !w.writes {
		publish = append(publish, writes...)
		subscribe = append(subscribe, v1.ReplyPrefix(s.red.ID, me.key)+".>")
	}
	if !w.reads {
		subscribe = append(subscribe, v1.RoomSubjects(s.red.ID), v1.LogSubject(s.red.ID))
	}
	s.expectDenied(t, l, publish, subscribe)
	if heard := s.ears.take(t); len(heard) > 0 {
		t.Errorf("what was refused was heard: %q", heard)
	}
	if len(l.got) > 0 {
		t.Errorf("the attacker got %q", l.got)
	}
}

// mustLine connects to the first node, once it knows the user, and its role in red if it has one.
func (s *stage) mustLine(t *testing.T, me testUser, inRed bool) (l *line) {
	t.Helper()
	natstest.Within(t, limit, "a connection with what the user may do", func() bool {
		l = me.mustDial(t, s.nodes[0])
		if !l.login() {
			return false
		}
		errs, _ := l.do("SUB " + v1.LogSubject(s.red.ID) + " 1\r\nUNSUB 1\r\n")
		return !inRed || len(errs) == 0
	})
	return l
}

func (s *stage) expectDenied(t *testing.T, l *line, publish, subscribe []string) {
	t.Helper()
	inbox := v1.InboxPrefix(l.user.key) + ".1"
	trace := "NATS/1.0\r\nNats-Trace-Dest: %s\r\nNats-Trace-Only: true\r\n\r\n"
	try := func(what, lines string) {
		t.Helper()
		errs, open := l.do(lines)
		if !open {
			t.Fatalf("%s: the connection ended: %q", what, errs)
		}
		if len(errs) == 0 || !strings.Contains(errs[len(errs)-1], "Permissions Violation") {
			t.Errorf("%s: %q, want a permission error", what, errs)
		}
	}
	for _, subject := range publish {
		try("publish "+subject, "PUB "+subject+" 6\r\n"+loot+"\r\n")
		try("ask "+subject, "PUB "+subject+" "+inbox+" 6\r\n"+loot+"\r\n")
		h := fmt.Sprintf(trace, subject)
		try("trace to "+subject, fmt.Sprintf("HPUB %s %s %d %d\r\n%s%s\r\n", v1.RoomsSubject(l.user.key), inbox, len(h), len(h)+6, h, loot))
	}
	for _, subject := range subscribe {
		for _, queue := range []string{"", " " + v1.ServiceQueue, " q"} {
			try("subscribe "+subject+queue, "SUB "+subject+queue+" 1\r\n")
		}
	}
}

// kept is what all streams hold, heartbeats aside.
func (s *stage) kept(t *testing.T) (all map[string]string) {
	t.Helper()
	var err error
	if !natstest.Until(limit, func() bool { all, err = s.tryKept(t); return err == nil }) { // busy nodes may be between two leaders
		t.Fatal(err)
	}
	return all
}

func (s *stage) tryKept(t *testing.T) (map[string]string, error) {
	t.Helper()
	all := map[string]string{}
	for _, account := range []string{embeddednats.AccountHistory, embeddednats.AccountMembership} {
		nc := s.nodes[0].mustConnect(t, account)
		defer nc.Close()
		js := mustJetStream(t, nc)
		names := js.StreamNames(t.Context())
		for name := range names.Name() {
			all[account] += " " + name
			bucket, isBucket := strings.CutPrefix(name, "KV_")
			if !isBucket {
				stream, err := js.Stream(t.Context(), name)
				if err != nil {
					return nil, err
				}
				state := stream.CachedInfo().State
				all[name] = fmt.Sprintf("%d messages, the last %d, %d consumers", state.Msgs, state.LastSeq, state.Consumers)
				continue
			}
			kv, err := js.KeyValue(t.Context(), bucket)
			if err != nil {
				return nil, err
			}
			watch, err := kv.WatchAll(t.Context())
			if err != nil {
				return nil, err
			}
			for e := range watch.Updates() {
				if e == nil {
					break
				}
				if e.Key() != v1.HeartbeatKey {
					all[bucket+" "+e.Key()] = fmt.Sprint(e.Revision())
				}
			}
			_ = watch.Stop()
		}
		if err := names.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// expectServed asks every node's services often: a request that another took would be missing.
func (s *stage) expectServed(t *testing.T) {
	t.Helper()
	for i, n := range s.nodes {
		nc := s.victim.mustConnect(t, n)
		for j := range 20 {
			s.victim.append(t, nc, s.blue.ID, fmt.Sprint("served ", i, j))
			var a v1.RoomsAnswer
			if m, err := nc.Request(v1.RoomsSubject(s.victim.key), nil, limit); err != nil || json.Unmarshal(m.Data, &a) != nil || len(a.Rooms) != 2 {
				t.Errorf("rooms at %s: %+v, %v", n.name, a, err)
			}
		}
	}
}
