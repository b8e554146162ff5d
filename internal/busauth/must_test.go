// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const accountsText = `
accounts {
  SYS {}
  CLIENTS {}
  MEMBERSHIP { jetstream: enabled }
  HISTORY { jetstream: enabled }
  EMPTY {}
}
system_account: SYS`

func mustKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustAuth(t testing.TB, c Config) *Authenticator {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// mustServer starts a single server with JetStream that auth guards.
func mustServer(t testing.TB, auth *Authenticator, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{}
	if err := o.ProcessConfigString(accountsText); err != nil {
		t.Fatal(err)
	}
	o.ServerName, o.Host, o.Port = "one", "127.0.0.1", -1
	o.NoSigs, o.NoLog = true, true
	o.JetStream, o.StoreDir = true, t.TempDir()
	o.CustomClientAuthentication, o.AlwaysEnableNonce = auth, true
	if change != nil {
		change(o)
	}
	return mustStart(t, o, auth.Bind)
}

func mustStart(t testing.TB, o *server.Options, bind func(*server.Server)) *server.Server {
	t.Helper()
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	if bind != nil {
		bind(srv)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !o.DontListen && !srv.ReadyForConnections(patience) {
		t.Fatalf("server %s is not ready for connections", o.ServerName)
	}
	return srv
}

// mustLeaf starts a server that keeps trying to connect to srv as a leaf node, with a key.
func mustLeaf(t testing.TB, srv *server.Server, k key) {
	t.Helper()
	v, err := srv.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	to := &url.URL{Scheme: "nats-leaf", Host: fmt.Sprintf("127.0.0.1:%d", v.LeafNode.Port)}
	mustStart(t, &server.Options{ServerName: "leaf", DontListen: true, NoSigs: true, NoLog: true, LeafNode: server.LeafNodeOpts{
		ReconnectInterval: 50 * time.Millisecond, Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{to}, Nkey: k.seed(t)}},
	}}, nil)
}

func mustConnect(t testing.TB, srv *server.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func expectRefused(t testing.TB, srv *server.Server, opts ...nats.Option) {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), opts...)
	if err == nil {
		nc.Close()
		t.Error("admitted, want a refusal")
	} else if !strings.EqualFold(err.Error(), nats.ErrAuthorization.Error()) {
		t.Errorf("error %v, want %v", err, nats.ErrAuthorization)
	}
}

func expectCount(t testing.TB, a *Authenticator, v verdict, want uint64) {
	t.Helper()
	if got := a.Counts()[v.String()]; got != want {
		t.Errorf("%d checks were %s, want %d: %v", got, v, want, a.Counts())
	}
}

// accountOf asks the server which account a connection is in.
func accountOf(t testing.TB, srv *server.Server, nc *nats.Conn) string {
	t.Helper()
	id, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	z, err := srv.Connz(&server.ConnzOptions{Username: true, CID: id})
	if err != nil {
		t.Fatal(err)
	}
	if len(z.Conns) != 1 {
		t.Fatalf("the server lists %d connections with id %d", len(z.Conns), id)
	}
	return z.Conns[0].Account
}

// key is an nkey in all its spellings.
type key struct {
	pair        nkeys.KeyPair
	public, hex string
	bytes       []byte
}

func mustKey(t testing.TB, create func() (nkeys.KeyPair, error)) key {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := nkeys.Decode(nkeys.Prefix(public), []byte(public))
	if err != nil {
		t.Fatal(err)
	}
	return key{pair: pair, public: public, hex: hex.EncodeToString(raw), bytes: raw}
}

func (k key) option() nats.Option { return nats.Nkey(k.public, k.pair.Sign) }

func (k key) sign(t testing.TB, message string) []byte {
	t.Helper()
	sig, err := k.pair.Sign([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// signature is raw for goroutines other than the test's.
func (k key) signature(message string) (string, error) {
	sig, err := k.pair.Sign([]byte(message))
	return base64.RawURLEncoding.EncodeToString(sig), err
}

func (k key) raw(t testing.TB, message string) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString(k.sign(t, message))
}

func (k key) seed(t testing.TB) string {
	t.Helper()
	seed, err := k.pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return string(seed)
}

func mustEncode(t testing.TB, prefix nkeys.PrefixByte, raw []byte) string {
	t.Helper()
	b, err := nkeys.Encode(prefix, raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rawClient speaks the NATS protocol by hand.
type rawClient struct {
	t     testing.TB
	conn  net.Conn
	in    *bufio.Reader
	nonce string
}

func dialRaw(t testing.TB, srv *server.Server) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t: t, conn: conn, in: bufio.NewReader(conn)}
	line, err := c.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	c.nonce = info.Nonce
	return c
}

// connect sends CONNECT and says whether the server answers the PING after it.
func (c *rawClient) connect(fields map[string]any) bool {
	c.t.Helper()
	b, err := json.Marshal(fields)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.conn, "CONNECT %s\r\nPING\r\n", b); err != nil {
		c.t.Fatal(err)
	}
	for {
		line, err := c.in.ReadString('\n')
		switch {
		case err != nil, strings.HasPrefix(line, "-ERR"):
			return false
		case strings.HasPrefix(line, "PONG"):
			return true
		}
	}
}

// do sends protocol lines and returns the errors that the server answers before it has gone through all.
func (c *rawClient) do(lines string) (errs []string) {
	c.t.Helper()
	if _, err := fmt.Fprint(c.conn, lines, "PING\r\n"); err != nil {
		c.t.Fatal(err)
	}
	for {
		line, err := c.in.ReadString('\n')
		switch {
		case err != nil:
			c.t.Fatalf("after %q: %v", lines, err)
		case strings.HasPrefix(line, "-ERR"):
			errs = append(errs, strings.TrimSpace(line))
		case strings.HasPrefix(line, "PONG"):
			return errs
		}
	}
}
