// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Voice speaks and listens in rooms in users' names, for those whose clients don't speak NATS: by the same subjects, services and answers
// as clients that do. Who a user is and may publish or listen has been looked at before; the services look for themselves. Users are
// public nkeys, rooms are ids. What is refused is a *v1.Error. All methods may be called at the same time.
type Voice struct {
	// Clients is the node's own connection to the clients' account. It stays the caller's.
	Clients *nats.Conn
}

// Publish sends a message to who is listening in a room.
func (v Voice) Publish(user, room string, header map[string][]string, body []byte) error {
	return v.send(&nats.Msg{Subject: v1.RoomSubject(room, user, v1.SubjectMessage), Header: header, Data: body})
}

const (
	// An append that is not answered is sent again after firstPatience, and twice as long each time: a node that hands over a stream takes a message now and
	// then that nobody will answer. One that can't be taken is sent again after firstAgain, twice as long each time and mostAgain at most,
	// where no node serves for unserved at most: while a stream has no leader it may look so.
	firstPatience         = time.Second
	firstAgain, mostAgain = 50 * time.Millisecond, time.Second
	unserved              = time.Second
)

// notKept are the refusals for now after which a message is not kept. After others it may be.
var notKept = []v1.Error{*errUnserved, *errNotSent, *errBusy, *errNotReady}

// Append has a message kept. Its id, if any, is in header v1.HeaderMessageID; otherwise it is given one. While it can't be kept, or is not known to be, it is
// sent again under that id until the context ends, which must have a deadline. Where it may be kept or not the error is that of errUnclear.
func (v Voice) Append(ctx context.Context, user, room string, header map[string][]string, body []byte) (v1.AppendAnswer, error) {
	m := &nats.Msg{Subject: v1.AppendSubject(user, room), Header: nats.Header{}, Data: body}
	maps.Copy(m.Header, header)
	own := m.Header.Get(v1.HeaderMessageID) == ""
	if own {
		m.Header.Set(v1.HeaderMessageID, rand.Text())
	}
	var last error
	began, unclear := time.Now(), false
	for patience, pause := firstPatience, firstAgain; ; pause = min(2*pause, mostAgain) {
		answer, err := v.tryAppend(ctx, user, m, patience)
		if err == nil {
			answer.Duplicate = answer.Duplicate && !own
			return answer, nil
		}
		var refused *v1.Error
		again := false
		switch errors.As(err, &refused); {
		case refused == nil:
		case refused.Code == v1.CodeUnavailable:
			again = !v.Clients.IsClosed() && (*refused != *errUnserved || time.Since(began) < unserved)
			unclear = unclear || !slices.Contains(notKept, *refused)
			if last = err; errors.Is(err, context.DeadlineExceeded) {
				patience *= 2
			}
		case refused.Code == v1.CodeRate && last != nil: // attempts count
			again, err = true, last
		}
		if again {
			select {
			case <-ctx.Done():
				again = false
			case <-time.After(pause):
			}
		}
		if !again && unclear {
			return v1.AppendAnswer{}, errUnclear
		} else if !again {
			return v1.AppendAnswer{}, err
		}
	}
}

func (v Voice) tryAppend(ctx context.Context, user string, m *nats.Msg, patience time.Duration) (answer v1.AppendAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = v.ask(ctx, user, m, func(m *nats.Msg) (bool, error) { return true, json.Unmarshal(m.Data, &answer) })
	if err == nil && answer.Error != nil {
		err = answer.Error
	}
	return answer, err
}

