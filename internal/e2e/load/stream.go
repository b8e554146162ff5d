// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stream is a stream that is written to. Its name says how: KV_x is a bucket, of which any replica answers direct reads;
// other names are plain streams.
type Stream struct{ Name string }

const bucketPrefix = "KV_"

func (s Stream) isBucket() bool { return strings.HasPrefix(s.Name, bucketPrefix) }

// subject is that of write n of a writer: each write of a bucket has a key of its own, so none overwrites another.
func (s Stream) subject(writer, n int) string {
	if s.isBucket() {
		return fmt.Sprintf("$KV.%s.w%d.%d", strings.TrimPrefix(s.Name, bucketPrefix), writer, n)
	}
	return fmt.Sprintf("load.%s.w%d", s.Name, writer)
}

// dedupe is for how long a stream remembers message ids. A retry must fall within it, so it is longer than any step may take.
const dedupe = time.Hour

// Create makes the stream with that many replicas and room for maxBytes; a stream of the same name that exists stays as it is.
func (s Stream) Create(ctx context.Context, nc *nats.Conn, replicas int, maxBytes int64) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("JetStream context: %w", err)
	}
	c := jetstream.StreamConfig{
		Name: s.Name, Subjects: []string{"load." + s.Name + ".>"}, Replicas: replicas, Duplicates: dedupe,
		MaxBytes: maxBytes, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
	}
	if s.isBucket() {
		c.Subjects = []string{"$KV." + strings.TrimPrefix(s.Name, bucketPrefix) + ".>"}
		c.MaxMsgsPerSubject, c.AllowDirect, c.AllowRollup, c.DenyDelete = 1, true, true, true
	}
	_, err = js.CreateStream(ctx, c)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("create stream %s: %w", s.Name, err)
	}
	return nil
}

// Delete deletes the stream; one that is not there is deleted already.
func (s Stream) Delete(nc *nats.Conn) error {
	err := call(nc, "$JS.API.STREAM.DELETE."+s.Name, struct{}{}, nil)
	var e *jetstream.APIError
	if errors.As(err, &e) && e.ErrorCode == jetstream.JSErrCodeStreamNotFound {
		return nil
	}
	return err
}

// id is the Nats-Msg-Id of a write, the same in all its attempts.
func id(writer, n int) string { return fmt.Sprintf("w%d.%d", writer, n) }

func parseID(s string) (writer, n int, ok bool) {
	a, b, found := strings.Cut(strings.TrimPrefix(s, "w"), ".")
	writer, e1 := strconv.Atoi(a)
	n, e2 := strconv.Atoi(b)
	return writer, n, found && e1 == nil && e2 == nil
}

// body is the payload of a write: it follows from the id, so that a changed byte is seen.
func body(id string) []byte { return bytes.Repeat([]byte(id+" "), 1+128/(len(id)+1)) }

// Peer is a member of a stream's Raft group.
type Peer struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	Offline bool   `json:"offline"`
	Lag     uint64 `json:"lag"`
}

// Info is what the leader of a stream says of it.
type Info struct {
	Config struct {
		Replicas int `json:"num_replicas"`
	} `json:"config"`
	State struct {
		Messages uint64 `json:"messages"`
		First    uint64 `json:"first_seq"`
		Last     uint64 `json:"last_seq"`
	} `json:"state"`
	Cluster struct {
		Leader   string     `json:"leader"`
		Since    *time.Time `json:"leader_since"`
		Replicas []Peer     `json:"replicas"`
	} `json:"cluster"`
}

// Members are the servers that hold the stream, its leader first.
func (i Info) Members() []string {
	names := []string{i.Cluster.Leader}
	for _, p := range i.Cluster.Replicas {
		names = append(names, p.Name)
	}
	return names
}

// online are the members that can be made leader.
func (i Info) online() []string {
	names := []string{i.Cluster.Leader}
	for _, p := range i.Cluster.Replicas {
		if !p.Offline {
			names = append(names, p.Name)
		}
	}
	return names
}

// offline are the members that can't be made leader now.
func (i Info) offline() []string {
	var names []string
	for _, p := range i.Cluster.Replicas {
		if p.Offline {
			names = append(names, p.Name)
		}
	}
	return names
}

// Current says whether the stream has a leader and n replicas that it calls current, and no others.
func (i Info) Current(n int) bool {
	if i.Cluster.Leader == "" || i.Config.Replicas != n || len(i.Cluster.Replicas) != n-1 {
		return false
	}
	for _, p := range i.Cluster.Replicas {
		if !p.Current || p.Offline || p.Lag > 0 {
			return false
		}
	}
	return true
}

// Info asks the stream's leader. Without a leader nobody answers.
func (s Stream) Info(nc *nats.Conn) (Info, error) {
	var i Info
	return i, call(nc, "$JS.API.STREAM.INFO."+s.Name, struct{}{}, &i)
}

// callTimeout is short: without a leader nobody answers, and callers ask again.
const callTimeout = time.Second

// call sends a JetStream API request and decodes the answer.
func call(nc *nats.Conn, subject string, request, answer any) error {
	b, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	m, err := nc.Request(subject, b, callTimeout)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	var e struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return fmt.Errorf("%s: decode answer: %w", subject, err)
	}
	if e.Error != nil {
		return fmt.Errorf("%s: %w", subject, e.Error)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("%s: decode answer: %w", subject, err)
	}
	return nil
}

// Lead makes a member the stream's leader and returns what it then says of the stream.
func (s Stream) Lead(ctx context.Context, nc *nats.Conn, name string) (Info, error) {
	var asked time.Time
	for {
		i, err := s.Info(nc)
		if err == nil && i.Cluster.Leader == name {
			return i, nil
		}
		if err == nil && time.Since(asked) > 2*time.Second {
			asked = time.Now()
			err = call(nc, "$JS.API.STREAM.LEADER.STEPDOWN."+s.Name, map[string]any{"placement": map[string]any{"preferred": name}}, nil)
		}
		select {
		case <-ctx.Done():
			return i, fmt.Errorf("make %s the leader of %s: leader is %q (last: %w): %w", name, s.Name, i.Cluster.Leader, err, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
