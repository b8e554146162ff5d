// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// leastClient is what our client library must have of the rate of nats.go, used by hand for the same.
	leastClient = 0.9
	// hearAhead is how many messages may be on their way to who listens, and hearStep how many of them are taken at a time.
	hearAhead, hearStep = 8192, 512
)

// client measures what our client library costs: beside nats.go, on the same node and by the same user, which says, asks and reads
// the same.
func (p *program) client(ctx context.Context) ([]besideRow, error) {
	b, err := p.newOurs("client", 1)
	if err != nil {
		return nil, err
	}
	defer b.end()
	if _, err := p.cold(ctx, b); err != nil {
		return nil, err
	}
	v, err := p.newVisitor(ctx, b)
	if err != nil {
		return nil, err
	}
	defer v.close()
	var rows []besideRow
	for _, m := range []struct {
		what, other string
		least       float64
		a, b        func(context.Context) (float64, error)
	}{
		{"say", "by nats.go", leastClient, v.say, v.sayByHand},
		{"hear", "by nats.go", leastClient, v.listen(hear(v.live)), v.listen(v.hearByHand)},
		{"append, pipelined", "by nats.go's PublishMsgAsync", leastClient, v.purged(v.append), v.purged(v.appendAsync)},
		// Loops of one's own are told and not judged: they send nothing again, and the second one could not tell which message was refused.
		{"append, pipelined", "by a loop over nats.go that tells answers apart", 0, v.purged(v.append), v.purged(v.appendTold)},
		{"append, pipelined", "by a loop over nats.go that counts answers", 0, v.purged(v.append), v.appendByHand()},
		{"append, one at a time", "by nats.go", leastClient, v.purged(v.one), v.purged(v.oneByHand)},
		{"follow", "by nats.go", leastClient, v.purged(v.follow(hear(v.kept))), v.purged(v.follow(v.followByHand))},
	} {
		row, err := p.beside(ctx, m.what+", by api/client", m.other, m.least, m.a, m.b)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// visitor is a user with the library and with nats.go, in a room that keeps history and in one that keeps none.
type visitor struct {
	who        person
	lib        *client.Client
	raw, other *nats.Conn
	kept, live *client.Room
	operator   *nats.Conn
	js         jetstream.JetStream
	async      jetstream.JetStream // of raw, whose answers it can read: they are a stream's
	refused    atomic.Pointer[error]
	pump       *pump
	told       *pump // of raw
}

func (p *program) newVisitor(ctx context.Context, b *bus) (v *visitor, err error) {
	v = &visitor{}
	if v.who, err = newPerson(appender); err != nil {
		return nil, err
	}
	if err := p.populate(ctx, b, class, 1); err != nil {
		return nil, err
	}
	if err := liveRoom(ctx, b, v.who); err != nil {
		return nil, err
	}
	for _, to := range []**nats.Conn{&v.raw, &v.other} {
		conns, err := p.await(ctx, v.who, b.nodes)
		if err != nil {
			return nil, err
		}
		*to = conns[0]
	}
	if v.lib, err = client.Connect(ctx, client.Options{Servers: []string{b.nodes[0].url}, CAs: p.shop.roots, Key: v.who.pair, MaxPending: publishWindow}); err != nil {
		return nil, err
	}
	err = until(ctx, "both rooms", time.Minute, 100*time.Millisecond, func() bool {
		v.kept, err = v.lib.Room(ctx, roomName(appender))
		if err == nil {
			v.live, err = v.lib.Room(ctx, "live")
		}
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	if v.pump, err = newPump(v.other, v1.AppendSubject(v.who.key, v.kept.ID), publishWindow, payload); err != nil {
		return nil, err
	}
	if v.told, err = newTellingPump(v.raw, v1.AppendSubject(v.who.key, v.kept.ID), publishWindow, payload); err != nil {
		return nil, err
	}
	v.async, err = jetstream.New(v.raw, jetstream.WithPublishAsyncMaxPending(publishWindow),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { v.refused.CompareAndSwap(nil, &err) }))
	if err != nil {
		return nil, err
	}
	v.operator, v.js, err = b.jetStream(b.nodes[0])
	return v, err
}

// liveRoom makes a room that keeps nothing.
func liveRoom(ctx context.Context, b *bus, who person) error {
	nc, js, err := b.store()
	if err != nil {
		return err
	}
	defer nc.Close()
	s, err := newStore(js)
	if err != nil {
		return err
	}
	if _, err := s.CreateRoom(ctx, "live", ""); err != nil {
		return err
	}
	_, err = s.PutMember(ctx, "live", who.key, v1.RoleMember, 0)
	return err
}

func (v *visitor) close() {
	v.lib.Close()
	for _, nc := range []*nats.Conn{v.raw, v.other, v.operator} {
		nc.Close()
	}
}

func (v *visitor) purged(measure func(context.Context) (float64, error)) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		n, err := measure(ctx)
		return n, errors.Join(err, purge(ctx, v.js, v1.HistoryStream(class)))
	}
}

// forAWhile repeats do, and returns how often it was done in a second when end has returned.
func forAWhile(do, end func() error) (float64, error) {
	begin, n := time.Now(), 0
	for ; n%64 != 0 || time.Since(begin) < sample; n++ {
		if err := do(); err != nil {
			return 0, err
		}
	}
	err := end()
	return float64(n) / time.Since(begin).Seconds(), err
}

func (v *visitor) say(ctx context.Context) (float64, error) {
	return forAWhile(func() error {
		return v.live.PublishAsync(ctx, client.Message{Data: payload}, func(client.Receipt, error) {})
	},
		func() error { return v.lib.Flush(ctx) })
}

func (v *visitor) sayByHand(context.Context) (float64, error) {
	subject := v1.RoomSubject(v.live.ID, v.who.key, v1.SubjectMessage)
	return forAWhile(func() error { return v.raw.Publish(subject, payload) }, func() error { return v.raw.FlushTimeout(10 * time.Second) })
}

// listen lets another connection speak for a while, and measures how many messages a second are taken. take returns what takes
// one, and what ends that.
func (v *visitor) listen(take func(context.Context) (one func() error, end func(), err error)) func(context.Context) (float64, error) {
	subject := v1.RoomSubject(v.live.ID, v.who.key, v1.SubjectMessage)
	return func(ctx context.Context) (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		one, end, err := take(ctx)
		if err != nil {
			return 0, err
		}
		defer end()
		begin, sent, taken := time.Now(), 0, 0
		for {
			for over := time.Since(begin) >= sample; !over && sent-taken < hearAhead; sent++ {
				if err := v.other.Publish(subject, payload); err != nil {
					return 0, err
				}
			}
			if sent == taken {
				break
			}
			for range min(hearStep, sent-taken) {
				if err := one(); err != nil {
					return 0, err
				}
				taken++
			}
		}
		return float64(taken) / time.Since(begin).Seconds(), nil
	}
}

// hear takes what is said in a room, or kept of it, by the library.
func hear(room *client.Room) func(context.Context) (one func() error, end func(), err error) {
	return func(ctx context.Context) (func() error, func(), error) {
		sub, err := room.Subscribe(ctx, client.StartNow())
		if err != nil {
			return nil, nil, err
		}
		return func() error {
			_, err := sub.Next(ctx)
			return err
		}, sub.Close, nil
	}
}

func (v *visitor) hearByHand(ctx context.Context) (one func() error, end func(), err error) {
	return v.byHand(ctx, v1.RoomSubject(v.live.ID, "*", v1.SubjectMessage))
}

func (v *visitor) byHand(ctx context.Context, subject string) (one func() error, end func(), err error) {
	sub, err := v.raw.SubscribeSync(subject)
	if err != nil {
		return nil, nil, err
	}
	return func() error {
		_, err := sub.NextMsgWithContext(ctx)
		return err
	}, func() { _ = sub.Unsubscribe() }, v.raw.FlushTimeout(10 * time.Second)
}

func (v *visitor) append(ctx context.Context) (float64, error) {
	failed := make(chan error, 1)
	done := func(_ client.Receipt, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	rate, err := forAWhile(func() error { return v.kept.PublishAsync(ctx, client.Message{Data: payload}, done) }, func() error { return v.lib.Flush(ctx) })
	select {
	case first := <-failed:
		err = errors.Join(err, first)
	default:
	}
	return rate, err
}

func (v *visitor) appendByHand() func(context.Context) (float64, error) {
	return rate(v.raw, v1.AppendSubject(v.who.key, roomID(appender)), publishWindow, v.js, v1.HistoryStream(class))
}

// appendTold is what the library does at least: each message has an answer of its own.
func (v *visitor) appendTold(ctx context.Context) (float64, error) {
	begin := time.Now()
	n, err := v.told.run(ctx, sample)
	return float64(n) / time.Since(begin).Seconds(), err
}

func (v *visitor) appendAsync(ctx context.Context) (float64, error) {
	n := 0
	rate, err := forAWhile(func() error {
		n++
		_, err := v.async.PublishMsgAsync(&nats.Msg{Subject: v1.AppendSubject(v.who.key, v.kept.ID), Data: payload, Header: nats.Header{
			v1.HeaderMessageID: {strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(n)}}}, patience)
		return err
	}, func() error { return published(ctx, v.async) })
	if first := v.refused.Load(); first != nil {
		err = errors.Join(err, *first)
	}
	return rate, err
}

func (v *visitor) one(ctx context.Context) (float64, error) {
	return forAWhile(func() error {
		_, err := v.kept.Publish(ctx, client.Message{Data: payload})
		return err
	}, func() error { return nil })
}

func (v *visitor) oneByHand(ctx context.Context) (float64, error) {
	n := 0
	return forAWhile(func() error {
		n++
		m := &nats.Msg{Subject: v1.AppendSubject(v.who.key, v.kept.ID), Data: payload, Header: nats.Header{
			v1.HeaderMessageID: {strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(n)}}}
		r, err := v.raw.RequestMsgWithContext(ctx, m)
		if err != nil {
			return err
		}
		var a v1.AppendAnswer
		if err := json.Unmarshal(r.Data, &a); err != nil || a.Error != nil || a.Sequence == 0 {
			return fmt.Errorf("an append was answered %q: %w", r.Data, err)
		}
		return nil
	}, func() error { return nil })
}

// follow lets another connection append for a while, and measures how many messages a second are followed.
func (v *visitor) follow(take func(context.Context) (one func() error, end func(), err error)) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		one, end, err := take(ctx)
		if err != nil {
			return 0, err
		}
		defer end()
		var taken atomic.Int64
		var group sync.WaitGroup
		defer group.Wait()
		defer cancel()
		group.Go(func() {
			for one() == nil { // what is missing in the end tells
				taken.Add(1)
			}
		})
		begin := time.Now()
		n, err := v.pump.run(ctx, sample)
		if err == nil {
			err = until(ctx, "all that was appended is followed", time.Minute, time.Millisecond, func() bool { return taken.Load() == int64(n) })
		}
		return float64(n) / time.Since(begin).Seconds(), err
	}
}

func (v *visitor) followByHand(ctx context.Context) (one func() error, end func(), err error) {
	return v.byHand(ctx, v1.LogSubject(v.kept.ID))
}
