// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// leastAppend is what pipelined appends must have of a raw stream's rate, by replicas. With three nodes and a client on two processors
// a service that only forwards, checks nothing and changes nothing has 0.66 to 0.73 at R3.
var leastAppend = map[int]float64{1: 0.7, 3: 0.9}

const (
	appender = 0 // by number, with a room of the same
	// kept messages are read in pages, of which so many are asked for at a time where they are pipelined.
	keptMessages = 20_000
	readers      = 4
)

// history measures what the services cost that stand between a user and the history of a room: beside a stock server to whose stream
// the same client publishes by itself. Stock, and not an account of ours, since that is what would be used without rooms; that
// our own streams are as fast as stock's is measured by throughput. Both clients say the same, over the same TLS, with an id for each message.
func (p *program) history(ctx context.Context) ([]besideRow, error) {
	var rows []besideRow
	for _, replicas := range []int{1, 3} {
		r, err := p.historyOf(ctx, replicas)
		rows = append(rows, r...)
		if err != nil {
			return rows, fmt.Errorf("with %d replicas: %w", replicas, err)
		}
	}
	return rows, nil
}

func (p *program) historyOf(ctx context.Context, replicas int) (rows []besideRow, err error) {
	ours, stock, err := p.both(ctx, fmt.Sprint("history-", replicas), replicas)
	if err != nil {
		return nil, err
	}
	defer ours.end()
	defer stock.end()
	h, err := p.newHistorian(ctx, ours, stock, replicas)
	if err != nil {
		return nil, err
	}
	defer h.close()
	for _, m := range []struct {
		what, other string
		least       float64
		a, b        func(context.Context) (float64, error)
	}{
		{"append, pipelined", "publish by the library", leastAppend[replicas], h.append(publishWindow), h.library},
		{"append, pipelined", "publish by the same client", 0, h.append(publishWindow), h.bare(publishWindow)},
		{"append, one at a time", "publish by the same client", 0, h.append(1), h.bare(1)},
		{"pages, one at a time", "fetch, one at a time", 0, h.pages(1), h.fetches(1)},
		{"pages, several at a time", "fetch, several at a time", 0, h.pages(readers), h.fetches(readers)},
	} {
		if strings.HasPrefix(m.what, "pages") && !h.full {
			if err := h.fill(ctx); err != nil {
				return rows, err
			}
		}
		row, err := p.beside(ctx, fmt.Sprintf("R%d %s", replicas, m.what), m.other, m.least, m.a, m.b)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// historian is a user with a room on our bus, and a client with a stream on stock. Both are connected to the leader of their stream.
type historian struct {
	who    person
	user   *nats.Conn
	raw    *nats.Conn
	rawJS  jetstream.JetStream
	kept   *nats.Conn // of the operator, to see the history's stream
	keptJS jetstream.JetStream
	full   bool
	sent   int
}

const rawStream = "RAW"

func (p *program) newHistorian(ctx context.Context, ours, stock *bus, replicas int) (h *historian, err error) {
	h = &historian{}
	if h.who, err = newPerson(appender); err != nil {
		return nil, err
	}
	if err := p.populate(ctx, ours, class, 1); err != nil {
		return nil, err
	}
	conns, err := p.await(ctx, h.who, ours.nodes[:1])
	if err != nil {
		return nil, err
	}
	h.user = conns[0]
	if h.kept, h.keptJS, err = ours.jetStream(ours.nodes[0]); err != nil {
		return nil, err
	}
	err = until(ctx, "an append", time.Minute, 100*time.Millisecond, func() bool {
		m, err := h.user.Request(v1.AppendSubject(h.who.key, roomID(appender)), payload, time.Second)
		var a v1.AppendAnswer
		return err == nil && json.Unmarshal(m.Data, &a) == nil && a.Error == nil
	})
	if err != nil {
		return nil, err
	}
	if replicas > 1 {
		if err := ours.moveStream(ctx, h.kept, h.keptJS, v1.HistoryStream(class), ours.nodes[0].name); err != nil {
			return nil, err
		}
	}
	// The raw stream is like that of the class, but for what makes a message known to who follows.
	s, err := h.keptJS.Stream(ctx, v1.HistoryStream(class))
	if err != nil {
		return nil, err
	}
	config := s.CachedInfo().Config
	config.Name, config.Subjects, config.RePublish, config.Metadata = rawStream, []string{rawStream + ".>"}, nil, nil
	if h.raw, h.rawJS, err = stock.jetStream(stock.nodes[0]); err != nil {
		return nil, err
	}
	if err := stock.usable(ctx, time.Minute, h.rawJS, config); err != nil {
		return nil, err
	}
	if replicas > 1 {
		return h, stock.moveStream(ctx, h.raw, h.rawJS, rawStream, stock.nodes[0].name)
	}
	return h, nil
}

func (h *historian) close() {
	for _, nc := range []*nats.Conn{h.user, h.raw, h.kept} {
		nc.Close()
	}
}

// rate measures a pump, whose stream is purged afterwards.
func rate(nc *nats.Conn, subject string, window int, js jetstream.JetStream, stream string) func(context.Context) (float64, error) {
	var pu *pump
	return func(ctx context.Context) (float64, error) {
		if pu == nil {
			var err error
			if pu, err = newPump(nc, subject, window, payload); err != nil {
				return 0, err
			}
		}
		begin := time.Now()
		n, err := pu.run(ctx, sample)
		took := time.Since(begin)
		return float64(n) / took.Seconds(), errors.Join(err, purge(ctx, js, stream))
	}
}

func purge(ctx context.Context, js jetstream.JetStream, stream string) error {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	return s.Purge(ctx)
}

func (h *historian) append(window int) func(context.Context) (float64, error) {
	return rate(h.user, v1.AppendSubject(h.who.key, roomID(appender)), window, h.keptJS, v1.HistoryStream(class))
}

func (h *historian) bare(window int) func(context.Context) (float64, error) {
	return rate(h.raw, rawStream+".x", window, h.rawJS, rawStream)
}

// library publishes as an application would that has the stream to itself.
func (h *historian) library(ctx context.Context) (float64, error) {
	begin, sent := time.Now(), 0
	for ; time.Since(begin) < sample; sent++ {
		h.sent++
		m := &nats.Msg{Subject: rawStream + ".x", Data: payload, Header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprint(begun.UnixNano(), "-library-", h.sent)}}}
		if _, err := h.rawJS.PublishMsgAsync(m, patience); err != nil {
			return 0, err
		}
	}
	err := published(ctx, h.rawJS)
	took := time.Since(begin)
	return float64(sent) / took.Seconds(), errors.Join(err, purge(ctx, h.rawJS, rawStream))
}

// fill puts the same number of messages into both.
func (h *historian) fill(ctx context.Context) error {
	for _, to := range []struct {
		nc      *nats.Conn
		subject string
	}{{h.user, v1.AppendSubject(h.who.key, roomID(appender))}, {h.raw, rawStream + ".x"}} {
		pu, err := newPump(to.nc, to.subject, publishWindow, payload)
		if err != nil {
			return err
		}
		for n := 0; n < keptMessages; {
			more, err := pu.run(ctx, sample/3)
			if n += more; err != nil {
				return err
			}
		}
		if err := pu.sub.Unsubscribe(); err != nil {
			return err
		}
	}
	h.full = true
	return nil
}
