// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(withExamples{m}, natstest.Leaks()...) }

// withExamples ends the bus of the examples, if one of them ran, after all tests.
type withExamples struct{ m *testing.M }

func (w withExamples) Run() int {
	code := w.m.Run()
	examples.end()
	return code
}

// OptionsOf are those of a user on the bus of the examples, who is ann or bob. Both are in the room "kitchen", which keeps history,
// and "radio", which does not.
func OptionsOf(user string) Options {
	b := examples.bus()
	return Options{Servers: b.urls(), Key: examples.keys[user]}
}

// Remember makes a context of a user on the bus of the examples, as `unibus context add` does, and returns what forgets it.
func Remember(context, user string) (forget func()) {
	b := examples.bus()
	seed, err := examples.keys[user].Seed()
	b.must(err)
	key, path := filepath.Join(examples.dir, user+".nk"), filepath.Join(examples.dir, "contexts.json")
	b.must(os.WriteFile(key, seed, 0o600))
	content, err := json.Marshal(map[string]any{"contexts": map[string]any{context: map[string]any{"servers": b.urls(), "key": key}}})
	b.must(err)
	b.must(os.WriteFile(path, content, 0o600))
	b.must(os.Setenv("UNIBUS_CONTEXTS", path))
	return func() { b.must(os.Unsetenv("UNIBUS_CONTEXTS")) }
}

// examples are a testing.TB for the one bus that all examples share.
var examples = &stage{keys: map[string]nkeys.KeyPair{}}

type stage struct {
	testing.TB
	keys map[string]nkeys.KeyPair
	once sync.Once
	b    *bus
	dir  string
	last []func()
}

func (s *stage) bus() *bus {
	s.once.Do(func() {
		s.b = mustBus(s, 1)
		for _, name := range []string{"ann", "bob"} {
			s.keys[name] = s.b.user(name)
		}
		for room, class := range map[string]string{"kitchen": "kept", "radio": ""} {
			s.b.room(room, class, map[nkeys.KeyPair]v1.Role{s.keys["ann"]: v1.RoleMember, s.keys["bob"]: v1.RoleMember})
		}
	})
	return s.b
}

func (s *stage) end() {
	for i := range s.last {
		s.last[len(s.last)-1-i]()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

func (s *stage) Helper()          {}
func (s *stage) Cleanup(f func()) { s.last = append(s.last, f) }
func (s *stage) Fatal(a ...any)   { panic(a) }
func (s *stage) Fatalf(format string, a ...any) {
	panic(append([]any{format}, a...))
}

func (s *stage) TempDir() string {
	var err error
	if s.dir, err = os.MkdirTemp("", "unibus-examples-"); err != nil {
		panic(err)
	}
	return s.dir
}
