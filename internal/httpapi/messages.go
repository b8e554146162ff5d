// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

const (
	contentJSON, contentEvents = "application/json", "text/event-stream"
	headerIdempotency          = "Idempotency-Key"
)

// Rooms is what users do in rooms, once it is known who they are and that they may. Users are public nkeys, rooms are ids; headers are
// those that the sender may set, and v1.HeaderMessageID. It refuses with a *v1.Error.
type Rooms interface {
	// Publish sends a message to who is listening in a room.
	Publish(user, room string, header map[string][]string, body []byte) error
	// Append has a message kept, and tries to until its context ends, which must have a deadline.
	Append(ctx context.Context, user, room string, header map[string][]string, body []byte) (v1.AppendAnswer, error)
	// Page reads a page of a room's history.
	Page(ctx context.Context, user, room string, q v1.HistoryRequest) ([]v1.Message, v1.HistoryAnswer, error)
	// Listen hears what a room says from its return on, until stop is called. Its context must have a deadline. next waits for a message,
	// until its own context ends. More than buffer that wait for it are lost: before, the sequence of the room's message before it, shows
	// the gap where history is kept; elsewhere next fails from then on.
	Listen(ctx context.Context, room v1.Room, buffer int) (
		next func(context.Context) (m v1.Message, before uint64, err error), stop func(), err error)
}

func (a *API) describeMessages() {
	const path = v1.PathRooms + "/{room}/messages"
	a.describeRead(path)
	register(a, operation{id: "post-message", method: http.MethodPost, path: path,
		summary: "Send a message (who is in the room and no reader). Its body is that of the request, as it is",
		codes:   []string{v1.CodeForbidden, v1.CodeNotFound, v1.CodeHeader, v1.CodeTooLarge, v1.CodeFull, v1.CodeInvalid},
		more: func(o *huma.Operation) {
			o.Description = "Content-Type, Content-Encoding, Traceparent, Tracestate and headers that begin with App- are kept with it. With a key in " +
				headerIdempotency + " or " + v1.HeaderMessageID + " a message that is sent twice within two minutes is kept once. " +
				"One without a key is given one, which counts among its headers. What the history does not answer, or can't take now, the node sends again " +
				"for half of the time that a request may take. After 503 it may be kept or not, as the detail says: only with a key is it safe to repeat."
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

	header http.Header
}

// Resolve implements huma.Resolver: it keeps the headers that are the message's.
func (p *postMessage) Resolve(ctx huma.Context) []error {
	p.header = http.Header{}
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
	done, refused := a.flights.change(c.flight)
	if refused != nil {
		return nil, refused
	}
	defer done()
	if r.Class == "" {
		return &posted{Status: http.StatusAccepted}, c.back.Rooms.Publish(c.Key, r.ID, in.header, in.RawBody)
	}
	id := in.MessageID
	if in.Key != "" {
		// The header is defined as a quoted string, and often written without.
		if id = strings.Trim(in.Key, `"`); id == "" {
			return nil, fail(v1.CodeInvalid, headerIdempotency+" is empty: give a key, or leave the header away")
		}
	}
	if id != "" {
		in.header.Set(v1.HeaderMessageID, id)
	}
	ctx, cancel := context.WithTimeout(ctx, a.c.Limits.RequestTimeout/2) // what became of it is told, which would not be once the request is over
	defer cancel()
	answer, err := c.back.Rooms.Append(ctx, c.Key, r.ID, in.header, in.RawBody)
	if err != nil {
		return nil, err
	}
	if answer.Duplicate {
		return &posted{http.StatusOK, answer}, nil
	}
	return &posted{http.StatusCreated, answer}, nil
}

// history reads a page.
func (a *API) history(ctx context.Context, c *caller, room v1.Room, q v1.HistoryRequest) ([]v1.Message, v1.HistoryAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.c.Limits.RequestTimeout) // a follower has none of its own, and an answer may be lost
	defer cancel()
	leave, err := a.pages.enter(ctx, room.Class)
	if err != nil {
		return nil, v1.HistoryAnswer{}, err
	}
	defer leave()
	return c.back.Rooms.Page(ctx, c.Key, room.ID, q)
}
