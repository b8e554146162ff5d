// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
)

// raw is a connection that speaks the protocol by hand, to send what nats.go would mend or refuse.
type raw struct {
	t    testing.TB
	conn net.Conn
}

func mustRaw(t testing.TB, address, user string) *raw {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r := &raw{t, conn}
	r.send(fmt.Sprintf("CONNECT {\"user\":%q,\"pass\":\"\",\"headers\":true,\"verbose\":false,\"pedantic\":false}\r\nPING\r\n", user))
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "PONG") {
			return r
		}
	}
}

func (r *raw) send(s string) {
	r.t.Helper()
	if _, err := r.conn.Write([]byte(s)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) hpub(subject, reply, headers, data string) {
	r.t.Helper()
	r.send(fmt.Sprintf("HPUB %s %s %d %d\r\n%s%s\r\n", subject, reply, len(headers), len(headers)+len(data), headers, data))
}
