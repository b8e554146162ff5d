// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Request asks a user of the room, or, if to is empty, whoever answers requests there, and returns the first answer. Requests are never
// kept, nor sent again. Without a deadline it waits as long as the connection stands.
//
// The answer comes from somebody in the room; who that was, the bus does not vouch for. It fails with ErrNoAnswer, ErrAnswer,
// ErrForbidden, ErrInvalid, ErrTooLarge, ErrRemoved, ErrClosed, the context's error and, if the connection is lost, with ErrUnavailable.
func (r *Room) Request(ctx context.Context, to string, m Message) (Message, error) {
	out, err := r.request(ctx, to, m)
	return out, r.named("request", err)
}

func (r *Room) request(ctx context.Context, to string, m Message) (Message, error) {
	rest := v1.SubjectRequest
	if to != "" {
		if !v1.IsUserKey(to) {
			return Message{}, fmt.Errorf("%w: whom to ask is named by the public nkey", ErrInvalid)
		}
		rest += "." + to
	}
	var out nats.Msg
	if err := outgoing(&out, v1.RoomSubject(r.ID, r.c.user, rest), m); err != nil {
		return Message{}, err
	}
	out.Reply = v1.ReplyPrefix(r.ID, r.c.user) + "." + rand.Text()
	in, err := r.c.listen(out.Reply, "", 2, 0)
	if err != nil {
		return Message{}, err
	}
	defer in.close()
	if err := r.c.say(ctx, &out, false); err != nil {
		return Message{}, err
	}
	turn := r.c.turn()
	for {
		switch m, err := in.next(ctx, time.Time{}); {
		case errors.Is(err, errNobody):
			return Message{}, fmt.Errorf("%w: nobody in the room waits for requests", ErrNoAnswer)
		case err != nil:
			return Message{}, err
		case m == nil && r.c.turn() != turn:
			return Message{}, fmt.Errorf("%w: the connection was lost before an answer came", ErrUnavailable)
		case m == nil:
		case first(m, headerFailed) != "":
			return Message{}, fmt.Errorf("%w: %s", ErrAnswer, clean(first(m, headerFailed)))
		default:
			return incoming(m), nil
		}
	}
}

// Handler answers a request, whose Sender the bus vouches for. Of what it returns, Data and Header are sent; of an error, its text. With
// ErrNoAnswer nothing is sent: others in the room may answer.
type Handler func(ctx context.Context, request Message) (Message, error)

// Respond answers requests to the room and to the user until the context ends, one at a time, and then those that it was given before. Of those who respond in the same queue
// one gets a request; an empty queue is that of the user's own processes, so that each user of the room answers.
//
// Who asks says where the answer goes. Respond answers only to where the room's own requester may listen, so that nobody can point it into
// another room. It fails with ErrForbidden when the user is not in the room (any more) or its reader, with ErrRemoved, ErrClosed and, at the
// end, with the context's error.
func (r *Room) Respond(ctx context.Context, queue string, handle Handler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var one sync.Mutex
	var both sync.WaitGroup
	for _, rest := range []string{v1.SubjectRequest, v1.SubjectRequest + "." + r.c.user} {
		in, err := r.c.listen(v1.RoomSubject(r.ID, "*", rest), cmp.Or(queue, r.c.user), keptAhead, keptAheadBytes)
		if err != nil {
			cancel(err)
			break
		}
		both.Go(func() {
			defer in.close()
			cancel(r.respond(ctx, in, &one, handle))
		})
	}
	both.Wait()
	return r.named("respond", context.Cause(ctx))
}

func (r *Room) respond(ctx context.Context, in *listener, one *sync.Mutex, handle Handler) error {
	serve := func(ctx context.Context, m *nats.Msg) error {
		one.Lock()
		defer one.Unlock()
		return r.serve(ctx, m, handle)
	}
	for {
		m, err := in.next(ctx, time.Time{})
		if err != nil && ctx.Err() != nil && in.sub.Drain() == nil {
			// What was given to this one is given to no other: it is answered still.
			for m, last := in.sub.NextMsg(flushLimit); last == nil; m, last = in.sub.NextMsg(flushLimit) {
				_ = serve(context.WithoutCancel(ctx), m) // it ends in any case
			}
			return err
		}
		if err != nil && !errors.Is(err, errDropped) && !errors.Is(err, errNobody) {
			return err
		}
		if m != nil {
			if err := serve(ctx, m); err != nil {
				return err
			}
		}
	}
}

// serve answers a request, if the answer would stay in the room.
func (r *Room) serve(ctx context.Context, m *nats.Msg, handle Handler) error {
	request, ok := spoken(m, r.prefix)
	if !ok || !answerable(m.Reply, r.ID, request.Sender) {
		r.c.o.Logger.Warn("a request is not answered: its reply subject is not the requester's in the room", "room", r.Name, "sender", request.Sender)
		return nil
	}
	answer, err := handle(ctx, request)
	if errors.Is(err, ErrNoAnswer) {
		return nil
	}
	var out nats.Msg
	if err == nil {
		err = outgoing(&out, m.Reply, Message{Data: answer.Data, Header: answer.Header})
	}
	if err == nil {
		if err = r.c.say(ctx, &out, false); !errors.Is(err, ErrTooLarge) {
			return err
		}
	}
	return r.c.say(ctx, &nats.Msg{Subject: m.Reply, Header: nats.Header{headerFailed: {cmp.Or(clean(err.Error()), "it failed")}}}, false)
}

// answerable says whether a reply subject is where a user listens for answers to its requests in the room. Who may publish
// is free to name any other.
func answerable(reply, room, user string) bool {
	rest, ok := strings.CutPrefix(reply, v1.ReplyPrefix(room, user)+".")
	return ok && v1.IsUserKey(user) && isSubject(rest) && len(reply) <= mostSubject
}
