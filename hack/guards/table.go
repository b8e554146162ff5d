// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// guard is a part of a file, what takes its place without it, and a test of a folder that must fail then.
type guard struct{ file, old, new, folder, test string }

func (g guard) String() string {
	return fmt.Sprintf("%s: %.70q: %s of %s", g.file, g.old, g.test, g.folder)
}

// table has what access and the keeping of data rest on most. Texts are as short as they can be, so that little has to be changed here with the file.
var table = []guard{
	// Who may enter, and who has to go.
	{"internal/busauth/auth.go", `!ed25519.Verify(public, nonce, sig)`, `!ed25519.Verify(public, nonce, sig) && false`, "internal/busauth", "TestProofOfKey"},
	{"internal/busauth/auth.go", `if len(nonce) == 0 {`, `if false {`, "internal/busauth", "TestSignatureNeedsANonce"},
	{"internal/busauth/auth.go", `if !allowed(key) {`, `if false {`, "internal/busauth", "TestRevokeUser"},
	{"internal/busauth/auth.go", `why == refusedUnknown && !(knew && a.isReady())`, `false && knew`, "internal/busauth", "TestNobodyGivesUpOnANodeThatDoesNotKnow"},
	{"internal/busauth/sessions.go", `u.open >= most`, `false`, "internal/busauth", "TestNobodyTakesAllConnections"},
	{"internal/busauth/sessions.go", `if b.server.GetClient(id) == nil {`, `if x.conn() == nil {`, "internal/busauth", "TestConnectionsThatEndedDoNotCount"},
	{"internal/busauth/refresh.go", `c.RegisterUser(&server.User{Username: key, Permissions: nothing})`, `_ = nothing`, "internal/busauth", "TestRevokeInAStorm"},
	{"internal/busauth/refresh.go", `c.RegisterUser(&server.User{Username: key, Permissions: permissions})`, `_ = permissions`, "internal/busauth", "TestRevokeGrantsInPlace"},
	{"internal/busauth/refresh.go", `return !slices.ContainsFunc(r.subscribe, `, `return true || slices.ContainsFunc(r.subscribe, `, "internal/busauth", "TestRevokeRoom"},
	{"internal/busauth/refresh.go", `gone = append(gone, s.expel(key)...)`, `_ = key`, "internal/busauth", "TestRevokeDropsUsersOnly"},
	{"internal/busauth/rights.go", `Deny: []string{">"}`, `Deny: nil`, "internal/busauth", "TestLeakByNoGrants"},
	{"internal/embeddednats/auth.go", `known&same(shown.Username, a.user) == 1`, `known == 1`, "internal/embeddednats", "TestRoutePasswordIsReplacedLive"},
	{"internal/embeddednats/auth.go", `return known&same(`, `return same(`, "internal/embeddednats", "TestRoutePasswordIsReplacedLive"},
	{"internal/busauth/verify.go", `if name != "" && `, `if false && `, "internal/busauth", "TestRoutePeers"},
	{"api/membership/v1/subjects.go", `if role.Writes() {`, `if true || role.Writes() {`, "internal/busauth", "TestLeakBySubject"},
	{"internal/membership/directory.go", `return ok && d.why() == ""`, `return ok`, "internal/membership", "TestANodeThatIsCutOffStopsAdmitting"},
	{"internal/membershipd/members.go", `if m.drop > 0 && s.Age > m.drop {`, `if false {`, "internal/membershipd", "TestRevokeWhileCutOff"},

	// What a directory believes.
	{"internal/membership/watch.go", `meta.Sequence.Consumer != w.got+1`, `false`, "internal/membership", "TestAGapInAWatchIsNoticed"},
	{"internal/membership/watch.go", `meta.Sequence.Stream < w.from`, `false`, "internal/membership", "TestAWatchThatBeginsOnAReplicaThatLagsIsNotBelieved"},
	{"internal/membership/proof.go", `leaderless(info) || p.last < sequence`, `false && sequence > 0`, "internal/membership", "TestAnAnswerOfAnotherThanTheLeaderIsNotBelieved"},
	{"internal/membership/proof.go", `have < p.subjects {`, `false {`, "internal/membership", "TestAWatchThatShowsAPartIsNotBelieved"},
	{"internal/membership/admins.go", "!ok {\n\t\treturn fmt.Errorf(\"%w: user %s; make", "!ok && false {\n\t\treturn fmt.Errorf(\"%w: user %s; make", "internal/membership", "TestTheLastAdmin"},
	{"internal/membership/store_rooms.go", `return m, s.stays(ctx, r.Value, key, m.Revision)`, `return m, nil`, "internal/membership", "TestARoomIsDeletedWhileSomebodyComesIntoIt"},
	{"internal/membership/store.go", `jetstream.WithExpectLastSequencePerSubject(revision)`, `jetstream.WithExpectStream(streamOf(bucket))`, "internal/membership", "TestNoUpdateIsLost"},

	// What rooms take and tell.
	{"api/membership/v1/subjects.go", `!in || !own || !within || rest == ""`, `rest == "" || in && own && within && false`, "internal/rooms", "TestLeakReplySubjects"},
	{"internal/rooms/append.go", `a.scope(user, room, id)`, `id`, "internal/rooms", "TestLeakMessageIDs"},
	{"internal/rooms/append.go", `!role.Writes()`, `!role.Writes() && false`, "internal/rooms", "TestAppendRefuses"},
	{"internal/rooms/header.go", `!strings.EqualFold(name[:app], v1.HeaderApp) {`, `false {`, "internal/rooms", "TestLeakHeaders"},
	{"internal/rooms/header.go", `c < ' ' && c != '\t' || c == 0x7f`, `c == 0x7f`, "internal/rooms", "TestLeakHeaderValues"},
	{"internal/rooms/history.go", `_, _, refused = s.allowed(q.user, q.room)`, `refused = nil`, "internal/rooms", "TestRevokeDuringARead"},
	{"internal/rooms/service.go", `if !ok || r.Deleting {`, `if !ok && r.Deleting {`, "internal/rooms", "TestLeakWhatIsThere"},
	{"internal/rooms/streams.go", `if !v1.IsRoomID(room) {`, `if false {`, "internal/rooms", "TestPurgeTakesOneRoomOnly"},
	{"internal/rooms/streams.go", `n := info.State.Msgs; n > 0`, `n := info.State.Msgs; false`, "internal/rooms", "TestRetire"},

	// What the HTTP API lets pass.
	{"internal/membershipd/api.go", `m.door.api.Changed(users)`, `_ = users`, "internal/membershipd", "TestRevokeFollowers"},
	{"internal/membershipd/api.go", `m.door.api.DropUsers()`, `_ = m`, "internal/membershipd", "TestRevokeWhileCutOff"},
	{"internal/httpapi/token.go", `jwt.WithAudience(cluster)`, `jwt.WithIssuedAt()`, "internal/httpapi", "TestTokensThatAreRefused"},
	{"internal/httpapi/token.go", `life <= 0 || life > int64(v1.MaxTokenLife/time.Second)`, `life <= 0`, "internal/httpapi", "TestTokensThatAreRefused"},
	{"internal/httpapi/admit.go", `*c = *now`, `_ = now`, "internal/httpapi", "TestAnAdminUntilTheBodyCame"},
	{"internal/httpapi/flights.go", `if why := judge(f); why != nil {`, `if why := judge(f); false {`, "internal/httpapi", "TestWhatEndsFollowers"},
	{"internal/httpapi/follow.go", `if err := ctx.Err(); err != nil {`, `if err := ctx.Err(); err != nil && false {`, "internal/httpapi", "TestNothingIsSentAfterARemoval"},
	{"internal/httpapi/change.go", `if err = a.begin(ctx, `, `if _ = a.begin(ctx, `, "internal/httpapi", "TestNothingHindersARevocation"},

	// Which disk becomes what.
	{"api/membership/v1/order.go", `if err := verify(append([]byte(signedPrefix), s.Order...), sig); err != nil {`, `if err := verify(nil, sig); err != nil && false {`, "internal/formation", "TestOrdersNeedTheSignature"},
	{"internal/formation/order.go", `case o.Nonce != nonce:`, `case o.Nonce != nonce && false:`, "internal/formation", "TestOrderOfAnEarlierBootIsLate"},
	{"internal/formation/order.go", `case o.DiskID != f.diskID:`, `case false:`, "internal/formation", "TestOrdersOfAnEmptyDisk"},
	{"internal/formation/form.go", `if !p.self && p.Identity {`, `if false {`, "internal/formation", "TestFoundRefusesBesideACluster"},
	{"internal/formation/check.go", `if d.identity.Mark == "" && d.hollow() {`, `if false {`, "internal/formation", "TestDiskThatDoesNotFitIsRefused"},
	{"internal/jsadmin/change.go", `case running && (others == 0 || others < len(s.Members)-1):`, `case running && false:`, "internal/jsadmin", "TestRemovePeerAfterItsReplicasMoved"},
	{"internal/jsadmin/change.go", `case !running && (s.Leader == "" || s.Leader == name || others < len(s.Members)/2+1):`, `case false:`, "internal/jsadmin", "TestRemovePeerThatIsDead"},
	{"internal/jsadmin/compare.go", `c.Lost++`, `c.Dropped++`, "internal/jsadmin", "TestCompareTellsWhatIsMissing"},

	// What the client library does for who uses it.
	{"api/client/request.go", `!ok || !answerable(m.Reply, r.ID, request.Sender)`, `!ok`, "api/client", "TestAnswersStayInTheirRoom"},
	{"api/client/append.go", `now.Sub(p.first) > resendFor`, `false`, "api/client", "TestGivesUpBeforeIDsAreForgotten"},
	{"api/client/key.go", `if !nonceForm.Match(nonce) {`, `if false {`, "api/client", "TestNothingButNoncesIsSigned"},
	{"api/client/subscribe.go", `case previous > s.last:`, `case false:`, "api/client", "TestGapAndOverlap"},
}
