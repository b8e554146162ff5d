// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// What was heard or read before a removal, and not sent yet, is not sent after it.
func TestNothingIsSentAfterARemoval(t *testing.T) {
	w := httptest.NewRecorder()
	f := &follower{w: w, rc: http.NewResponseController(w)}
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := f.event(ctx, v1.Message{Sequence: 1, Text: "before"}); err != nil {
		t.Fatal(err)
	}
	before := w.Body.String()
	cancel(errors.New("removed"))
	if err := f.event(ctx, v1.Message{Sequence: 2, Text: "after"}); err == nil || w.Body.String() != before {
		t.Errorf("sent %q, %v", w.Body.String()[len(before):], err)
	}
}
