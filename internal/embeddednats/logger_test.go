// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"bytes"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// lockedBuffer is written by a server and read by its test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// strangers refuses every client, as an authenticator that knows nobody.
type strangers struct{ nobody }

func (strangers) Bind(*server.Server) {}

// TestStrangersFillNoLog: what a client does wrong is for debugging, however often it does it.
func TestStrangersFillNoLog(t *testing.T) {
	var log lockedBuffer
	s, err := Start(t.Context(), ServerConfig{ServerName: "n0", Auth: strangers{}, Connect: func(string) []nats.Option { return nil },
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	at, err := url.Parse(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	for _, lines := range []string{"CONNECT {}\r\nPING\r\n", "nonsense\r\n", strings.Repeat("x", 10_000)} {
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(lines)); err != nil {
			t.Fatal(err)
		}
		for buf := make([]byte, 1<<10); err == nil; _, err = conn.Read(buf) { // until the server has ended it
		}
		conn.Close()
	}
	said := 0
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "cid:") {
			said++
			if !strings.Contains(line, "level=DEBUG") {
				t.Errorf("told to everybody: %s", line)
			}
		}
	}
	if said < 3 {
		t.Errorf("the server has said %d things of three clients, want all for debugging", said)
	}
}
