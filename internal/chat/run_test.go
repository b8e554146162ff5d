// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"
	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.Leaks()...) }

// screen is an output that is no terminal.
type screen struct {
	mu  sync.Mutex
	out bytes.Buffer
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// mustShow runs a program until it ends, and types once it shows the room.
func mustShow(ctx context.Context, t *testing.T, f *fake, typed string) (string, error) {
	t.Helper()
	out, done := &screen{}, make(chan error, 1)
	in, keys := io.Pipe()
	defer keys.Close()
	go func() {
		done <- show(ctx, newModel(f, ann, ""), Config{In: in, Out: out, Width: 80, Height: 24})
	}()
	if !natstest.Until(natstest.Patience, func() bool { return strings.Contains(out.text(), "kitchen") }) {
		t.Fatalf("the room is not shown: %q", out.text())
	}
	if _, err := io.WriteString(keys, typed); err != nil {
		t.Fatal(err)
	}
	err := <-done
	text := out.text()
	if on, off := strings.Index(text, "\x1b[?1049h"), strings.LastIndex(text, "\x1b[?1049l"); on < 0 || off < on || strings.LastIndex(text, "\x1b[?25h") < on {
		t.Errorf("the terminal is not as it was before: %q", text)
	}
	return text, err
}

// TestEnds: however it ends, the terminal is as it was before.
func TestEnds(t *testing.T) {
	for name, typed := range map[string]string{"Ctrl-C": "\x03", "Esc": "\x1b"} {
		if _, err := mustShow(t.Context(), t, &fake{node: "n1"}, typed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := mustShow(t.Context(), t, &fake{node: "n1"}, "hello\r\x03"); !errors.Is(err, ErrUnsent) {
		t.Errorf("with a message on its way: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := mustShow(ctx, t, &fake{node: "n1", saying: func() tea.Msg { cancel(); return nil }}, "x\r"); !errors.Is(err, ErrUnsent) {
		t.Errorf("at the end of its context: %v", err)
	}
	if _, err := mustShow(t.Context(), t, &fake{node: "n1", saying: func() tea.Msg { panic("a test's") }}, "x\r"); !errors.Is(err, tea.ErrProgramPanic) {
		t.Errorf("after a panic: %v", err)
	}
}

// TestNoColour: NO_COLOR is heeded.
func TestNoColour(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("TTY_FORCE", "1")
	for set, want := range map[string]bool{"": true, "yes": false} {
		t.Setenv("NO_COLOR", set)
		text, err := mustShow(t.Context(), t, &fake{node: "n1"}, "\x03")
		if got := strings.Contains(text, "38;5;"); err != nil || got != want {
			t.Errorf("NO_COLOR=%s: colours %v, %v: %q", set, got, err, text)
		}
	}
}
