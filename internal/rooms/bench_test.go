// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// window is how many messages a pipelined client has in flight.
const window = 512

func benchClass() v1.Class {
	return v1.Class{Name: "bench", MaxBytes: 256 << 20, MaxMessagesPerRoom: 1 << 40, MaxMessageBytes: 64 << 10, Full: v1.FullRolls}
}

// history connects to the history account over the network, as a client of a raw stream would.
func (b *bus) history() *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect(b.nodes[0].ClientURL(), nats.UserInfo(embeddednats.AccountHistory, secret))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

// pump sends b.N messages with an id each to a subject, so many in flight, and counts the answers.
func pump(b *testing.B, nc *nats.Conn, subject string, inFlight int) {
	b.Helper()
	inbox := nc.NewInbox()
	answered := make(chan struct{}, inFlight)
	failed := make(chan string, 1)
	sub, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		if !bytes.Contains(m.Data, []byte(`"seq`)) {
			select {
			case failed <- fmt.Sprintf("%q %v", m.Data, m.Header):
			default:
			}
		}
		answered <- struct{}{}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Unsubscribe()
	m := &nats.Msg{Subject: subject, Reply: inbox, Data: make([]byte, 128), Header: nats.Header{}}
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	sent, done := 0, 0
	for done < b.N {
		for sent < b.N && sent-done < inFlight {
			m.Header[v1.HeaderMessageID] = []string{run + strconv.Itoa(sent)}
			if err := nc.PublishMsg(m); err != nil {
				b.Fatal(err)
			}
			sent++
		}
		select {
		case <-answered:
			done++
		case <-time.After(30 * time.Second):
			b.Fatalf("%d of %d are answered", done, sent)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
	select {
	case why := <-failed:
		b.Fatal(why)
	default:
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// cpuTime is what the process has used. Client and nodes share it, so that it says what a message costs even on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pumpLibrary is pump by the client library's own asynchronous publish.
func pumpLibrary(b *testing.B, nc *nats.Conn, subject string) {
	b.Helper()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(window))
	if err != nil {
		b.Fatal(err)
	}
	run, data := strconv.FormatInt(time.Now().UnixNano(), 36), make([]byte, 128)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for i := range b.N {
		m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{v1.HeaderMessageID: {run + strconv.Itoa(i)}}}
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(10*time.Second)); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(30 * time.Second):
		b.Fatal("not complete")
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 3} {
		bus := newBus(b, n, benchClass(), nil)
		leader, others := bus.leader()
		bus.nodes = append(bus.nodes[:0:0], leader)
		bus.nodes = append(bus.nodes, others...) // clients are at the leader, for both the same
		kept := v1.HistoryKept(bus.class.Name, red)
		name := func(what string) string { return fmt.Sprintf("R%d/%s", n, what) }
		b.Run(name("pipelined/library"), func(b *testing.B) { pumpLibrary(b, bus.history(), kept) })
		b.Run(name("pipelined/raw"), func(b *testing.B) { pump(b, bus.history(), kept, window) })
		b.Run(name("pipelined/service"), func(b *testing.B) { pump(b, bus.client(alice).Conn, v1.AppendSubject(alice, red), window) })
		b.Run(name("single/raw"), func(b *testing.B) { pump(b, bus.history(), kept, 1) })
		b.Run(name("single/service"), func(b *testing.B) { pump(b, bus.client(alice).Conn, v1.AppendSubject(alice, red), 1) })
	}
}

// BenchmarkHistory reads pages of 1000 messages of a room that has every second message of the stream: by the service, by a direct get
// of the stream, and by a consumer.
func BenchmarkHistory(b *testing.B) {
	bus := newBus(b, 1, benchClass(), nil)
	c := bus.client(alice)
	for i := range 20_000 {
		room := red
		if i%2 == 1 {
			room = blue
		}
		if err := c.PublishRequest(v1.AppendSubject(alice, room), v1.InboxPrefix(alice)+".none", make([]byte, 128)); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 { // as many as may be in flight
			bus.within("appends", func() bool { return bus.services[0].Counts().Requests["append"][OutcomeOK] == uint64(i+1) })
		}
	}
	perMessage := func(b *testing.B) {
		b.ReportMetric(float64(b.N)*v1.MaxPage/b.Elapsed().Seconds(), "msgs/s")
	}
	nc := bus.history()
	b.Run("direct", func(b *testing.B) {
		for range b.N {
			d, err := openDirect(nc, bus.class.Name, red)
			if err != nil {
				b.Fatal(err)
			}
			if m, _, err := d.get(context.Background(), question{Seq: 1000, Next: d.kept, Batch: v1.MaxPage}); err != nil || len(m) != v1.MaxPage {
				b.Fatal(len(m), err)
			}
			d.close()
		}
		perMessage(b)
	})
	b.Run("fetch", func(b *testing.B) {
		js, err := jetstream.New(nc)
		if err != nil {
			b.Fatal(err)
		}
		cons, err := js.CreateConsumer(b.Context(), v1.HistoryStream(bus.class.Name), jetstream.ConsumerConfig{
			FilterSubject: v1.HistoryKept(bus.class.Name, red), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for i := range b.N {
			if i%10 == 0 && i > 0 { // read to the end
				b.StopTimer()
				cons, err = js.CreateConsumer(b.Context(), v1.HistoryStream(bus.class.Name), jetstream.ConsumerConfig{
					FilterSubject: v1.HistoryKept(bus.class.Name, red), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			batch, err := cons.Fetch(v1.MaxPage)
			if err != nil {
				b.Fatal(err)
			}
			got := 0
			for range batch.Messages() {
				got++
			}
			if got != v1.MaxPage {
				b.Fatal(got, batch.Error())
			}
		}
		perMessage(b)
	})
	read := func(r v1.HistoryRequest) func(*testing.B) {
		body, err := json.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		return func(b *testing.B) {
			for range b.N {
				if m, end, err := c.tryHistory(red, body); err != nil || end.Error != nil || len(m) != v1.MaxPage {
					b.Fatal(len(m), end, err)
				}
			}
			perMessage(b)
		}
	}
	b.Run("service", read(v1.HistoryRequest{From: 1000}))
	b.Run("service/last", read(v1.HistoryRequest{Last: v1.MaxPage}))
}
