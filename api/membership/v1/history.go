// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"strings"
	"time"
)

// Class is a history class: how much is kept of each room that chooses it. The rooms of a class share one stream.
type Class struct {
	Name string `json:"name"`
	// MaxBytes is what all rooms of the class together may hold on each node's disk. It is reserved.
	MaxBytes int64 `json:"maxBytes"`
	// MaxMessagesPerRoom is how many messages of a room are kept.
	MaxMessagesPerRoom int64 `json:"maxMessagesPerRoom"`
	// MaxMessageBytes is the largest message, headers included.
	MaxMessageBytes int32 `json:"maxMessageBytes"`
	// MaxAge is how long messages are kept, in nanoseconds; 0 for ever.
	MaxAge time.Duration `json:"maxAge,omitempty"`
	// Full says what happens to a message for which there is no space.
	Full FullPolicy `json:"full"`
	// PublisherRate and RoomRate are how many messages a second one user, and all users of a room, may append at each node, with
	// bursts of as many; 0 means no bound.
	PublisherRate float64 `json:"publisherRate,omitempty"`
	RoomRate      float64 `json:"roomRate,omitempty"`
}

// Share is the part of the class's bytes that one room can take from the others: of a rolling class what it can push out, of a
// refusing one what it can fill. It is at most 1. It leaves out what the store adds to each message, 30 to 90 bytes.
func (c Class) Share() float64 {
	return min(1, float64(c.MaxMessagesPerRoom)*float64(c.MaxMessageBytes)/float64(c.MaxBytes))
}

// FullPolicy is what a class does when a room has MaxMessagesPerRoom, or the class MaxBytes.
type FullPolicy string

const (
	// FullRolls removes the oldest messages: the room's own at its bound, the class's at that of the class.
	FullRolls FullPolicy = "roll"
	// FullRefuses refuses new messages.
	FullRefuses FullPolicy = "refuse"
)

// The history account. Streams are made and changed by nodes only.
const (
	streamPrefix  = "HISTORY_"
	historyPrefix = "h."
)

// HistoryStream is the stream of a history: that of a class by the class's name or, of a class that was made after another of its name was deleted,
// by that name, "_" and a number, which is never used again.
func HistoryStream(history string) string { return streamPrefix + history }

// ParseHistoryStream is the reverse of HistoryStream.
func ParseHistoryStream(stream string) (history string, ok bool) {
	return strings.CutPrefix(stream, streamPrefix)
}

// HistoryKept is the subject that a room's messages are kept under in the stream of a history; room may be a wildcard.
func HistoryKept(history, room string) string { return historyPrefix + history + "." + room }

// Headers of messages that are kept.
const (
	// HeaderMessageID is the sender's own id of a message, at most MaxMessageID bytes. The same id of the same user in the same room is
	// kept once within DuplicateWindow.
	HeaderMessageID = "Nats-Msg-Id"
	// HeaderSender is the public nkey of who appended the message, set by the node.
	HeaderSender = "Unibus-Sender"
	// HeaderID is the sender's own id of the message, set by the node.
	HeaderID = "Unibus-Id"
	// HeaderSequence and HeaderTime (RFC 3339, nanoseconds) say where in the history a message is that the history service sends. The
	// messages of a room have rising sequences, with gaps.
	HeaderSequence = "Unibus-Sequence"
	HeaderTime     = "Unibus-Time"
	// HeaderEnd is on the last message of an answer of the history service: a HistoryAnswer in JSON. That message has no body, so that
	// clients which wait for an empty message wait for this one; a message that is kept may be empty, too, but has no such header.
	HeaderEnd = "Unibus-End"
	// On log.<room> these say where the message is, and which sequence the room's message before it has, 0 for none, so that a gap
	// shows.
	HeaderLogSequence = "Nats-Sequence"
	HeaderLogPrevious = "Nats-Last-Sequence"
	// HeaderApp begins the names of headers that are the applications' own.
	HeaderApp = "App-"
)

// CopiedHeaders may be set by the sender, besides those that begin with HeaderApp and HeaderMessageID. All others are refused.
var CopiedHeaders = []string{"Content-Type", "Content-Encoding", "Traceparent", "Tracestate"}

const (
	// MaxMessageID is the most bytes of a HeaderMessageID.
	MaxMessageID = 128
	// DuplicateWindow is how long a message id is remembered.
	DuplicateWindow = 2 * time.Minute
)

// AppendAnswer says what became of a message. Only an answer without an error means that the message is kept. In JSON it has two
// forms, of which UnmarshalJSON reads both: a node that refuses a message answers as the tags say; a message that it lets through is
// answered by the stream itself, which spares the node half the work, in JetStream's form: {"stream":"...","seq":7}.
type AppendAnswer struct {
	Sequence uint64 `json:"sequence,omitempty"`
	// Duplicate is true when the message was kept before, at that sequence.
	Duplicate bool   `json:"duplicate,omitempty"`
	Error     *Error `json:"error,omitempty"`
}

// HistoryRequest asks for a page of a room's history. At most one of From, Since and Last is set; without any the page begins with
// the oldest message.
type HistoryRequest struct {
	// From is the lowest sequence.
	From uint64 `json:"from,omitempty"`
	// Since is the earliest time.
	Since *time.Time `json:"since,omitempty"`
	// Last is how many of the newest messages, at most MaxPage.
	Last int `json:"last,omitempty"`
	// Limit is the most messages of the page, MaxPage if 0 or more.
	Limit int `json:"limit,omitempty"`
	// AtLeast is a sequence of the room that the answer must know, for example that of the caller's own last append: a replica
	// that has not seen it yet is asked again. 0 demands nothing.
	AtLeast uint64 `json:"atLeast,omitempty"`
}

// A page of history ends at either bound; a single message is always sent.
const (
	MaxPage      = 1000
	MaxPageBytes = 4 << 20
)

// HistoryAnswer ends an answer, in HeaderEnd: the messages of the page came before it, each as a message of its own, in the order of sequences.
type HistoryAnswer struct {
	// Messages is how many were sent.
	Messages int `json:"messages"`
	// Next is the From of the next page; with More false it is where to go on later.
	Next uint64 `json:"next,omitempty"`
	// More is true when there are more messages now.
	More  bool   `json:"more,omitempty"`
	Error *Error `json:"error,omitempty"`
}
