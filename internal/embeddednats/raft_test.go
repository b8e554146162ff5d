// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestRaftTimers shows that the timers are set where nats-server has the values that are known, and
// left alone, with a word about it, where it has others: what upstream removed links as zero.
func TestRaftTimers(t *testing.T) {
	was, wasDelay, wasDecided := timersFound(), routeConnectMaxDelay, timersDecided
	put := func(found RaftTimers, delay time.Duration, decided bool) {
		minElectionTimeout, maxElectionTimeout, hbInterval = found.MinElection, found.MaxElection, found.Heartbeat
		routeConnectMaxDelay, timersDecided = delay, decided
	}
	t.Cleanup(func() { put(was, wasDelay, wasDecided) })
	if stock := StockRaftTimers(); was != stock || wasDelay != stockRouteDelay {
		t.Fatalf("nats-server has %+v and %v at the start, not %+v and %v: what is set is something else, or this test is not the first",
			was, wasDelay, stock, stockRouteDelay)
	}
	changed := StockRaftTimers()
	changed.Heartbeat = 0
	for _, c := range []struct {
		name    string
		found   RaftTimers
		delay   time.Duration
		decided bool
		ask     RaftTimers
		want    RaftTimers
		says    string
	}{
		{name: "set", found: StockRaftTimers(), delay: stockRouteDelay, ask: DefaultRaftTimers(), want: DefaultRaftTimers(), says: "raft timers set"},
		{name: "off", found: StockRaftTimers(), delay: stockRouteDelay, want: StockRaftTimers()},
		{name: "gone upstream", found: changed, delay: stockRouteDelay, ask: DefaultRaftTimers(), want: changed, says: "no longer has the values"},
		{name: "all gone upstream", ask: DefaultRaftTimers(), says: "no longer has the values"},
		{name: "route delay gone upstream", found: StockRaftTimers(), ask: DefaultRaftTimers(), want: StockRaftTimers(), says: "no longer has the values"},
		{name: "second server, same", found: DefaultRaftTimers(), delay: tunedRouteDelay, decided: true, ask: DefaultRaftTimers(), want: DefaultRaftTimers()},
		{name: "second server, other", found: DefaultRaftTimers(), delay: tunedRouteDelay, decided: true, want: DefaultRaftTimers(), says: "left alone"},
		{name: "second server after a stock one", found: StockRaftTimers(), delay: stockRouteDelay, decided: true,
			ask: DefaultRaftTimers(), want: StockRaftTimers(), says: "left alone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			put(c.found, c.delay, c.decided)
			var log bytes.Buffer
			c.ask.apply(slog.New(slog.NewTextHandler(&log, nil)))
			if got := RaftTimersInForce(); got != c.want {
				t.Errorf("in force: %+v, want %+v", got, c.want)
			}
			if c.says == "" && log.Len() > 0 || !strings.Contains(log.String(), c.says) {
				t.Errorf("said %q, want %q", log.String(), c.says)
			}
		})
	}
}

func TestRaftTimersThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		timers RaftTimers
		ok     bool
	}{
		{RaftTimers{}, true},
		{DefaultRaftTimers(), true},
		{StockRaftTimers(), true},
		{RaftTimers{time.Second, 2 * time.Second, 250 * time.Millisecond}, true},
		{RaftTimers{time.Second, 2 * time.Second, time.Second}, false},
		{RaftTimers{4 * time.Second, 4 * time.Second, time.Second}, false},
		{RaftTimers{4 * time.Second, 9 * time.Second, 0}, false},
	} {
		if err := c.timers.validate(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.timers, err)
		}
	}
}

// TestRaftTimersTravel: what one node writes, on its disk or to others, another one reads.
func TestRaftTimersTravel(t *testing.T) {
	for _, timers := range []RaftTimers{DefaultRaftTimers(), StockRaftTimers(), {1500 * time.Millisecond, 2 * time.Minute, 250 * time.Millisecond}} {
		if got, err := ParseRaftTimers(timers.String()); err != nil || got != timers {
			t.Errorf("%v became %v, %v", timers, got, err)
		}
	}
	if got, want := (RaftTimers{}).String(), "4s/9s/1s"; got != want {
		t.Errorf("the stock ones are %s, want %s", got, want)
	}
	for _, text := range []string{"", "fast", "2s/4s", "2s/4s/500ms/1s", "2s/4s/x", "0s/0s/0s", "-2s/4s/500ms", "2s/1s/500ms"} {
		if got, err := ParseRaftTimers(text); err == nil {
			t.Errorf("%q became %v", text, got)
		}
	}
}
