// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// scanWindow is how many requests are in flight: enough to keep the leader busy, few enough not to starve writers.
	scanWindow = 128
	// scanRetry is when a request without an answer is sent again.
	scanRetry = 2 * time.Second
	// errNoMessage is JetStream's code for a sequence without a message.
	errNoMessage = 10037
)

// scan reads the sequences from..to one by one with STREAM.MSG.GET, which only the leader answers.
func scan(ctx context.Context, nc *nats.Conn, s Stream, from, to uint64) (reading, error) {
	r := reading{at: time.Now(), from: from, found: map[uint64]string{}}
	inbox := nats.NewInbox()
	answers := make(chan *nats.Msg, 2*scanWindow)
	sub, err := nc.ChanSubscribe(inbox+".*", answers)
	if err != nil {
		return r, fmt.Errorf("subscribe for answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	ask := func(seq uint64) error {
		b := strconv.AppendUint([]byte(`{"seq":`), seq, 10)
		return nc.PublishRequest("$JS.API.STREAM.MSG.GET."+s.Name, fmt.Sprintf("%s.%d", inbox, seq), append(b, '}'))
	}
	pending := map[uint64]time.Time{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for next := from; next <= to || len(pending) > 0; {
		for ; next <= to && len(pending) < scanWindow; next++ {
			pending[next] = time.Now()
			if err := ask(next); err != nil {
				return r, fmt.Errorf("ask for sequence %d: %w", next, err)
			}
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("read sequences %d to %d of %s: %d without an answer: %w", from, to, s.Name, len(pending), ctx.Err())
		case m := <-answers:
			seq, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 10, 64)
			if _, asked := pending[seq]; err != nil || !asked {
				continue
			}
			name, ok, err := stored(m)
			if err != nil {
				continue // no leader at this instant: asked again later
			}
			delete(pending, seq)
			if ok {
				r.found[seq] = name
			}
		case <-tick.C:
			for seq, at := range pending {
				if time.Since(at) > scanRetry {
					pending[seq] = time.Now()
					if err := ask(seq); err != nil {
						return r, fmt.Errorf("ask again for sequence %d: %w", seq, err)
					}
				}
			}
		}
	}
	return r, nil
}

// stored decodes an answer of STREAM.MSG.GET: the message's id, or that there is none.
func stored(m *nats.Msg) (name string, ok bool, err error) {
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Header []byte `json:"hdrs"`
			Data   []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return "", false, fmt.Errorf("decode message: %w", err)
	}
	if a.Error != nil {
		if a.Error.ErrorCode == errNoMessage {
			return "", false, nil
		}
		return "", false, a.Error
	}
	h, err := nats.DecodeHeadersMsg(a.Message.Header)
	if err != nil {
		return "damaged header", true, nil
	}
	return identify(h, a.Message.Data), true, nil
}
