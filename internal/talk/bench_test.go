// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/benchmark"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
)

// mustBench runs a benchmark and returns what it tells in JSON.
func mustBench(t *testing.T, args ...string) (results []benchmark.Result) {
	t.Helper()
	out := mustRun(t, append([]string{"bench"}, append(args, "-o", "json")...)...)
	if err := json.Unmarshal([]byte(out), &results); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return results
}

// expectResult compares counts. How fast it was is nobody's business here.
func expectResult(t *testing.T, r benchmark.Result, what string, kept bool, clients int, messages uint64, latency bool) {
	t.Helper()
	if r.What != what || r.Kept != kept || r.Clients != clients || r.Messages != messages || r.Errors != 0 || (r.Latency != nil) != latency {
		t.Errorf("%+v, want %d messages of %d clients: %s", r, messages, clients, what)
	}
	if r.Seconds <= 0 || r.Rate <= 0 || r.Latency != nil && (r.Latency.P50 <= 0 || r.Latency.P99 < r.Latency.P50 || r.Latency.Max < r.Latency.P99) {
		t.Errorf("%+v: not what time is like: %+v", r, r.Latency)
	}
}

// in is how many messages the rooms of a class keep.
func (b *bus) in(class string) uint64 {
	b.t.Helper()
	s, err := b.history.Stream(b.t.Context(), v1.HistoryStream(class))
	b.must(err)
	return s.CachedInfo().State.Msgs
}

// TestBench: each way of measuring does what it says, to the message.
func TestBench(t *testing.T) {
	b := mustBus(t)
	mustRun(t, "context", "use", "root")
	b.class("lab", nil)
	for room, class := range map[string]string{"lab": "lab", "air": ""} {
		mustRun(t, "room", "create", room, "--class", class)
		mustRun(t, "member", "add", room, "root")
		mustRun(t, "member", "add", room, "ann")
	}
	// Root sees that nobody else is in the class, and so is not asked, also when there are words of its own from before.
	expectResult(t, mustBench(t, "publish", "lab", "--msgs", "2500", "--clients", "3")[0], "publish", true, 3, 2500, true)
	if n := b.in("lab"); n != 2500 {
		t.Errorf("%d messages are kept, want 2500", n)
	}
	expectResult(t, mustBench(t, "publish", "lab", "--msgs", "50", "--pending", "1", "--size", "1KiB")[0], "publish", true, 1, 50, true)
	for _, history := range mustBench(t, "history", "lab", "--msgs", "6000", "--clients", "2") {
		expectResult(t, history, "history", true, 2, 6000, true)
	}
	r := mustBench(t, "hear", "lab", "--msgs", "500", "--clients", "2")
	expectResult(t, r[0], "publish", true, 1, 500, true)
	expectResult(t, r[1], "hear", true, 2, 1000, true)
	if n := b.in("lab"); n != 3050 {
		t.Errorf("%d messages are kept, want 3050", n)
	}

	expectResult(t, mustBench(t, "publish", "air", "--msgs", "5000", "--clients", "2")[0], "publish", false, 2, 5000, false)
	expectResult(t, mustBench(t, "publish", "air", "--msgs", "20", "--pending", "1")[0], "publish", false, 1, 20, true)
	r = mustBench(t, "hear", "air", "--msgs", "2000", "--clients", "3", "--pending", "100", "--size", "0")
	expectResult(t, r[0], "publish", false, 1, 2000, false)
	expectResult(t, r[1], "hear", false, 3, 6000, true)
	expectResult(t, mustBench(t, "request", "air", "--msgs", "100", "--clients", "4")[0], "request", false, 4, 100, true)
	if out := mustRun(t, "bench", "request", "air", "--msgs", "5"); !strings.Contains(out, "MESSAGES/S") || !strings.Contains(out, " ms") {
		t.Errorf("the table: %s", out)
	}
	if out := mustRun(t, "bench", "publish", "air", "--duration", "50ms", "-o", "name"); out != "publish\n" {
		t.Errorf("for a time: %q", out)
	}
}

