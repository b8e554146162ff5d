// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// What the log has lost on its way is read from the history, before what shows that it is missing.
func TestAGapIsFilled(t *testing.T) {
	b := newBus(t, nil)
	b.class("kept")
	ann := b.user("ann", false)
	r := b.room("red", "kept", map[*user]v1.Role{ann: v1.RoleMember})
	ann.do("POST", redMessages, "before").expect(t, 201, "")
	f := &follower{api: b.api, caller: &caller{User: v1.User{Key: ann.key}, back: b.api.backend.Load()}, room: r}
	if err := f.begin(t.Context(), v1.HistoryRequest{}); err != nil {
		t.Fatal(err)
	}
	f.stop() // the log is lost
	var last [3]uint64
	for i := range last {
		last[i] = decode[v1.AppendAnswer](t, ann.do("POST", redMessages, fmt.Sprint("text ", i)).expect(t, 201, "")).Sequence
	}
	w := httptest.NewRecorder()
	f.w, f.rc = w, http.NewResponseController(w)
	heard := func(i int) {
		t.Helper()
		m := v1.Message{Sequence: last[i], Sender: ann.key, Text: fmt.Sprint("text ", i)}
		if err := f.take(t.Context(), m, last[max(i, 1)-1]); err != nil {
			t.Fatal(err)
		}
	}
	heard(2)
	heard(2)
	heard(1)
	var got []string
	for _, m := range regexp.MustCompile(`"text":"([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		got = append(got, m[1])
	}
	if diff := cmp.Diff([]string{"text 0", "text 1", "text 2"}, got); diff != "" {
		t.Error(diff)
	}
}

// slow is a client that reads so many bytes in the time until the deadline, and then is cut off.
type slow struct {
	*httptest.ResponseRecorder
	most, left int
}

func (s *slow) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() {
		s.left = s.most
	}
	return nil
}

func (s *slow) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return s.ResponseRecorder.Write(b)
}

// Who takes longer for a large message than for one piece of it gets past it; who takes longer for a piece is gone.
func TestALargeMessageGetsToWhoIsSlow(t *testing.T) {
	m := v1.Message{Sequence: 7, Data: bytes.Repeat([]byte("x"), 1<<20)}
	for most, want := range map[int]error{eventPiece: nil, eventPiece - 1: errGone} {
		w := &slow{ResponseRecorder: httptest.NewRecorder(), most: most}
		f := &follower{w: w, rc: http.NewResponseController(w)}
		if err := f.event(t.Context(), m); !errors.Is(err, want) {
			t.Errorf("%d bytes at a time: %v, want %v", most, err, want)
		}
		if got := w.Body.Len(); want == nil && got < len(m.Data) {
			t.Errorf("%d bytes came", got)
		}
	}
}
