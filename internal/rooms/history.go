// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// mostBody is the longest request for history in bytes.
	mostBody = 1 << 10
	// firstPause is before the second look at a replica that lags; the next are twice as long each.
	firstPause, looks = 10 * time.Millisecond, 6
)

// The server counts in nanoseconds: these are well within what it can.
var earliest, latest = time.Unix(0, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// queueHistory leaves a request to the readers.
func (s *Service) queueHistory(m *nats.Msg) {
	c, refused, ok := s.admit(serviceHistory, m)
	if !ok {
		return
	}
	var class v1.Class
	if refused == nil {
		_, class, refused = s.allowed(c.user, c.room)
	}
	if refused == nil && class.Name == "" {
		refused = errNotKept
	}
	if refused == nil && len(m.Data) > mostBody {
		refused = errLongRequest
	}
	// What waits holds no more than a request's few bytes: its headers may be as long as any message.
	if refused == nil && !s.reads.push(read{c, class.Name, m.Reply, bytes.Clone(m.Data)}) {
		refused = errBusy
	}
	if refused != nil && s.worthAnAnswer(serviceHistory, c) {
		s.endHistory(m.Reply, v1.HistoryAnswer{Error: refused})
	}
}

func (s *Service) answerHistory(q read) {
	p, refused := s.readPage(q)
	if refused == nil {
		// Waiting and reading take their time, in which the caller may have been removed.
		_, _, refused = s.allowed(q.user, q.room)
	}
	if refused != nil {
		s.endHistory(q.reply, v1.HistoryAnswer{Error: refused})
		return
	}
	for _, m := range p.messages {
		s.sendKept(q.reply, m)
	}
	s.endHistory(q.reply, v1.HistoryAnswer{Messages: len(p.messages), Next: p.next, More: p.more})
}

func (s *Service) readPage(q read) (page, *v1.Error) {
	request, refused := parseRequest(q.body)
	if refused != nil {
		return page{}, refused
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ReadTimeout)
	defer cancel()
	d, err := openDirect(s.cfg.History, q.class, q.room)
	if err != nil {
		return page{}, errUnread
	}
	defer d.close()
	pause := firstPause
	for range looks {
		var p page
		if p, err = d.page(ctx, request); err != nil {
			refused = errUnread
		} else if p.shows(request) {
			return p, nil
		} else if lags, err := d.lags(ctx, request.AtLeast); err == nil && !lags {
			return p, nil
		} else if refused = errBehind; errors.Is(err, errNotKnown) {
			return page{}, refused
		}
		select {
		case <-ctx.Done():
			return page{}, refused
		case <-time.After(pause):
			pause *= 2
		}
	}
	return page{}, refused
}

func parseRequest(body []byte) (v1.HistoryRequest, *v1.Error) {
	var r v1.HistoryRequest
	if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &r); err != nil {
			return r, refusal(v1.CodeMalformed, "a request for history is a JSON object: "+err.Error())
		}
	}
	starts := 0
	for _, set := range []bool{r.From != 0, r.Since != nil, r.Last != 0} {
		if set {
			starts++
		}
	}
	switch {
	case starts > 1:
		return r, refusal(v1.CodeMalformed, "give one of from, since and last")
	case r.Last < 0 || r.Last > v1.MaxPage || r.Limit < 0:
		return r, refusal(v1.CodeMalformed, fmt.Sprintf("last is 1 to %d, limit 0 or more", v1.MaxPage))
	}
	if r.Limit == 0 || r.Limit > v1.MaxPage {
		r.Limit = v1.MaxPage
	}
	if r.Since != nil {
		t := r.Since.UTC()
		if t.Before(earliest) {
			t = earliest
		} else if t.After(latest) {
			t = latest
		}
		r.Since = &t
	}
	return r, nil
}

// page is a part of a room's history.
type page struct {
	messages   []*nats.Msg
	last, next uint64
	more       bool
}

// shows says whether the page itself proves that its replica had what the request demands. One that begins after that has nothing of
// it, and one that is followed by more lacks nothing, except that the newest n are those before what is demanded only if they lead up to it.
func (p page) shows(r v1.HistoryRequest) bool {
	return r.From > r.AtLeast || p.last >= r.AtLeast || p.more && len(p.messages) < r.Last || p.more && r.Last == 0
}

// page reads once, from whichever replica answers.
func (d *direct) page(ctx context.Context, r v1.HistoryRequest) (page, error) {
	q := question{Seq: max(r.From, 1), Next: d.kept, Batch: r.Limit, MaxBytes: v1.MaxPageBytes}
	switch {
	case r.Since != nil:
		q.Seq, q.StartTime = 0, r.Since
	case r.Last > 0:
		var err error
		if q.Seq, err = d.lastStart(ctx, uint64(r.Last)); err != nil {
			return page{}, err
		}
		q.Batch = min(r.Last, r.Limit)
	}
	messages, pending, err := d.get(ctx, q)
	if err != nil {
		return page{}, err
	}
	p := page{messages: messages, more: pending > 0, next: q.Seq}
	size := 0
	for i, m := range messages {
		// The server stops after the message that reaches the bound, not before it.
		if size += m.Size() - len(m.Subject); size > v1.MaxPageBytes && i > 0 {
			p.messages, p.more = messages[:i], true
			break
		}
		p.last = sequenceOf(m, headerSequence)
		p.next = p.last + 1
	}
	if len(messages) == 0 && r.Since != nil {
		newest, err := d.last(ctx)
		p.next = newest + 1
		return p, err
	}
	return p, nil
}

// sendKept sends a message of the history to a caller: with the headers that a sender may set and those that nodes do, none else.
func (s *Service) sendKept(reply string, m *nats.Msg) {
	sequence, at := m.Header[headerSequence], m.Header[headerTime]
	for name := range m.Header {
		if name != v1.HeaderSender && name != v1.HeaderID && !isSenders(name) {
			delete(m.Header, name)
		}
	}
	m.Header[v1.HeaderSequence], m.Header[v1.HeaderTime] = sequence, at
	m.Subject, m.Reply = reply, ""
	if err := s.cfg.Pages.PublishMsg(m); err != nil {
		s.cfg.Logger.Debug("a message of history was not sent", "error", err)
	}
}

// endHistory is the last message of an answer. It has no body: by that the clients that there are know the end of many answers.
func (s *Service) endHistory(reply string, answer v1.HistoryAnswer) {
	s.counts.add(serviceHistory, outcomeOf(answer.Error))
	end, err := json.Marshal(answer)
	if err != nil {
		s.cfg.Logger.Error("an answer can't be encoded", "error", err)
		return
	}
	m := nats.Msg{Subject: reply, Header: nats.Header{v1.HeaderEnd: {string(end)}}}
	if err := s.cfg.Pages.PublishMsg(&m); err != nil {
		s.cfg.Logger.Debug("an answer was not sent", "error", err)
	}
}