// Page reads a page of a room's history.
func (v Voice) Page(ctx context.Context, user, room string, q v1.HistoryRequest) (list []v1.Message, end v1.HistoryAnswer, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, end, err
	}
	err = v.ask(ctx, user, &nats.Msg{Subject: v1.HistorySubject(user, room), Data: body}, func(m *nats.Msg) (bool, error) {
		text, is := m.Header[v1.HeaderEnd]
		if !is {
			list = append(list, message(m, v1.HeaderSequence, v1.HeaderTime))
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

// mostHeard is how many bytes of messages may wait for one who listens: a node has many of these, and messages may be large.
const mostHeard = 4 << 20

// Listen hears what a room says from its return on, until stop is called. Its context must have a deadline. next waits for a message,
// until its own context ends. At most buffer messages of 4 MiB together wait for it, and those that come meanwhile are lost: of a room that keeps history
// before says which sequence the room's message before it has, so that the gap shows; where nothing is kept next fails from then on,
// with v1.CodeSlow.
func (v Voice) Listen(ctx context.Context, room v1.Room, buffer int) (
	next func(context.Context) (m v1.Message, before uint64, err error), stop func(), err error) {
	subject := v1.LogSubject(room.ID)
	if room.Class == "" {
		subject = v1.RoomSubject(room.ID, "*", v1.SubjectMessage)
	}
	heard, over := make(chan *nats.Msg), make(chan struct{})
	sub, err := v.Clients.Subscribe(subject, func(m *nats.Msg) {
		select {
		case heard <- m:
		case <-over:
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(buffer, mostHeard)
	}
	if err != nil {
		return nil, nil, unreachable(err)
	}
	stop = sync.OnceFunc(func() {
		_ = sub.Unsubscribe() // its connection may be closed
		close(over)
	})
	if err := v.Clients.FlushWithContext(ctx); err != nil {
		stop()
		return nil, nil, unreachable(err)
	}
	return func(ctx context.Context) (v1.Message, uint64, error) {
		select {
		case <-ctx.Done():
			return v1.Message{}, 0, ctx.Err()
		case m := <-heard:
			if room.Class != "" {
				return message(m, v1.HeaderLogSequence, headerTime), sequenceOf(m, v1.HeaderLogPrevious), nil
			}
			if n, err := sub.Dropped(); err != nil || n > 0 {
				return v1.Message{}, 0, errSlow
			}
			out := message(m, "", "")
			out.Sender = strings.Split(m.Subject, ".")[2] // which proves it, as a header would not
			return out, 0, nil
		}
	}, stop, nil
}

func (v Voice) send(m *nats.Msg) error {
	err := v.Clients.PublishMsg(m)
	if errors.Is(err, nats.ErrMaxPayload) {
		return errTooLarge
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

func unreachable(err error) error { return errors.Join(errUnreachable, err) }

// ask makes a request to the services in a user's name, whose inbox the answers come to, until take has had enough.
func (v Voice) ask(ctx context.Context, user string, m *nats.Msg, take func(*nats.Msg) (enough bool, err error)) error {
	m.Reply = v1.InboxPrefix(user) + "." + nats.NewInbox()[len(nats.InboxPrefix):]
	sub, err := v.Clients.SubscribeSync(m.Reply)
	if err != nil {
		return unreachable(err)
	}
	defer sub.Unsubscribe()
	if err := v.send(m); err != nil {
		return err
	}
	for {
		answer, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return unreachable(err)
		}
		if answer.Header.Get(headerStatus) != "" {
			return errUnserved
		}
		if enough, err := take(answer); err != nil || enough {
			return err
		}
	}
}

// message is one of a room as HTTP gives it. sequence and at are the headers that say where in the history it is, empty where nothing
// is kept: there a header would be the sender's own.
func message(m *nats.Msg, sequence, at string) v1.Message {
	out := v1.Message{Sender: m.Header.Get(v1.HeaderSender), Sequence: sequenceOf(m, sequence)}
	for name, values := range m.Header {
		switch {
		case name == v1.HeaderID:
			name = v1.HeaderMessageID // that is what its sender has set
		case !isSenders(name):
			continue
		}
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[name] = strings.Join(values, ", ")
	}
	if t, err := time.Parse(time.RFC3339Nano, m.Header.Get(at)); err == nil {
		out.Time = &t
	}
	if utf8.Valid(m.Data) {
		out.Text = string(m.Data)
	} else {
		out.Data = m.Data
	}
	return out
}
