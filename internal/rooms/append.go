// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	statusNoResponders = "503"
	// probeEvery and probeAfter say which of a user's appends are acknowledged by way of the service, which so knows how many are on
	// their way (all those before it are through as well) and tells callers what is wrong: every 32nd, those that come on their own,
	// the first after another class, all while the stream does not answer or many of the user are on their way, and all of another node's
	// clients, to whom the stream's node may have no way. The others are acknowledged by the stream into the caller's inbox, which costs half.
	probeEvery, probeAfter = 32, 100 * time.Millisecond
	// scopedBytes of a hash are enough against whoever looks for another's.
	scopedBytes = 16
)

// appender is what the append service uses again for every message: all its requests come from one goroutine.
type appender struct {
	out    nats.Msg
	header nats.Header
	size   int // of the message as it is kept, in bytes
	// One value each of the headers that the node sets.
	sender, id, scoped [1]string
	name               []byte
}

// append puts a message into the history. The client library has copied the message when it
// returns, so that nothing of it is held.
func (s *Service) append(m *nats.Msg) {
	c, refused, ok := s.admit(serviceAppend, m)
	if !ok {
		return
	}
	if refused == nil {
		refused = s.tryAppend(m, c)
	}
	if refused != nil && s.worthAnAnswer(serviceAppend, c) {
		s.refuseAppend(m.Reply, refused)
	}
}

func (s *Service) tryAppend(m *nats.Msg, c caller) *v1.Error {
	role, class, refused := s.allowed(c.user, c.room)
	if refused != nil {
		return refused
	}
	if !role.Writes() {
		return errReader
	}
	if class.Name == "" {
		return errNotKept
	}
	a := &s.appender
	if refused := a.stamp(m, c.user, c.room); refused != nil {
		return refused
	}
	if a.size > int(class.MaxMessageBytes) {
		return tooLarge(a.size, class)
	}
	if refused := s.limits[serviceAppend].allow(class, c.user, c.room, c.at); refused != nil {
		return refused
	}
	a.out.Subject, a.out.Data, a.out.Header, a.out.Reply = v1.HistoryKept(class.Name, c.room), m.Data, a.header, m.Reply
	var number uint64
	b := c.budget
	probe := !c.local || b.unprobed+1 >= probeEvery || b.class != class.Name || c.at.Sub(b.last) > probeAfter || !s.pending.answers(class.Name) ||
		s.crowded(b)
	if probe {
		ok := false
		if number, ok = s.pending.add(waiting{m.Reply, class.Name, c.at.Add(s.cfg.AppendTimeout), b, b.unprobed + 1}); !ok {
			return errBusy
		}
		a.out.Reply = s.acks + strconv.FormatUint(number, 10)
	}
	if err := s.cfg.History.PublishMsg(&a.out); err != nil {
		if probe {
			s.pending.take(number)
		}
		if errors.Is(err, nats.ErrMaxPayload) {
			return tooLarge(a.size, class)
		}
		return errNotSent
	}
	if b.class, b.last = class.Name, c.at; probe {
		b.unprobed = 0
	} else {
		b.unprobed++
	}
	s.counts.add(serviceAppend, OutcomeOK)
	return nil
}

// crowded says whether so many appends of a user seem to wait that each further one is counted by itself. A probe may stand for others
// that the stream has answered long since, into the user's inbox, while this node had no time to hear of the probe. Since no such probe is
// made when MaxAppendsOfUser wait, the count is never above that, a probe more, and what the user has no answer to.
func (s *Service) crowded(b *budget) bool { return int(b.inFlight.Load()) >= s.cfg.MaxAppendsOfUser }

// stamp makes the headers of the message as it is kept.
func (a *appender) stamp(m *nats.Msg, user, room string) *v1.Error {
	clear(a.header)
	if m.Header == nil && m.Size() > len(m.Subject)+len(m.Reply)+len(m.Data) {
		return errBadHeaders // the client library drops a block that it can't read
	}
	id, size, refused := copyHeaders(a.header, m.Header)
	if refused != nil {
		return refused
	}
	a.size = headerBlock + size + lineSize(v1.HeaderSender, user) + len(m.Data)
	a.sender[0] = user
	a.header[v1.HeaderSender] = a.sender[:]
	if id != "" {
		a.id[0], a.scoped[0] = id, a.scope(user, room, id)
		a.header[v1.HeaderID], a.header[v1.HeaderMessageID] = a.id[:], a.scoped[:]
		a.size += lineSize(v1.HeaderID, id) + lineSize(v1.HeaderMessageID, a.scoped[0])
	}
	return nil
}

// scope returns the id under which the stream knows the message. All ids of a stream are in one space: user and room, of fixed
// lengths, come before the sender's own, so that nobody can take another's. Their hash is a quarter as long, which counts in the memory
// of every replica for as long as ids are remembered.
func (a *appender) scope(user, room, id string) string {
	a.name = append(append(append(a.name[:0], room...), user...), id...)
	sum := sha256.Sum256(a.name)
	return base64.RawURLEncoding.EncodeToString(sum[:scopedBytes])
}

func tooLarge(size int, class v1.Class) *v1.Error {
	return refusal(v1.CodeTooLarge, "the message has "+strconv.Itoa(size)+" bytes with its headers, and the room's history class takes "+
		strconv.Itoa(int(class.MaxMessageBytes))+": send a smaller one")
}

// acknowledged passes on what the stream said of a probe.
func (s *Service) acknowledged(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, s.acks), 10, 64)
	if err != nil {
		return
	}
	w, ok := s.pending.take(number)
	if !ok {
		return // too late: it has been told that nobody knows
	}
	if m.Header != nil && m.Header.Get("Status") == statusNoResponders {
		s.failed(w, errNotSent)
		return
	}
	s.pending.note(w.class, true)
	s.publish(w.reply, m.Data)
}

// expire answers appends whose acknowledgement did not come in time, and requests for history for which no reader had.
func (s *Service) expire(now time.Time) {
	for _, w := range s.pending.expired(now) {
		s.failed(w, errUnclear)
	}
	for _, q := range s.reads.expired(now.Add(-s.cfg.ReadTimeout)) {
		s.endHistory(q.reply, v1.HistoryAnswer{Error: errBusy})
	}
}

// failed answers a probe that the stream did not.
func (s *Service) failed(w waiting, refused *v1.Error) {
	s.pending.note(w.class, false)
	s.refuseAppend(w.reply, refused)
}

func (s *Service) refuseAppend(reply string, refused *v1.Error) {
	s.counts.add(serviceAppend, refused.Code)
	s.answerJSON(reply, v1.AppendAnswer{Error: refused})
}
