// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// What JetStream tells in headers of direct gets.
const (
	headerStatus   = "Status"
	headerSequence = "Nats-Sequence"
	headerTime     = "Nats-Time-Stamp"
	headerPending  = "Nats-Num-Pending"
	statusEnd      = "204"
	statusNone     = "404"
	// codeNoMessage is what the leader says when there is none.
	codeNoMessage = 10037
	// oneGet is how long a request to a stream waits: one that was sent to a server which is gone is never answered.
	oneGet = time.Second
)

// direct reads the messages of one room. Any replica answers, and it may not have the newest yet; whatever it has, it has all of
// that up to some sequence, as a stream loses its oldest messages only.
type direct struct {
	nc           *nats.Conn
	sub          *nats.Subscription
	inbox        string
	asked        uint64
	stream, kept string
}

// question is the body of a direct get, and of a get from the leader.
type question struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	Next      string     `json:"next_by_subj,omitempty"`
	Last      string     `json:"last_by_subj,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
}

func openDirect(nc *nats.Conn, class, room string) (*direct, error) {
	d := &direct{nc: nc, inbox: nc.NewInbox() + ".", stream: v1.HistoryStream(class), kept: v1.HistoryKept(class, room)}
	var err error
	if d.sub, err = nc.SubscribeSync(d.inbox + "*"); err != nil {
		return nil, fmt.Errorf("subscribe to answers of stream %s: %w", d.stream, err)
	}
	return d, nil
}

func (d *direct) close() { _ = d.sub.Unsubscribe() }

// get returns messages of the room, and how many it had after the last of them. Without a batch it is one message.
func (d *direct) get(ctx context.Context, q question) (messages []*nats.Msg, pending uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, oneGet)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, 0, err
	}
	d.asked++ // answers to an earlier question may still come
	reply := d.inbox + strconv.FormatUint(d.asked, 10)
	if err := d.nc.PublishRequest("$JS.API.DIRECT.GET."+d.stream, reply, body); err != nil {
		return nil, 0, err
	}
	for {
		m, err := d.sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, 0, fmt.Errorf("direct get from %s: %w", d.stream, err)
		}
		if m.Subject != reply {
			continue
		}
		switch status := m.Header.Get(headerStatus); status {
		case "":
			messages = append(messages, m)
			if q.Batch == 0 {
				return messages, 0, nil
			}
		case statusEnd:
			pending, err = strconv.ParseUint(m.Header.Get(headerPending), 10, 64)
			return messages, pending, err
		case statusNone:
			return nil, 0, nil
		default:
			return nil, 0, fmt.Errorf("direct get from %s: status %s", d.stream, status)
		}
	}
}

func sequenceOf(m *nats.Msg, header string) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(header), 10, 64) // the server writes it
	return n
}

// last returns the sequence of the room's newest message, 0 for none.
func (d *direct) last(ctx context.Context) (uint64, error) {
	messages, _, err := d.get(ctx, question{Last: d.kept})
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	return sequenceOf(messages[0], headerSequence), nil
}

// probe returns the first message at or after a sequence, and how many there are from there on.
func (d *direct) probe(ctx context.Context, from uint64) (first, count uint64, err error) {
	messages, pending, err := d.get(ctx, question{Seq: from, Next: d.kept, Batch: 1})
	if err != nil || len(messages) == 0 {
		return 0, 0, err
	}
	// The count of the message itself is of when the request came; the end's is later, if something was appended.
	return sequenceOf(messages[0], headerSequence), pending + 1, nil
}

// lastStart returns a sequence from which on the room had n messages, or all if it has fewer, at some moment of the search. Messages
// that come or go meanwhile shift the counts, never the bounds, so that it ends.
func (d *direct) lastStart(ctx context.Context, n uint64) (uint64, error) {
	first, count, err := d.probe(ctx, 1)
	if err != nil || count <= n {
		return max(first, 1), err
	}
	newest, err := d.last(ctx)
	if err != nil {
		return 0, err
	}
	low, high := first+1, newest // more than n from low-1 on, fewer than n after high
	for low < high {
		at, count, err := d.probe(ctx, low+(high-low)/2)
		switch {
		case err != nil:
			return 0, err
		case count > n:
			low = at + 1
		case count == n:
			return at, nil
		default:
			high = low + (high-low)/2
		}
	}
	return low, nil
}

// errNotKnown is told when not even the leader has seen a sequence.
var errNotKnown = errors.New("the stream has no such sequence yet")

// lags asks the leader about a sequence that an answer does not show. It is false if the room has nothing from there on: what was
// there is gone, and so is all that was before. It fails with errNotKnown when the leader has not seen the sequence.
func (d *direct) lags(ctx context.Context, sequence uint64) (bool, error) {
	var found struct {
		Error *struct {
			Code int `json:"err_code"`
		} `json:"error"`
	}
	if err := d.ask(ctx, "$JS.API.STREAM.MSG.GET.", question{Seq: sequence, Next: d.kept}, &found); err != nil {
		return false, err
	}
	if found.Error == nil {
		return true, nil
	}
	if found.Error.Code != codeNoMessage {
		return false, fmt.Errorf("get from the leader of %s: error %d", d.stream, found.Error.Code)
	}
	var info struct {
		State struct {
			Last uint64 `json:"last_seq"`
		} `json:"state"`
	}
	if err := d.ask(ctx, "$JS.API.STREAM.INFO.", struct{}{}, &info); err != nil {
		return false, err
	}
	if info.State.Last < sequence {
		return false, errNotKnown
	}
	return false, nil
}

// ask sends a request to the stream's leader.
func (d *direct) ask(ctx context.Context, subject string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, oneGet)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	m, err := d.nc.RequestWithContext(ctx, subject+d.stream, data)
	if err != nil {
		return fmt.Errorf("ask the leader of %s: %w", d.stream, err)
	}
	return json.Unmarshal(m.Data, answer)
}
