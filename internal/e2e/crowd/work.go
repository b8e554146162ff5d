// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// appendAttempt and pageAttempt are how long an answer is waited for.
	appendAttempt, pageAttempt = 500 * time.Millisecond, 2 * time.Second
	// retryPause is between two attempts; after some that failed another node is tried, since the one at hand may be cut off.
	retryPause, patience = 100 * time.Millisecond, 6
	// giveUp is how long an append is repeated: a node knows its id for v1.DuplicateWindow only.
	giveUp = v1.DuplicateWindow - 30*time.Second
)

// speaker is who spoke on a subject within a room, which proves it; empty for other subjects.
func speaker(room, subject string) string {
	rest, found := strings.CutPrefix(subject, strings.TrimSuffix(v1.RoomSubjects(room), ">"))
	user, _, more := strings.Cut(rest, ".")
	if !found || !more {
		return ""
	}
	return user
}

// work speaks, appends and reads in rooms at random, whether the user may or not.
func (u *user) work(ctx context.Context, number int) {
	r := rand.New(rand.NewPCG(u.c.cfg.Seed, uint64(number)))
	for n := 0; sleep(ctx, u.c.cfg.Pause/2+time.Duration(r.Int64N(int64(u.c.cfg.Pause)))); n++ {
		if !u.nc.IsConnected() {
			continue
		}
		room := u.c.target(r)
		if room == "" {
			continue
		}
		switch n % 5 {
		case 0, 2:
			u.speak(room)
		case 1, 3:
			u.append(ctx, room)
		case 4:
			_, _, _ = u.page(room, v1.HistoryRequest{Last: 10}) // it is judged in there
		}
	}
}

func (u *user) say(room, id string) ([]byte, time.Time) {
	now := time.Now()
	b, err := json.Marshal(said{Room: room, ID: id, At: now.Sub(u.c.began)})
	if err != nil {
		u.c.wrong("%v", err) // of three fields that can be encoded
	}
	return b, now
}

func (u *user) nextID() string {
	u.spoken++
	return fmt.Sprint(u.name, ".", u.spoken)
}

func (u *user) speak(room string) {
	id := u.nextID()
	body, at := u.say(room, id)
	if u.nc.Publish(v1.RoomSubject(room, u.key, "chat"), body) == nil {
		u.c.sent(sent{subject: v1.RoomSubjects(room), room: room, id: id, speaker: u.key, at: at})
	}
}

// append asks for one message to be kept until that is answered.
func (u *user) append(ctx context.Context, room string) {
	id, began := u.nextID(), time.Now()
	for failed := 1; time.Since(began) < giveUp; failed++ {
		m := nats.NewMsg(v1.AppendSubject(u.key, room))
		m.Header.Set(v1.HeaderMessageID, id)
		var at time.Time
		m.Data, at = u.say(room, id)
		if r, err := u.nc.RequestMsg(m, appendAttempt); err == nil {
			var a v1.AppendAnswer
			if err := json.Unmarshal(r.Data, &a); err != nil {
				u.c.wrong("append in room %s was answered to %s with %q", room, u.name, r.Data)
				return
			}
			code := codeOf(a.Error)
			u.c.answered("append of "+id, u.key, room, Write, code, at, time.Now())
			switch code {
			case "":
				u.c.kept(room, u.key+" "+id, a.Sequence)
				if !a.Duplicate { // else it was told of before
					u.c.sent(sent{subject: v1.LogSubject(room), room: room, id: id, at: at})
				}
				return
			case v1.CodeUnavailable, v1.CodeRate:
			default:
				return
			}
		}
		if failed%patience == 0 {
			_ = u.nc.ForceReconnect() // failing, it goes on trying
		}
		if !sleep(ctx, retryPause) {
			return
		}
	}
}

func codeOf(e *v1.Error) string {
	if e == nil {
		return ""
	}
	return e.Code
}

// errUnanswered is for pages that did not come, or not whole.
var errUnanswered = errors.New("no whole answer")

// page reads a page of a room's history and judges it.
func (u *user) page(room string, q v1.HistoryRequest) (entries []entry, more bool, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, false, err
	}
	sub, err := u.nc.SubscribeSync(u.nc.NewInbox())
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	asked := time.Now()
	if err := u.nc.PublishRequest(v1.HistorySubject(u.key, room), sub.Subject, body); err != nil {
		return nil, false, err
	}
	for {
		m, err := sub.NextMsg(pageAttempt)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errUnanswered, err)
		}
		end := m.Header.Get(v1.HeaderEnd)
		if end == "" {
			if m.Header.Get("Status") != "" { // nobody serves
				return nil, false, errUnanswered
			}
			entries = append(entries, u.entry(room, m))
			continue
		}
		var a v1.HistoryAnswer
		if err := json.Unmarshal([]byte(end), &a); err != nil {
			return nil, false, err
		}
		u.c.answered("history", u.key, room, Read, codeOf(a.Error), asked, time.Now())
		if a.Error != nil {
			return nil, false, a.Error
		}
		if a.Messages != len(entries) { // the connection was another meanwhile
			return nil, false, errUnanswered
		}
		return entries, a.More, nil
	}
}

// entry reads a message of a page. It must be of that room, and of who is named as its sender.
func (u *user) entry(room string, m *nats.Msg) entry {
	var s said
	id, sender := m.Header.Get(v1.HeaderID), m.Header.Get(v1.HeaderSender)
	sequence, err := strconv.ParseUint(m.Header.Get(v1.HeaderSequence), 10, 64)
	if err := errors.Join(err, json.Unmarshal(m.Data, &s)); err != nil || s.ID != id {
		u.c.wrong("history of room %s gave %s %v with %s: %v", room, u.name, m.Header, m.Data, err)
	} else if s.Room != room {
		u.c.leak("history of room %s gave %s the message %s of room %s", room, u.name, id, s.Room)
	}
	return entry{sequence, sender + " " + id}
}

// history reads all of a room's history, of which at least a sequence is known.
func (u *user) history(room string, known uint64) (all []entry, err error) {
	for from := uint64(1); ; {
		entries, more, err := u.page(room, v1.HistoryRequest{From: from, AtLeast: known})
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
		if !more || len(entries) == 0 {
			return all, nil
		}
		from = entries[len(entries)-1].sequence + 1
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
