// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	publishWindow = 256                    // publishes in flight
	payloadSize   = 128                    // bytes
	sample        = 300 * time.Millisecond // how long one measurement publishes
	fetchMessages = 50_000
	fetchBatch    = 1000
)

var (
	payload = make([]byte, payloadSize)
	// patience is how long a publish may wait for room in the window; the client's own 200 ms are too few on a busy machine.
	patience = jetstream.WithStallWait(30 * time.Second)
)

// workload measures one thing on one bus, again and again.
type workload struct {
	name string
	// prepare is called once and returns what measures a rate in messages per second.
	prepare func(ctx context.Context, b *bus) (rate func(ctx context.Context) (float64, error), err error)
}

// workloads on a lone server and on a cluster of three.
var (
	loneWorkloads = []workload{
		{"core publish, subscribe", core},
		{"R1 publish", publish(1)},
		{"R1 fetch", fetch(1)},
	}
	clusterWorkloads = []workload{
		{"R3 publish", publish(3)},
		{"R3 fetch", fetch(3)},
	}
)

// core publishes on one connection and receives on another.
func core(_ context.Context, b *bus) (func(context.Context) (float64, error), error) {
	from, err := b.connect(accountData, b.nodes[0])
	if err != nil {
		return nil, err
	}
	to, err := b.connect(accountData, b.nodes[0])
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (float64, error) {
		// A server drops a subscriber that lags too far behind: so many bursts may be under way, for both kinds alike.
		const burst = 100
		var got atomic.Int64
		window := make(chan struct{}, 200)
		sub, err := to.Subscribe("bench.core", func(*nats.Msg) {
			if got.Add(1)%burst == 0 {
				<-window
			}
		})
		if err != nil {
			return 0, err
		}
		defer sub.Unsubscribe()
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			return 0, err
		}
		if err := to.Flush(); err != nil {
			return 0, err
		}
		begin, sent := time.Now(), int64(0)
		for time.Since(begin) < sample {
			window <- struct{}{}
			for range burst {
				if err := from.Publish("bench.core", payload); err != nil {
					return 0, err
				}
			}
			sent += burst
		}
		err = until(ctx, "messages received", 30*time.Second, time.Millisecond, func() bool { return got.Load() == sent })
		return float64(sent) / time.Since(begin).Seconds(), err
	}, nil
}

// place makes a stream whose leader is the first node, and connects to that node.
func place(ctx context.Context, b *bus, name string, replicas int) (*nats.Conn, jetstream.JetStream, error) {
	nc, js, err := b.jetStream(b.nodes[0])
	if err != nil {
		return nil, nil, err
	}
	config := jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Replicas: replicas, MaxBytes: 1 << 30}
	if err := b.usable(ctx, time.Minute, js, config); err != nil {
		return nil, nil, err
	}
	if replicas == 1 {
		return nc, js, nil
	}
	return nc, js, b.moveStream(ctx, nc, js, name, b.nodes[0].name)
}

// publish measures asynchronous publishes, acknowledged by the stream.
func publish(replicas int) func(context.Context, *bus) (func(context.Context) (float64, error), error) {
	return func(ctx context.Context, b *bus) (func(context.Context) (float64, error), error) {
		name := fmt.Sprint("P", replicas)
		_, js, err := place(ctx, b, name, replicas)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (float64, error) {
			s, err := js.Stream(ctx, name)
			if err != nil {
				return 0, err
			}
			begin := time.Now()
			sent, err := publishFor(ctx, js, name+".x", sample)
			if err != nil {
				return 0, err
			}
			rate := float64(sent) / time.Since(begin).Seconds()
			return rate, s.Purge(ctx)
		}, nil
	}
}

func publishFor(ctx context.Context, js jetstream.JetStream, subject string, d time.Duration) (sent int, err error) {
	for begin := time.Now(); time.Since(begin) < d; sent++ {
		if _, err := js.PublishAsync(subject, payload, patience); err != nil {
			return sent, err
		}
	}
	return sent, published(ctx, js)
}

// published waits until nothing is in flight.
func published(ctx context.Context, js jetstream.JetStream) error {
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Second):
		return fmt.Errorf("%w: %d publishes without an answer", errGivenUp, js.PublishAsyncPending())
	}
}

// fetch measures reading a filled stream from its beginning, by a pull consumer on the node that the client is connected to.
func fetch(replicas int) func(context.Context, *bus) (func(context.Context) (float64, error), error) {
	return func(ctx context.Context, b *bus) (func(context.Context) (float64, error), error) {
		name := fmt.Sprint("F", replicas)
		_, js, err := place(ctx, b, name, replicas)
		if err != nil {
			return nil, err
		}
		for range fetchMessages {
			if _, err := js.PublishAsync(name+".x", payload, patience); err != nil {
				return nil, err
			}
		}
		if err := published(ctx, js); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (float64, error) {
			c, err := consumerOn(ctx, js, name, b.nodes[0].name)
			if err != nil {
				return 0, err
			}
			begin, got := time.Now(), 0
			for got < fetchMessages {
				batch, err := c.Fetch(fetchBatch, jetstream.FetchMaxWait(5*time.Second))
				if err != nil {
					return 0, err
				}
				for range batch.Messages() {
					got++
				}
				if batch.Error() != nil {
					return 0, batch.Error()
				}
			}
			rate := float64(got) / time.Since(begin).Seconds()
			return rate, js.DeleteConsumer(ctx, name, c.CachedInfo().Name)
		}, nil
	}
}

// consumerOn makes a consumer on a node: where one is put is drawn by the server, so it is tried again.
func consumerOn(ctx context.Context, js jetstream.JetStream, stream, node string) (jetstream.Consumer, error) {
	for range 50 {
		c, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute})
		if err != nil {
			return nil, err
		}
		if cl := c.CachedInfo().Cluster; cl == nil || cl.Leader == node {
			return c, nil
		}
		if err := js.DeleteConsumer(ctx, stream, c.CachedInfo().Name); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: no consumer of %s on %s in 50 attempts", errGivenUp, stream, node)
}
