// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

const (
	contentJSON, contentEvents = "application/json", "text/event-stream"
	headerIdempotency          = "Idempotency-Key"
)

func (a *API) describeMessages() {
	const path = v1.PathRooms + "/{room}/messages"
	a.describeRead(path)
	register(a, operation{id: "post-message", method: http.MethodPost, path: path,
		summary: "Send a message (who is in the room and no reader). Its body is that of the request, as it is",
		codes:   []string{v1.CodeForbidden, v1.CodeNotFound, v1.CodeHeader, v1.CodeTooLarge, v1.CodeFull, v1.CodeInvalid},
		more: func(o *huma.Operation) {
			o.Description = "Content-Type, Content-Encoding, Traceparent, Tracestate and headers that begin with App- are kept with it. With a key in " +
				headerIdempotency + " or " + v1.HeaderMessageID + " a message that is sent twice within two minutes is kept once."
			o.RequestBody.Required = false
			o.RequestBody.Content = map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
			body := o.Responses["200"].Content
			o.Responses["200"].Description = "It was kept before"
			o.Responses["201"] = &huma.Response{Description: "It is kept on a majority of nodes", Content: body}
			o.Responses["202"] = &huma.Response{Description: "It was sent to who is listening; the room keeps nothing", Content: body}
		}}, a.postMessage)
}

// inside finds a room by its name for a caller who is in it, in the live directory, as the services of NATS clients do.
func (a *API) inside(c *caller, name string, do membership.Action) (v1.Room, error) {
	r, ok := a.c.Directory.Room(name)
	if !ok || r.Deleting {
		return r, membership.ErrNotFound
	}
	role, _, _ := a.c.Directory.Role(c.Key, r.ID)
	return r, membership.Caller{Key: c.Key, Admin: c.Admin, Role: role}.Check(do, "")
}

type postMessage struct {
	RoomPath
	Key       string `header:"Idempotency-Key" maxLength:"130" doc:"The sender's own id of the message."`
	MessageID string `header:"Nats-Msg-Id" maxLength:"128" doc:"The same, as NATS clients name it."`
	RawBody   []byte `contentType:"application/octet-stream"`

	header nats.Header
}

// Resolve implements huma.Resolver: it keeps the headers that are the message's.
func (p *postMessage) Resolve(ctx huma.Context) []error {
	p.header = nats.Header{}
	ctx.EachHeader(func(name, value string) {
		if slices.Contains(v1.CopiedHeaders, name) || strings.HasPrefix(name, v1.HeaderApp) {
			p.header.Add(name, value)
		}
	})
	return nil
}

type posted struct {
	Status int `json:"-"`
	Body   v1.AppendAnswer
}

func (a *API) postMessage(ctx context.Context, c *caller, in *postMessage) (*posted, error) {
	r, err := a.inside(c, in.Room, membership.WriteMessages)
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: v1.AppendSubject(c.Key, r.ID), Header: in.header, Data: in.RawBody}
	if r.Class == "" {
		m.Subject = v1.RoomSubject(r.ID, c.Key, v1.SubjectMessage)
		return &posted{Status: http.StatusAccepted}, sent(c.back.Clients.PublishMsg(m))
	}
	id := in.MessageID
	if in.Key != "" {
		id = strings.Trim(in.Key, `"`) // the header is defined as a quoted string, and often written without
	}
	if id != "" {
		m.Header.Set(v1.HeaderMessageID, id)
	}
	var answer v1.AppendAnswer
	err = a.ask(ctx, c, m, func(m *nats.Msg) (bool, error) { return true, json.Unmarshal(m.Data, &answer) })
	switch {
	case err != nil:
		return nil, err
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Duplicate:
		return &posted{http.StatusOK, answer}, nil
	}
	return &posted{http.StatusCreated, answer}, nil
}

func sent(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fail(v1.CodeTooLarge, "the message is too large with its headers: send a smaller one")
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

// errUnreachable says that the node's own connection, or who serves behind it, does not answer. What was sent may have arrived.
var errUnreachable = fail(v1.CodeUnavailable, "rooms are not served now, and what you sent may or may not have arrived: try again, with the same "+headerIdempotency)

func unreachable(err error) error { return errors.Join(errUnreachable, err) }

// ask makes a request to the services in the caller's name, whose inbox the answers come to, until take has had enough.
func (a *API) ask(ctx context.Context, c *caller, m *nats.Msg, take func(*nats.Msg) (enough bool, err error)) error {
	m.Reply = v1.InboxPrefix(c.Key) + "." + nats.NewInbox()[len(nats.InboxPrefix):]
	sub, err := c.back.Clients.SubscribeSync(m.Reply)
	if err != nil {
		return unreachable(err)
	}
	defer sub.Unsubscribe()
	if err := sent(c.back.Clients.PublishMsg(m)); err != nil {
		return err
	}
	for {
		answer, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return unreachable(err)
		}
		if answer.Header.Get("Status") != "" {
			return errUnreachable // no node takes requests
		}
		if enough, err := take(answer); err != nil || enough {
			return err
		}
	}
}

// history reads a page.
func (a *API) history(ctx context.Context, c *caller, room string, q v1.HistoryRequest) (list []*nats.Msg, end v1.HistoryAnswer, err error) {
	select {
	case a.pages <- struct{}{}:
		defer func() { <-a.pages }()
	case <-ctx.Done():
		return nil, end, ctx.Err()
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, end, err
	}
	err = a.ask(ctx, c, &nats.Msg{Subject: v1.HistorySubject(c.Key, room), Data: body}, func(m *nats.Msg) (bool, error) {
		text, is := m.Header[v1.HeaderEnd]
		if !is {
			list = append(list, m)
			return false, nil
		}
		return true, json.Unmarshal([]byte(text[0]), &end)
	})
	if err == nil && end.Error != nil {
		err = end.Error
	}
	if err == nil && end.Messages != len(list) {
		err = errUnreachable // some were lost on their way
	}
	return list, end, err
}

// message is a NATS message of a room as HTTP gives it.
func message(m *nats.Msg) v1.Message {
	out := v1.Message{Sender: m.Header.Get(v1.HeaderSender)}
	for name, values := range m.Header {
		switch {
		case name == v1.HeaderID:
			name = v1.HeaderMessageID // that is what its sender has set
		case !slices.Contains(v1.CopiedHeaders, name) && !strings.HasPrefix(name, v1.HeaderApp):
			continue
		}
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[name] = strings.Join(values, ", ")
	}
	out.Sequence = sequenceOf(m, v1.HeaderSequence, v1.HeaderLogSequence)
	if at, err := time.Parse(time.RFC3339Nano, m.Header.Get(v1.HeaderTime)); err == nil {
		out.Time = &at
	} else if at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerLogTime)); err == nil {
		out.Time = &at
	}
	if utf8.Valid(m.Data) {
		out.Text = string(m.Data)
	} else {
		out.Data = m.Data
	}
	return out
}

// headerLogTime is when the history took a message that came on its log.
const headerLogTime = "Nats-Time-Stamp"

// sequenceOf reads the first header of these that is a number, 0 if none is.
func sequenceOf(m *nats.Msg, names ...string) uint64 {
	for _, name := range names {
		if n, err := strconv.ParseUint(m.Header.Get(name), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// senderOf is the user under whose name a message was published in a room: the subject proves it.
func senderOf(subject string) string {
	if t := strings.Split(subject, "."); len(t) > 2 {
		return t[2]
	}
	return ""
}
