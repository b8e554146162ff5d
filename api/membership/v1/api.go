// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/json"
	"time"
)

// Paths of the HTTP API. {user} is a public nkey or a user's name, {room} and {class} are names: a public nkey has upper-case
// letters, which names have not.
//
//	GET                    /v1/cluster                         what signs a token must know; no token needed
//	GET                    /v1/users                           admins
//	GET PUT DELETE         /v1/users/{user}                    PUT takes the key; GET of oneself is everybody's, the rest admins'
//	GET                    /v1/rooms                           admins all, users those they are in
//	GET PUT DELETE         /v1/rooms/{room}                    GET whoever is in it, the rest admins
//	GET                    /v1/rooms/{room}/members            whoever is in it
//	GET PUT DELETE         /v1/rooms/{room}/members/{user}     PUT and DELETE the room's admins; DELETE of oneself is everybody's
//	GET POST               /v1/rooms/{room}/messages           whoever is in it, POST not readers
//	GET PUT DELETE         /v1/classes, /v1/classes/{class}    GET everybody, the rest admins
//	GET                    /v1/audit                           admins
const (
	PathCluster = "/v1/cluster"
	PathUsers   = "/v1/users"
	PathRooms   = "/v1/rooms"
	PathClasses = "/v1/classes"
	PathAudit   = "/v1/audit"
)

// Codes of Problem beyond those of the services.
const (
	// CodeToken: no token, or one that is not good here and now: another cluster's, expired, of the future, wrongly signed, or of who
	// is no user. Which of these it is, the message says only where that gives nothing away.
	CodeToken = "token"
	// CodeNotFound: it is not there, or the caller may not know that it is.
	CodeNotFound = "not-found"
	// CodeExists: there is one of that name or key already.
	CodeExists = "exists"
	// CodeConflict: it was changed since the caller read it (If-Match), or is there (If-None-Match: *). Read it again.
	CodeConflict = "conflict"
	// CodeInUse: others rest on it: a class that rooms have.
	CodeInUse = "in-use"
	// CodeLastAdmin: without this one nobody could change anything.
	CodeLastAdmin = "last-admin"
	// CodeLimit: it would be one too many, or too much for the store.
	CodeLimit = "limit"
	// CodeSlow: who follows a room that keeps nothing reads more slowly than it speaks. It ends events, and is no status.
	CodeSlow = "slow"
	// CodeInvalid: a field breaks a rule that the message names.
	CodeInvalid = "invalid"
)

// What the API keeps, in the membership account.
const (
	// AdminsKey is the key in BucketUsers of the count of the bus's admins. Nodes write it.
	AdminsKey = "_admins"
	// StreamAudit is the stream of AuditEntry, one a message, under SubjectAudit. It drops the oldest when it is full.
	StreamAudit  = "UNIBUS_audit"
	SubjectAudit = "audit"
)

// Problem is the body of every answer of the HTTP API that is no success (RFC 9457, application/problem+json).
type Problem struct {
	// Type is ProblemPrefix and the code.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail names the thing and the remedy.
	Detail string `json:"detail,omitempty"`
	// Code is one of the Code constants; callers decide by it.
	Code string `json:"code"`
}

// ProblemPrefix begins the Type of each Problem.
const ProblemPrefix = "urn:unibus:problem:"

// Error implements error.
func (p *Problem) Error() string { return (&Error{Code: p.Code, Message: p.Detail}).Error() }

// Token is the claims of the JSON Web Token with which a caller proves itself: "Authorization: Bearer ...". Its header is
// {"alg":"EdDSA","typ":"JWT"}, and it is signed with the user's own nkey.
type Token struct {
	// Subject is the caller's public nkey, which verifies the signature.
	Subject string `json:"sub"`
	// Audience is the id of the cluster.
	Audience string `json:"aud"`
	// IssuedAt and Expires are seconds since 1970, at most MaxTokenLife apart.
	IssuedAt int64 `json:"iat"`
	Expires  int64 `json:"exp"`
}

const (
	// MaxTokenLife is the longest life of a token.
	MaxTokenLife = 5 * time.Minute
	// TokenLeeway is how far the clocks of caller and node may differ.
	TokenLeeway = 30 * time.Second
)

// Cluster is what GET /v1/cluster answers.
type Cluster struct {
	// ID is the audience of tokens. A client keeps it from its first contact, so that no other server is given a token for it later.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Node is the server name of who answered, Version that node's.
	Node    string `json:"node"`
	Version string `json:"version"`
	// MaxPayload is the largest message, in bytes.
	MaxPayload int64 `json:"maxPayload"`
}

