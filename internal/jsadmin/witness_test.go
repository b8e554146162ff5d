// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// TestWatchersDontHideSync: a watcher's consumer is on one member alone, and the others, asked about the stream, call it missing
// from 5 s on. The stream is in sync all the same.
func TestWatchersDontHideSync(t *testing.T) {
	l := mustCluster(t, 3, false)
	a, js := l.mustAdmin(), l.mustJS("HISTORY")
	l.mustStream(js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 3})
	l.mustInSync(a, "HISTORY", "S", 3)
	c, err := js.OrderedConsumer(t.Context(), "S", jetstream.OrderedConsumerConfig{})
	must(t, err)
	_, err = c.FetchNoWait(1) // the consumer is made by its first use
	must(t, err)
	l.within("a member that calls the consumer missing", func() bool {
		return slices.ContainsFunc(l.names, func(name string) bool {
			said := a.health(t.Context(), map[string]any{"account": "HISTORY", "stream": "S", "details": true}, []string{name})
			h, ok := said[name]
			return ok && h.StatusCode != 200 && h.onlyConsumers()
		})
	})
	l.mustInSync(a, "HISTORY", "S", 3)
}

// TestHealthOfAStream reads answers as servers give them.
func TestHealthOfAStream(t *testing.T) {
	for _, c := range []struct {
		name, answer            string
		onlyConsumers, troubles bool
	}{
		{"well", `{"status_code":200}`, false, false},
		{"its consumer", `{"status_code":503,"errors":[{"type":"CONSUMER","stream":"S"}]}`, true, true},
		{"another stream's consumer", `{"status_code":503,"errors":[{"type":"CONSUMER","stream":"T"}]}`, true, false},
		{"the stream", `{"status_code":503,"errors":[{"type":"CONSUMER","stream":"S"},{"type":"STREAM","stream":"S"}]}`, false, true},
		{"another stream", `{"status_code":503,"errors":[{"type":"STREAM","stream":"T"}]}`, false, false},
		{"the server", `{"status_code":503,"errors":[{"type":"JETSTREAM"}]}`, false, true},
		{"no reason", `{"status_code":503}`, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h memberHealth
			must(t, json.Unmarshal([]byte(c.answer), &h))
			if h.onlyConsumers() != c.onlyConsumers || h.troubles("S") != c.troubles {
				t.Errorf("only consumers %v, troubles %v; want %v and %v", h.onlyConsumers(), h.troubles("S"), c.onlyConsumers, c.troubles)
			}
		})
	}
}
