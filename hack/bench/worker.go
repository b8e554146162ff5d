// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// workerPart is the argument that makes this program a process of clients, which the others start.
const workerPart = "worker"

// task is what a worker does until its standard input ends.
type task struct {
	// URLs are the nodes, in the order in which a client tries them. A flood has connections to each.
	URLs []string
	CA   string
	// Clients are persons by number, from the first to before the last, who connect, subscribe to their rooms, and come back as the library does.
	First, Last int
	// Flood makes the first person publish as fast as it can, to the room of its number: live by each node, and to its history by the first.
	Flood bool
	// Appends is how many of the flood's appends are in flight, 0 for none.
	Appends int
	// Payload is the size of the flood's messages in bytes.
	Payload int
}

// tally is what a worker says of itself, again and again.
type tally struct {
	Connected int64 // now
	Lost      int64 // connections that ended
	Returned  int64 // connections that came back
	Refused   int64 // attempts that failed, but for lost ones that came back by themselves
	Live      int64 // messages published
	Appended  int64 // messages kept
	Turned    int64 // messages refused
}

// worker is the process's own side.
type worker struct {
	task
	roots *x509.CertPool
	mu    sync.Mutex
	tally
}

// work is the whole program of a worker.
func work(text string) error {
	w := &worker{roots: x509.NewCertPool()}
	if err := json.Unmarshal([]byte(text), &w.task); err != nil {
		return err
	}
	ca, err := os.ReadFile(w.CA)
	if err != nil {
		return err
	}
	w.roots.AppendCertsFromPEM(ca)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); stop() }() // the parent closes it, by its own end at the latest
	if w.Flood {
		if err := w.flood(ctx); err != nil {
			return err
		}
	} else {
		if err := yield(); err != nil {
			return err
		}
		go w.gather(ctx)
	}
	out := json.NewEncoder(os.Stdout)
	for ; ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		w.mu.Lock()
		t := w.tally
		w.mu.Unlock()
		if err := out.Encode(t); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) add(field *int64, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*field += n
}

// atOnce are those who are load, and not what is measured.
var atOnce = []nats.Option{nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(0, 0)}

// cheap has a client do without the key exchange that costs most. Thousands of clients have processors of their own, but not here.
func cheap(o *nats.Options) error {
	o.TLSConfig.CurvePreferences = []tls.CurveID{tls.X25519}
	return nil
}

// yield makes this process one that takes little from the nodes beside it.
func yield() error {
	debug.SetGCPercent(400)
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, yielding); err != nil {
		return fmt.Errorf("make the crowd nice: %w", err)
	}
	return nil
}

// yielding is the niceness of a crowd.
const yielding = 5

// connect leaves it to the library how long a client waits before it comes back, unless the options say so.
func (w *worker) connect(who person, urls []string, opts ...nats.Option) (*nats.Conn, error) {
	opts = append(append(who.options(), nats.Secure(trust(w.roots)), nats.DontRandomize(), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort()), opts...)
	return nats.Connect(strings.Join(urls, ","), opts...)
}

// gather connects all clients, a few at a time.
func (w *worker) gather(ctx context.Context) {
	numbers := make(chan int)
	for range 8 {
		go func() {
			for i := range numbers {
				for !w.join(i) && ctx.Err() == nil {
					w.add(&w.Refused, 1)
					pause(ctx, 50*time.Millisecond)
				}
			}
		}()
	}
	for i := w.First; i < w.Last; i++ {
		numbers <- i
	}
}

func (w *worker) join(number int) bool {
	who, err := newPerson(number)
	if err != nil {
		return false
	}
	urls := append([]string(nil), w.URLs...)
	if n := len(urls); n > 2 && number%2 == 1 {
		urls[n-1], urls[n-2] = urls[n-2], urls[n-1] // half of them flee to another
	}
	nc, err := w.connect(who, urls, cheap, nats.SetCustomDialer(from(number)),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { w.add(&w.Connected, -1); w.add(&w.Lost, 1) }),
		nats.ReconnectHandler(func(*nats.Conn) { w.add(&w.Connected, 1); w.add(&w.Returned, 1) }))
	if err != nil {
		return false
	}
	w.add(&w.Connected, 1)
	if nc.ConnectedUrl() != urls[0] { // all of them begin at the same node
		nc.Close()
		return false
	}
	_, err = nc.Subscribe(v1.RoomSubjects(roomID(number)), func(*nats.Msg) {})
	return err == nil
}

