// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Message is what is said in a room. Of one that is published, Data, Header and ID count; the bus says the rest.
type Message struct {
	// Sequence and Time say where in the room's history the message is. They are zero where none is kept. Sequences rise within a room,
	// with gaps.
	Sequence uint64
	Time     time.Time
	// Sender is the public key of who sent it; the bus vouches for it. It is empty for answers, of which the bus only says that they
	// come from the room.
	Sender string
	// ID is the sender's own, of at most 128 bytes without control characters. A kept room takes the same id of the same sender once
	// within two minutes. An empty one is filled in for kept rooms.
	ID string
	// Header has one value for each name: Content-Type, Content-Encoding, Traceparent, Tracestate, and what begins with "App-".
	Header map[string]string
	Data   []byte
}

// Headers that are the bus's own.
const (
	headerStatus    = "Status"
	statusNobody    = "503"
	headerLogTime   = "Nats-Time-Stamp"
	headerFailed    = v1.HeaderApp + "Error" // of an answer: the handler's error
	mostHeaderValue = 4 << 10
)

// mayHeader says whether applications may set a header.
func mayHeader(name string) bool {
	return strings.HasPrefix(name, v1.HeaderApp) && len(name) > len(v1.HeaderApp) || slices.Contains(v1.CopiedHeaders, name)
}

// check refuses what can't be sent.
func (m *Message) check() error {
	if len(m.ID) > v1.MaxMessageID || !isText(m.ID) {
		return fmt.Errorf("%w: a message's id has at most %d bytes and no control characters", ErrInvalid, v1.MaxMessageID)
	}
	for name, value := range m.Header {
		if !mayHeader(name) || strings.ContainsAny(name, ": \t") || !isText(name) || !isText(value) || len(value) > mostHeaderValue {
			return fmt.Errorf("%w: header %.64q: its name is one of %v or begins with %s, and its value is a line of at most %d bytes",
				ErrInvalid, name, v1.CopiedHeaders, v1.HeaderApp, mostHeaderValue)
		}
	}
	return nil
}

// headers adds the message's to those that nats.go is given.
func (m *Message) headers(h nats.Header) {
	if m.ID != "" {
		h[v1.HeaderMessageID] = []string{m.ID}
	}
	for name, value := range m.Header {
		h[name] = []string{value}
	}
}

// outgoing fills in the message as nats.go takes it.
func outgoing(out *nats.Msg, subject string, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	if out.Subject, out.Data = subject, m.Data; m.ID != "" || len(m.Header) > 0 {
		out.Header = make(nats.Header, 1+len(m.Header))
		m.headers(out.Header)
	}
	return nil
}

// isText says whether s is without control characters, which could end a header's line.
func isText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// incoming reads what senders set.
func incoming(m *nats.Msg) Message {
	out := Message{Data: m.Data}
	for name, values := range m.Header {
		if len(values) == 0 || !mayHeader(name) {
			continue
		}
		if out.Header == nil {
			out.Header = make(map[string]string, len(m.Header))
		}
		out.Header[name] = values[0]
	}
	return out
}

// kept reads a message of a room's history, which bears its place in the two headers. ok is false for what no node sends.
func kept(m *nats.Msg, sequence, at string) (out Message, ok bool) {
	out = incoming(m)
	out.Sender, out.ID = first(m, v1.HeaderSender), first(m, v1.HeaderID)
	var err error
	if out.Sequence, err = strconv.ParseUint(first(m, sequence), 10, 64); err != nil || out.Sequence == 0 || !v1.IsUserKey(out.Sender) {
		return Message{}, false
	}
	out.Time, err = time.Parse(time.RFC3339Nano, first(m, at))
	return out, err == nil
}

func first(m *nats.Msg, name string) string {
	if v := m.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// spoken reads a message that was published in the room whose subjects begin so: the server lets everybody use the own key in them only.
func spoken(m *nats.Msg, prefix string) (out Message, ok bool) {
	out = incoming(m)
	rest, found := strings.CutPrefix(m.Subject, prefix)
	if !found {
		return Message{}, false
	}
	out.Sender, _, _ = strings.Cut(rest, ".")
	out.ID = first(m, v1.HeaderMessageID)
	return out, v1.IsUserKey(out.Sender)
}

// isSubject says whether s can be published to: some servers give a meaning to more.
func isSubject(s string) bool {
	if s == "" || len(s) > mostSubject || strings.ContainsAny(s, "*>") {
		return false
	}
	for token := range strings.SplitSeq(s, ".") {
		if token == "" || !isText(token) || strings.Contains(token, " ") {
			return false
		}
	}
	return true
}

// mostSubject is the longest subject that is answered to, in bytes.
const mostSubject = 256
