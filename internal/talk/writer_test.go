// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
)

// records is how many messages a ledger has, 0 while there is none.
func records(path string) int {
	l, err := readLedger(path)
	if err != nil {
		return 0
	}
	return len(l.records)
}

// TestWriterIsKilled: a writer that is killed again and again goes on where it was; nothing is missing, twice or out of order.
func TestWriterIsKilled(t *testing.T) {
	b := mustBus(t)
	path := b.file("ledger")
	for n := range 5 {
		before := records(path)
		c := exec.Command(os.Args[0], "writer", "kitchen", "--ledger", path, "--rate", "0")
		c.Env = append(os.Environ(), commandEnv+"=1")
		var said bytes.Buffer
		c.Stdout, c.Stderr = &said, &said
		b.must(c.Start())
		written := natstest.Until(natstest.Patience, func() bool { return records(path) >= before+50+7*n })
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()         // it was killed
		if !written {
			t.Fatalf("the writer writes nothing: %s", said.String())
		}
	}
	// A line that was half written, and a message whose line was not written at all.
	content, err := os.ReadFile(path)
	b.must(err)
	whole := bytes.LastIndexByte(bytes.TrimRight(content, "\n"), '\n') + 1
	b.must(os.WriteFile(path, append(content[:whole:whole], "{"+strings.Repeat("x", 4096)...), 0o600))
	killed := records(path)
	out := mustRun(t, "writer", "kitchen", "--ledger", path, "--rate", "0", "--count", fmt.Sprint(killed+20), "-o", "json")
	var sum writerSum
	b.must(json.Unmarshal([]byte(out), &sum))
	if sum.Total != uint64(killed+20) || sum.Written != 19 || sum.Last == 0 {
		t.Errorf("%d were in the ledger, one more in the room; then 20 were to be: %+v", killed, sum)
	}
	mustVerify(t, verdict{Acknowledged: uint64(killed + 20), Found: uint64(killed + 20)}, path)
	if content, err = os.ReadFile(path); err != nil || bytes.Contains(content, []byte("xxx")) {
		t.Errorf("what was half written is still there: %v", err)
	}
	if out := mustRun(t, "writer", "kitchen", "--ledger", path, "--count", "1", "-o", "json"); !strings.Contains(out, `"written": 0`) {
		t.Errorf("a ledger that has enough: %s", out)
	}
}

