// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

type readMessages struct {
	RoomPath
	From        uint64    `query:"from" doc:"The lowest sequence. At most one of from, since and last is given."`
	Since       time.Time `query:"since" doc:"The earliest time."`
	Last        int       `query:"last" minimum:"1" maximum:"1000" doc:"How many of the newest."`
	Limit       int       `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"The most messages of the page. It has no meaning for who follows."`
	AtLeast     uint64    `query:"atLeast" doc:"A sequence of the room that the answer must know, or else be unavailable."`
	LastEventID string    `header:"Last-Event-ID" doc:"Follow after the event of that id. It stands above from, since and last."`
	Accept      string    `header:"Accept" hidden:"true"`
}

func (q *readMessages) request() v1.HistoryRequest {
	r := v1.HistoryRequest{From: q.From, Last: q.Last, Limit: q.Limit, AtLeast: q.AtLeast}
	if !q.Since.IsZero() {
		r.Since = &q.Since
	}
	return r
}

// follows says whether the caller wants events.
func (q *readMessages) follows() bool { return strings.Contains(q.Accept, contentEvents) }

// answer writes itself: a page, or events.
type answer struct{ Body func(huma.Context) }

func (a *API) describeRead(path string) {
	register(a, operation{id: "read-messages", method: http.MethodGet, path: path, summary: "Read a page of a room's history, or follow the room (who is in it)",
		codes: []string{v1.CodeNotFound, v1.CodeNotKept, v1.CodeMalformed, v1.CodeInvalid},
		more: func(o *huma.Operation) {
			o.Description = "With Accept: " + contentEvents + " the answer follows the room, by server-sent events: each has a Message as data and its " +
				"sequence as id, so that a client that comes back with Last-Event-ID goes on after it, without a gap. It begins with from, since or " +
				"last, or else with what comes next. Comments between events are to be ignored. An event named \"problem\" is the last: its data is a " +
				"Problem. In a room that keeps nothing events have no id, and only following is possible. Who takes more than 10 seconds to read " +
				"16 KiB of it is cut off."
			schemas := a.huma.OpenAPI().Components.Schemas
			o.Responses["200"].Description = http.StatusText(http.StatusOK)
			o.Responses["200"].Content = map[string]*huma.MediaType{
				contentJSON:   {Schema: schemas.Schema(reflect.TypeFor[v1.Messages](), true, "Messages")},
				contentEvents: {Schema: &huma.Schema{Type: "string", Description: "Events of server-sent events."}},
			}
		}}, a.readMessages)
}

func (a *API) readMessages(ctx context.Context, c *caller, in *readMessages) (*answer, error) {
	r, err := a.inside(c, in.Room, membership.ReadMessages)
	if err != nil {
		return nil, err
	}
	c.room.Store(&r.ID)
	// From here on whoever leaves is told; who has left before is seen now.
	if _, _, in := a.c.Directory.Role(c.Key, r.ID); !in {
		return nil, membership.ErrNotFound
	}
	if in.follows() {
		return a.follow(ctx, c, r, in)
	}
	if refused := a.flights.page(c.flight); refused != nil {
		return nil, refused
	}
	list, end, err := a.history(ctx, c, r, in.request())
	if err != nil {
		return nil, err
	}
	page := v1.Messages{Messages: append([]v1.Message{}, list...), Next: end.Next, More: end.More}
	return &answer{func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentJSON)
		hc.SetStatus(http.StatusOK)
		_ = marshal(hc.BodyWriter(), page) // it fails only when the caller is gone
	}}, nil
}

// follow begins to follow a room. What can be refused is refused before the first event.
func (a *API) follow(ctx context.Context, c *caller, r v1.Room, in *readMessages) (*answer, error) {
	q := in.request()
	if in.LastEventID != "" {
		id, err := strconv.ParseUint(in.LastEventID, 10, 64)
		if err != nil || id == math.MaxUint64 {
			return nil, fail(v1.CodeMalformed, "Last-Event-ID is the id of an event: give it as it came, or leave it away")
		}
		q = v1.HistoryRequest{From: id + 1, AtLeast: q.AtLeast}
	}
	if refused := a.flights.follow(c.flight, a.c.Limits); refused != nil {
		return nil, refused
	}
	f := &follower{api: a, caller: c, room: r}
	if err := f.begin(ctx, q); err != nil {
		return nil, err
	}
	return &answer{func(hc huma.Context) {
		defer f.stop()
		_, w := humago.Unwrap(hc)
		f.run(ctx, w)
	}}, nil
}