// TestBenchAsks: what others have said is not pushed out without a word.
func TestBenchAsks(t *testing.T) {
	b := mustBus(t)
	for _, kind := range []string{"publish", "hear"} {
		expectFailure(t, console.ExitRefused, "class kept", "bench", kind, "kitchen")
	}
	mustRun(t, "send", "kitchen", "tea is ready")
	mustRun(t, "member", "add", "kitchen", "root", "--context", "root")
	expectFailure(t, console.ExitRefused, "keeps what was said", "bench", "publish", "kitchen", "--context", "root")
	mustRun(t, "room", "create", "tea", "--class", "kept", "--context", "root")
	mustRun(t, "member", "add", "tea", "root", "--context", "root")
	expectFailure(t, console.ExitRefused, "class kept", "bench", "publish", "tea", "--context", "root")
	expectFailure(t, console.ExitFailed, "publish something first", "bench", "history", "tea", "--context", "root")
	if n := b.in("kept"); n != 1 {
		t.Errorf("%d messages are kept, want 1: a refused run has published", n)
	}
	expectResult(t, mustBench(t, "publish", "kitchen", "--msgs", "10", "--yes")[0], "publish", true, 1, 10, true)
	expectFailure(t, console.ExitFailed, "keeps no history", "bench", "history", "alarms")
	expectFailure(t, console.ExitFailed, "no room of that name", "bench", "publish", "nowhere")
	for _, flags := range [][]string{{"--msgs", "0"}, {"--clients", "0"}, {"--clients", "1000"}, {"--pending", "0"}, {"--duration", "-1s"}, {"--size", "1GiB"}, {"-o", "xml"}} {
		expectFailure(t, console.ExitUsage, flags[0], append([]string{"bench", "publish", "alarms"}, flags...)...)
	}
	mustRun(t, "member", "set", "alarms", "ann", "--role", "reader", "--context", "root")
	expectFailure(t, console.ExitFailed, "not allowed", "bench", "request", "alarms", "--timeout", "2s")
}

// TestBenchIsInterrupted: then it tells what it has come to.
func TestBenchIsInterrupted(t *testing.T) {
	b := mustBus(t)
	p := mustStart(t, "bench", "publish", "kitchen", "--yes", "--pending", "1", "--duration", time.Hour.String(), "-o", "json")
	natstest.Within(t, natstest.Patience, "it publishes", func() bool { return b.in("kept") > 10 })
	p.interrupt()
	p.ends(console.ExitInterrupted)
	var got []benchmark.Result
	said := p.said()
	if err := json.Unmarshal([]byte(said[strings.Index(said, "["):strings.LastIndex(said, "]")+1]), &got); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if len(got) != 1 || got[0].Messages != b.in("kept") || got[0].Errors != 0 {
		t.Errorf("%d messages are kept: %+v", b.in("kept"), got)
	}
}

// TestBenchIsRefused: a class that takes less than is said shows as errors, not as a rate.
func TestBenchIsRefused(t *testing.T) {
	b := mustBus(t)
	b.class("slow", func(c *v1.Class) { c.PublisherRate = 5 })
	mustRun(t, "room", "create", "slow", "--class", "slow", "--context", "root")
	mustRun(t, "member", "add", "slow", "ann", "--context", "root")
	code, out, said := invoke(t, "", "bench", "publish", "slow", "--yes", "--msgs", "300", "--pending", "20", "-o", "json")
	var got []benchmark.Result
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != console.ExitFailed || !strings.Contains(said, "too many a second") && !strings.Contains(said, "errors, the first") {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, said)
	}
	if r := got[0]; r.Errors == 0 || r.Messages+r.Errors != 300 || r.Messages != b.in("slow") {
		t.Errorf("%d messages are kept: %+v", b.in("slow"), r)
	}
}