// mustVerify expects what verify says of a ledger, with exit code 0.
func mustVerify(t *testing.T, want verdict, path string) {
	t.Helper()
	var got []verdict
	if err := json.Unmarshal([]byte(mustRun(t, "verify", "kitchen", "--ledger", path, "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	want.Ledger = path
	if len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("verify says %+v, want %+v", got, want)
	}
}

// TestKeptButForgotten: nodes forget ids after two minutes. A message that was kept then, and is not in the ledger, is found in the room
// and not written again.
func TestKeptButForgotten(t *testing.T) {
	b := mustBus(t)
	path := b.file("ledger")
	mustRun(t, "writer", "kitchen", "--ledger", path, "--rate", "0", "--count", "5")
	l, err := readLedger(path)
	b.must(err)
	content, err := os.ReadFile(path)
	b.must(err)
	lines := bytes.SplitAfter(content, []byte("\n"))
	b.must(os.WriteFile(path, bytes.Join(lines[:5], nil), 0o600)) // the head and four
	s, err := b.history.Stream(t.Context(), v1.HistoryStream("kept"))
	b.must(err)
	info, err := s.Info(t.Context())
	b.must(err)
	info.Config.Duplicates = 100 * time.Millisecond // instead of two minutes
	_, err = b.history.UpdateStream(t.Context(), info.Config)
	b.must(err)
	natstest.Within(t, natstest.Patience, "ids are forgotten", func() bool { return time.Since(l.records[4].Time) > time.Second })
	mustRun(t, "writer", "kitchen", "--ledger", path, "--rate", "0", "--count", "6")
	mustVerify(t, verdict{Acknowledged: 6, Found: 6}, path)
}

// TestVerifyFinds: what is missing, twice, out of order, changed or dropped is told apart, with its exit code.
func TestVerifyFinds(t *testing.T) {
	b := mustBus(t)
	path, other := b.file("ledger"), b.file("other")
	mustRun(t, "writer", "kitchen", "--ledger", path, "--rate", "0", "--count", "10")
	mustRun(t, "writer", "kitchen", "--ledger", other, "--rate", "0", "--count", "3", "--context", "bob")
	if out := mustRun(t, "verify", "kitchen", "--ledger", path, "--ledger", other, "-o", "name"); out != path+"\n"+other+"\n" {
		t.Errorf("two ledgers: %q", out)
	}
	expectFailure(t, console.ExitFailed, "the same writer", "verify", "kitchen", "--ledger", path, "--ledger", path)
	l, err := readLedger(path)
	b.must(err)
	s, err := b.history.Stream(t.Context(), v1.HistoryStream("kept"))
	b.must(err)
	b.must(s.Purge(t.Context(), jetstream.WithPurgeSequence(l.records[2].Sequence)))
	expectFailure(t, console.ExitLost, "2 older than all", "verify", "kitchen", "--ledger", path)
	mustRun(t, "verify", "kitchen", "--ledger", path, "--allow-dropped")
	// The newest is gone, as after the loss of a majority's disks.
	w, err := os.OpenFile(other, os.O_APPEND|os.O_WRONLY, 0)
	b.must(err)
	o, err := readLedger(other)
	b.must(err)
	b.must(json.NewEncoder(w).Encode(ledgerRecord{Number: 4, ID: o.head.id(4), Sequence: 99}))
	b.must(w.Close())
	expectFailure(t, console.ExitLost, "1 missing", "verify", "kitchen", "--ledger", other, "--timeout", "2s")
	_, err = b.store.CreateRoom(t.Context(), "tea", "kept")
	b.must(err)
	mustRun(t, "member", "add", "tea", "ann", "--context", "root")
	expectFailure(t, console.ExitFailed, "made anew", "verify", "tea", "--ledger", path)
	expectFailure(t, console.ExitFailed, "go on with that key and room", "writer", "tea", "--ledger", path)
}

// TestCheck judges what a room can't be made to have by the commands.
func TestCheck(t *testing.T) {
	h := ledgerHead{Writer: "w", Room: "kitchen", RoomID: "R", User: "U"}
	say := func(sequence, number uint64) client.Message {
		return client.Message{Sequence: sequence, Sender: "U", ID: h.id(number), Data: h.body(number, 20)}
	}
	var l ledger
	l.head = h
	for n := uint64(1); n <= 4; n++ {
		l.records = append(l.records, ledgerRecord{Number: n, ID: h.id(n), Sequence: 10 + n})
	}
	stranger, changed := say(16, 4), say(14, 4)
	stranger.Sender = "S"
	changed.Data = []byte("w-4 else")
	for name, c := range map[string]struct {
		room []client.Message
		want verdict
		code int
	}{
		"as it should be": {[]client.Message{say(11, 1), say(12, 2), say(13, 3), say(14, 4)}, verdict{Found: 4}, console.ExitDone},
		"more":            {[]client.Message{say(11, 1), say(12, 2), say(13, 3), say(14, 4), say(15, 5), stranger}, verdict{Found: 4, Unacknowledged: 1}, console.ExitDone},
		"twice":           {[]client.Message{say(11, 1), say(12, 2), say(13, 3), say(14, 4), say(15, 2)}, verdict{Found: 4, Duplicated: 1}, console.ExitFailed},
		"out of order":    {[]client.Message{say(11, 1), say(12, 3), say(13, 2), say(14, 4)}, verdict{Found: 4, OutOfOrder: 1, Changed: 2}, console.ExitFailed},
		"changed":         {[]client.Message{say(11, 1), say(12, 2), say(13, 3), changed}, verdict{Found: 4, Changed: 1}, console.ExitFailed},
		"missing":         {[]client.Message{say(11, 1), say(14, 4)}, verdict{Found: 2, Missing: 2, FirstMissing: []uint64{2, 3}}, console.ExitLost},
		"dropped":         {[]client.Message{say(13, 3), say(14, 4)}, verdict{Found: 2, Dropped: 2}, console.ExitLost},
		"empty":           {nil, verdict{Missing: 4, FirstMissing: []uint64{1, 2, 3, 4}}, console.ExitLost},
	} {
		k := newCheck(l)
		for _, m := range c.room {
			k.see(m)
		}
		got := k.judge()
		c.want.Acknowledged = 4
		if code := console.CodeOf(&bytes.Buffer{}, failure("kitchen", []verdict{got}, false)); fmt.Sprint(got) != fmt.Sprint(c.want) || code != c.code {
			t.Errorf("%s: %+v with exit code %d, want %+v with %d", name, got, code, c.want, c.code)
		}
	}
}

// TestOneWriterAtATime: two writers can't share a ledger.
func TestOneWriterAtATime(t *testing.T) {
	b := mustBus(t)
	path := b.file("ledger")
	first := mustStart(t, "writer", "kitchen", "--ledger", path, "--rate", "100")
	natstest.Within(t, natstest.Patience, "the first writer", func() bool { return records(path) > 0 })
	expectFailure(t, console.ExitFailed, "another writer", "writer", "kitchen", "--ledger", path)
	first.interrupt()
	first.ends(console.ExitInterrupted)
	if !strings.Contains(first.said(), "LONGEST GAP") {
		t.Errorf("an interrupted writer does not say what it has done: %s", first.said())
	}
	mustVerify(t, verdict{Acknowledged: uint64(records(path)), Found: uint64(records(path))}, path)
}

// FuzzLedger: no file makes a panic, and what is taken is whole.
func FuzzLedger(f *testing.F) {
	const head = `{"writer":"w","room":"r","roomID":"i","user":"u","started":"2026-01-01T00:00:00Z"}` + "\n"
	f.Add([]byte(head + `{"number":1,"id":"w-1","sequence":3,"time":"2026-01-01T00:00:00Z"}` + "\n" + `{"number":2`))
	f.Add([]byte(head + `{"number":2,"id":"w-2","sequence":3,"time":"2026-01-01T00:00:00Z"}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, whole, err := parseLedger(content)
		if err != nil {
			if !errors.Is(err, errNoLedger) {
				t.Fatal(err)
			}
			return
		}
		again, n, err := parseLedger(content[:whole])
		if err != nil || n != whole || fmt.Sprint(again) != fmt.Sprint(l) {
			t.Errorf("the part that counts is not read as the whole: %v", err)
		}
		for i, r := range l.records {
			if r.Number != uint64(i+1) || l.head.number(r.ID) != r.Number {
				t.Errorf("record %d: %+v", i, r)
			}
		}
	})
}

// TestLinesEnd: an interrupt ends the reading of standard input, even while nothing comes.
func TestLinesEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := fmt.Fprintln(w, "one"); err != nil {
		t.Fatal(err)
	}
	n := 0
	for line, err := range lines(ctx, r) {
		if n++; n == 1 {
			if string(line) != "one" || err != nil {
				t.Errorf("%q, %v", line, err)
			}
			cancel()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("%q, %v", line, err)
		}
	}
	w.Close() // the reader ends
	if n != 2 {
		t.Errorf("%d lines", n)
	}
}
