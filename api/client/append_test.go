// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func TestBounds(t *testing.T) {
	s := mustScene(t, 1)
	for _, c := range []v1.Class{
		{Name: "calm", MaxBytes: 8 << 20, MaxMessagesPerRoom: 1000, MaxMessageBytes: 1 << 10, Full: v1.FullRolls, PublisherRate: 1},
		{Name: "tight", MaxBytes: 8 << 20, MaxMessagesPerRoom: 1, MaxMessageBytes: 1 << 10, Full: v1.FullRefuses},
	} {
		_, err := s.store().PutClass(t.Context(), c, 0)
		s.must(err)
		s.stream(c)
		s.room(c.Name, c.Name, map[nkeys.KeyPair]v1.Role{s.ann: v1.RoleMember})
	}
	ann := s.client(s.ann, nil)
	for name, want := range map[string]error{"calm": ErrRate, "tight": ErrFull} {
		r := ann.mustRoom(t, name)
		mustPublish(t, r, "first")
		_, err := r.Publish(t.Context(), Message{Data: []byte("second")})
		expectErr(t, name, err, want)
	}
}

// Nodes forget ids. What was not answered for so long is not sent again: it could be kept twice.
func TestGivesUpBeforeIDsAreForgotten(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	s.nodes[0].end() // nobody answers any more
	done := make(chan error, 1)
	s.must(r.PublishAsync(context.Background(), Message{}, func(_ Receipt, err error) { done <- err }))
	ann.out.sweep(time.Now().Add(resendFor - time.Second))
	select {
	case err := <-done:
		t.Fatalf("given up too soon: %v", err)
	default:
	}
	ann.out.sweep(time.Now().Add(v1.DuplicateWindow - time.Second))
	expectErr(t, "publish", <-done, ErrUnavailable)
}