// Users is a page of users, sorted by name; Rooms, Members, Classes and Audit are pages as well. Next is the value of the query parameter "after" for the next page,
// empty on the last; "limit" is at most MaxList, which is also the default. Tags beside json are for the description of the API.
type Users struct {
	Users []User `json:"users" nullable:"false"`
	Next  string `json:"next,omitempty"`
}

// MaxList is the most items of a page.
const MaxList = 1000

// PutUser is the body of PUT /v1/users/{user}.
type PutUser struct {
	// Name can't be changed later.
	Name  string `json:"name"`
	Admin bool   `json:"admin,omitempty"`
}

// Rooms is a page of rooms, sorted by name.
type Rooms struct {
	Rooms []RoomView `json:"rooms" nullable:"false"`
	Next  string     `json:"next,omitempty"`
}

// RoomView is a room and what the caller is in it.
type RoomView struct {
	Room
	// Role is empty for an admin of the bus who is not in the room.
	Role Role `json:"role,omitempty"`
}

// PutRoom is the body of PUT /v1/rooms/{room}.
type PutRoom struct {
	// Class is a history class, or empty for a room that keeps nothing. It can't be changed later.
	Class string `json:"class,omitempty"`
}

// Members is a page of who is in a room.
type Members struct {
	Members []MemberView `json:"members" nullable:"false"`
	Next    string       `json:"next,omitempty"`
}

// MemberView is a user in a room.
type MemberView struct {
	User string `json:"user"`
	// Name is the user's.
	Name string `json:"name"`
	Member
}

// PutMember is the body of PUT /v1/rooms/{room}/members/{user}.
type PutMember struct {
	Role Role `json:"role" enum:"reader,member,admin"`
}

// Classes is all history classes, sorted by name.
type Classes struct {
	Classes []Class `json:"classes" nullable:"false"`
}

// Message is one of a room, as GET /v1/rooms/{room}/messages gives it.
type Message struct {
	// Sequence and Time say where in the history it is; they are absent while following a room that keeps none.
	Sequence uint64     `json:"sequence,omitempty"`
	Time     *time.Time `json:"time,omitempty"`
	// Sender is the public nkey of who sent it.
	Sender string `json:"sender"`
	// Headers are those that the sender set.
	Headers map[string]string `json:"headers,omitempty"`
	// Text is the body when that is valid UTF-8; otherwise Data has it, in base64.
	Text string `json:"text,omitempty"`
	Data []byte `json:"data,omitempty"`
}

// Messages is a page of a room's history. The query takes the fields of HistoryRequest: from, since, last, limit, atLeast. With
// "Accept: text/event-stream" the answer follows the room: an event per message whose id is the sequence, so that a client that comes
// back with Last-Event-ID goes on after it.
type Messages struct {
	Messages []Message `json:"messages" nullable:"false"`
	// Next is the "from" of the next page; with More false it is where to go on later.
	Next uint64 `json:"next,omitempty"`
	More bool   `json:"more,omitempty"`
}

// Audit is a page of what was changed, the newest first.
type Audit struct {
	Entries []AuditEntry `json:"entries" nullable:"false"`
	Next    string       `json:"next,omitempty"`
}

// AuditEntry is one change that was asked for. It is written down before the change is made, and again with its outcome. Of what only
// takes rights away both may come later.
type AuditEntry struct {
	Time time.Time `json:"time"`
	// ID is the same of both entries of a change.
	ID string `json:"id"`
	// Who is the public nkey of who asked, or the server name of a node that did it by its configuration.
	Who string `json:"who"`
	// Node is the server name of the node that did it.
	Node string `json:"node"`
	// Action is the method and path.
	Action string `json:"action"`
	// Body is what was asked for. No request holds a secret.
	Body json.RawMessage `json:"body,omitempty"`
	// Outcome is empty before the change, OutcomeOK, or a code.
	Outcome string `json:"outcome,omitempty"`
}

// OutcomeOK is the outcome of a change that was made.
const OutcomeOK = "ok"

// Messages that people send in rooms.
const (
	// SubjectMessage is what comes after the user in the subject of a plain message in a room that keeps nothing: see RoomSubject.
	SubjectMessage = "message"
	// SubjectRequest is what comes after the user in the subject of a request to the room.
	SubjectRequest = "request"
)
