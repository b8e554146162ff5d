// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Whether a replica has everything takes two witnesses, since each is wrong at times. The stream's
// leader knows the Raft log alone: it calls a new replica current, with nothing missing, that has just
// begun to copy the messages. The replica's own health is right about that copying, but says well for
// an instant, again and again, while it can't catch up at all. So both are asked, more than once.
//
// Under steady writing a replica is hardly ever seen with a lag of zero. What counts as well is that
// it now has all that the leader had when it was asked the time before.

const (
	samples = 4
	between = 200 * time.Millisecond
)

// sample is what all servers that can be reached said at one time.
type sample struct {
	stores map[string]*server.JSInfo // by server name
	unwell map[string]string         // by server name; an empty reason is health
}

func (s *Server) sample(ctx context.Context) (sample, error) {
	o := sample{stores: map[string]*server.JSInfo{}, unwell: map[string]string{}}
	err := s.ask(ctx, "JSZ", map[string]any{"accounts": true, "streams": true, "config": true}, func(a answer) bool {
		i := &server.JSInfo{}
		if a.Error == nil && json.Unmarshal(a.Data, i) == nil && !i.Disabled {
			o.stores[a.Server.Name] = i
		}
		return false
	})
	if err != nil {
		return o, err
	}
	return o, s.ask(ctx, "HEALTHZ", map[string]any{}, func(a answer) bool {
		var h server.HealthStatus
		switch {
		case a.Error != nil:
			o.unwell[a.Server.Name] = a.Error.Description
		case json.Unmarshal(a.Data, &h) != nil:
			o.unwell[a.Server.Name] = "its health can't be read"
		case h.StatusCode != 200:
			o.unwell[a.Server.Name] = fmt.Sprintf("%d %s", h.StatusCode, h.Error)
		default:
			o.unwell[a.Server.Name] = ""
		}
		return false
	})
}

// streamKey names a stream.
type streamKey struct{ account, name string }

func (k streamKey) String() string { return k.account + "/" + k.name }

// streams returns what each server says of its streams.
func (o sample) streams() map[streamKey]map[string]*server.StreamDetail {
	all := map[streamKey]map[string]*server.StreamDetail{}
	for name, i := range o.stores {
		for _, a := range i.AccountDetails {
			for n := range a.Streams {
				k := streamKey{a.Name, a.Streams[n].Name}
				if all[k] == nil {
					all[k] = map[string]*server.StreamDetail{}
				}
				all[k][name] = &a.Streams[n]
			}
		}
	}
	return all
}

// SafeToRestart says whether the cluster can do without any one server: every member of the meta group
// is there and current, every stream with replicas has a leader, and every replica has everything by
// both witnesses, over several samples; if not, why. A cluster of one is safe when it is well.
// It takes about a second.
func (s *Server) SafeToRestart(ctx context.Context) (ok bool, reason string) {
	if s.stopping.Load() {
		return false, "the server is stopping"
	}
	var before sample
	for i := range samples {
		now, err := s.sample(ctx)
		if err != nil {
			return false, err.Error()
		}
		// The first sample has nothing to be compared with; it says nothing about lag.
		if reason := now.unsafe(before); reason != "" {
			return false, reason
		}
		if before = now; i == samples-1 {
			break
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx).Error()
		case <-time.After(between):
		}
	}
	return true, ""
}
