// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// TestHistoryReachesClientsOnly: what a stream of the history account republishes reaches clients on another node, and what
// clients publish under the same name does not come back.
func TestHistoryReachesClientsOnly(t *testing.T) {
	nodes := natstest.MustCluster(t, 3, natstest.Options{})
	js := nodes[0].MustJetStream(t)
	natstest.Within(t, natstest.Patience, "a stream", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: "H", Subjects: []string{"h.*"}, MaxBytes: 1 << 20,
			RePublish: &jetstream.RePublish{Source: "h.*", Destination: "log.{{wildcard(1)}}"},
		})
		return err == nil
	})
	listen := func(i int, account string) *nats.Subscription {
		nc := nodes[i].MustConnect(t, account)
		sub, err := nc.SubscribeSync("log.*")
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return sub
	}
	reader := listen(2, embeddednats.AccountClients)
	natstest.Within(t, natstest.Patience, "what the history took arrives at a client of another node", func() bool {
		if _, err := js.Publish(context.Background(), "h.x", []byte("kept")); err != nil {
			return false
		}
		m, err := reader.NextMsg(100 * time.Millisecond)
		return err == nil && m.Subject == "log.x" && string(m.Data) == "kept" && m.Header.Get(jetstream.SequenceHeader) != ""
	})

	// The listener is on the publisher's node, whose server has taken the forgery before it takes the mark.
	inside, client := listen(1, embeddednats.AccountHistory), nodes[1].MustConnect(t, embeddednats.AccountClients)
	if err := client.Publish("log.y", []byte("forged")); err != nil {
		t.Fatal(err)
	}
	if err := client.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].MustConnect(t, embeddednats.AccountHistory).Publish("log.y", []byte("mark")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) == 0 || got[len(got)-1] != "mark" {
		m, err := inside.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		if m.Subject == "log.y" {
			got = append(got, string(m.Data))
		}
	}
	if diff := cmp.Diff([]string{"mark"}, got); diff != "" {
		t.Errorf("in the history account, -want +got:\n%s", diff)
	}
}