// floodWindow is how many messages of a flood are on their way, by each node. Without a bound it would be the machine's two processors,
// and not a user beside others, that is measured.
const floodWindow = 1000

// flood publishes as fast as the same process hears it.
func (w *worker) flood(ctx context.Context) error {
	who, err := newPerson(w.First)
	if err != nil {
		return err
	}
	room, data := roomID(w.First), make([]byte, w.Payload)
	for i, url := range w.URLs {
		subject, onTheirWay := v1.RoomSubject(room, who.key, fmt.Sprint("flood-", i)), make(chan struct{}, floodWindow)
		from, err := w.connect(who, []string{url}, atOnce...)
		if err != nil {
			return err
		}
		to, err := w.connect(who, []string{url}, atOnce...)
		if err != nil {
			return err
		}
		w.add(&w.Connected, 2)
		heard := func(m *nats.Msg) {
			if m.Subject == subject {
				give(onTheirWay)
			}
		}
		if _, err := to.Subscribe(v1.RoomSubjects(room), heard); err != nil {
			return err
		}
		go func() {
			for ctx.Err() == nil {
				take(onTheirWay)
				if from.Publish(subject, data) != nil { // it is away, and its buffer is full
					give(onTheirWay)
					pause(ctx, time.Millisecond)
					continue
				}
				w.add(&w.Live, 1)
			}
		}()
	}
	if w.Appends == 0 {
		return nil
	}
	nc, err := w.connect(who, w.URLs[:1], atOnce...)
	if err != nil {
		return err
	}
	w.add(&w.Connected, 1)
	go func() {
		for ctx.Err() == nil {
			if err := w.append(ctx, nc, v1.AppendSubject(who.key, room), data); ctx.Err() == nil {
				slog.Warn("appends begin anew", "error", err)
			}
		}
	}()
	return nil
}

// take waits for a place among the messages on their way. What was lost with a connection, or to one that is slow, gives none back: after a
// second in which nothing else did either, all begin anew.
func take(places chan struct{}) {
	select {
	case places <- struct{}{}:
		return
	default:
	}
	select {
	case places <- struct{}{}:
	case <-time.After(time.Second):
		for range cap(places) {
			give(places)
		}
	}
}

// give gives a place back. One that was given up meanwhile is there already.
func give(places chan struct{}) {
	select {
	case <-places:
	default:
	}
}

// append appends until the context ends or messages are not answered any more.
func (w *worker) append(ctx context.Context, nc *nats.Conn, subject string, data []byte) error {
	p, err := newPump(nc, subject, w.Appends, data)
	if err != nil {
		return err
	}
	defer p.sub.Unsubscribe()
	p.lenient = true
	for {
		n, err := p.run(ctx, time.Second)
		bad := p.refused.Swap(0)
		w.add(&w.Appended, max(0, int64(n)-bad))
		w.add(&w.Turned, bad)
		if err != nil {
			return err
		}
	}
}

// hand is the parent's side of a worker.
type hand struct {
	cmd    *exec.Cmd
	in     io.Closer
	latest atomic.Pointer[tally]
	ended  chan struct{}
}

// hire starts a worker. It ends with the bench, or when it is let go.
func (p *program) hire(t task) (*hand, error) {
	t.CA = p.shop.files.CA
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &hand{cmd: exec.Command(self, workerPart, string(text)), ended: make(chan struct{})}
	h.latest.Store(&tally{})
	h.cmd.Stderr = os.Stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	go func() {
		defer close(h.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if t := new(tally); json.Unmarshal(lines.Bytes(), t) == nil {
				h.latest.Store(t)
			}
		}
		_ = h.cmd.Wait() // how it ended it has said
	}()
	return h, nil
}

// release ends workers.
func release(hands ...*hand) {
	for _, h := range hands {
		h.in.Close()
	}
	for _, h := range hands {
		select {
		case <-h.ended:
		case <-time.After(10 * time.Second):
			_ = h.cmd.Process.Kill()
			<-h.ended
		}
	}
}

// sum adds up what workers said last.
func sum(hands []*hand) (s tally) {
	for _, h := range hands {
		t := h.latest.Load()
		s.Connected, s.Lost, s.Returned, s.Refused = s.Connected+t.Connected, s.Lost+t.Lost, s.Returned+t.Returned, s.Refused+t.Refused
		s.Live, s.Appended = s.Live+t.Live, s.Appended+t.Appended
		s.Turned += t.Turned
	}
	return s
}
