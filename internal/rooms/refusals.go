// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"fmt"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Refusals. They tell nothing about rooms that the caller is not in, so most are the same for everybody.
var (
	errForbidden     = refusal(v1.CodeForbidden, "no such room, or you are not in it: ask an admin of the room")
	errReader        = refusal(v1.CodeForbidden, "readers don't append: ask an admin of the room to make you a member")
	errNotKept       = refusal(v1.CodeNotKept, "the room keeps no history: publish in it, or use a room that was made with a history class")
	errPublisherRate = refusal(v1.CodeRate, "you append more messages a second than the room's history class allows one user: try again later")
	errRoomRate      = refusal(v1.CodeRate, "more messages a second are appended to the room than its history class allows: try again later")
	errUserRate      = refusal(v1.CodeRate, "you ask more a second than a node lets one user: try again later, and wait for answers")
	errInFlight      = refusal(v1.CodeRate, "as many of your requests are on their way as a node lets one user have: wait for answers")
	errNotReady      = refusal(v1.CodeUnavailable, "the node does not know all members now: try again")
	errBusy          = refusal(v1.CodeUnavailable, "the node has as many requests as it takes: try again")
	errUnclear       = refusal(v1.CodeUnavailable, "the message may or may not be kept: repeat it with the same message id")
	errNotSent       = refusal(v1.CodeUnavailable, "the message is not kept, since the room's history can't be reached: try again")
	errUnread        = refusal(v1.CodeUnavailable, "the room's history can't be read now: try again")
	errBehind        = refusal(v1.CodeUnavailable, "the room's history is not yet known here up to atLeast: try again")
	errMalformedID   = refusal(v1.CodeHeader, v1.HeaderMessageID+" must be one value of 1 to 128 bytes without control characters")
	errLongRequest   = refusal(v1.CodeMalformed, fmt.Sprintf("a request for history has at most %d bytes", mostBody))
	errMalformedName = refusal(v1.CodeMalformed, "the body of a request for rooms is empty, or the name that Next said")
	errBadHeaders    = refusal(v1.CodeHeader, "the headers can't be read: send lines of the form Name: value")
	errTooLarge      = refusal(v1.CodeTooLarge, "the message is too large with its headers: send a smaller one")
	errUnserved      = refusal(v1.CodeUnavailable, "no node serves rooms now, so nothing was done: try again")
	errSlow          = refusal(v1.CodeSlow, "you read more slowly than the room speaks, and it keeps nothing: some messages are lost to you")

	// errUnreachable says that the node's own connection, or who serves behind it, does not answer. What was sent may have arrived.
	errUnreachable = refusal(v1.CodeUnavailable,
		"rooms are not served now, and what you sent may or may not have arrived: try again, with the same message id")
)

func refusal(code, message string) *v1.Error { return &v1.Error{Code: code, Message: message} }
