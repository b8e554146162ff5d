// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func mustPair(t testing.TB) (pair nkeys.KeyPair, seed string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	b, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return pair, string(b)
}

// strangers is a group that nobody is in.
const strangers = 65533

// mustSecret writes a file. Only root gives it away.
func mustSecret(t testing.TB, content string, mode os.FileMode, owner, group int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "user.nk")
	err := os.WriteFile(path, []byte(content), 0o600)
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(path, owner, group))
	}
	if err = errors.Join(err, os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

// A mounted secret is another's, and open to a group.
func TestSecretsOfAGroup(t *testing.T) {
	for _, x := range []struct {
		owner, group uint32
		user         int
		groups       []int
		want         bool
	}{
		{0, 2000, 1000, []int{1000, 2000}, true}, {1000, 1000, 1000, []int{1000}, false}, {1000, 2000, 1000, []int{2000}, false},
		{0, 2000, 0, []int{0, 2000}, true}, {0, 0, 0, []int{0}, true}, {0, 2000, 0, []int{0}, false}, {1000, 2000, 0, []int{0}, true},
	} {
		if got := shared(x.owner, x.group, x.user, x.groups); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root makes files that are another's")
	}
	pair, text := mustPair(t)
	for _, x := range []struct {
		mode         os.FileMode
		owner, group int
		want         error
	}{
		{0o440, 0, 0, nil}, {0o640, 0, 0, nil}, {0o440, 65534, strangers, nil}, {0o440, 0, strangers, ErrBadKey}, {0o444, 0, 0, ErrBadKey},
		{0o444, 65534, strangers, ErrBadKey}, {0o460, 65534, strangers, ErrBadKey}, {0o450, 0, 0, ErrBadKey}, {0o404, 65534, 0, ErrBadKey},
	} {
		user, err := userOf(SeedFile(mustSecret(t, text, x.mode, x.owner, x.group)))
		if !errors.Is(err, x.want) || (err == nil) != (user == public(pair)) {
			t.Errorf("%+v: %s, %v", x, user, err)
		}
	}
}

func TestSeeds(t *testing.T) {
	pair, text := mustPair(t)
	write := func(content string, mode os.FileMode) Signer {
		return SeedFile(mustSecret(t, content, mode, -1, strangers))
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]Signer{
		"a line": write(text+"\n", 0o600), "no line's end": write(text, 0o400), "decorated": write("-----BEGIN USER NKEY SEED-----\r\n"+text+"\r\n------END------\n", 0o600),
		"a function": SeedFunc(func() ([]byte, error) { return []byte(text), nil }),
	} {
		if user, err := userOf(s); err != nil || user != public(pair) {
			t.Errorf("%s: %s, %v", what, user, err)
		}
		sig, err := s.Sign([]byte("x"))
		if err != nil || pair.Verify([]byte("x"), sig) != nil {
			t.Errorf("%s: signature %v", what, err)
		}
	}
	wrong := text[:10] + "A" + text[11:]
	if wrong == text {
		wrong = text[:10] + "B" + text[11:]
	}
	for what, s := range map[string]Signer{
		"group may read": write(text, 0o640), "others may read": write(text, 0o604), "group may write": write(text, 0o620), "no file": SeedFile(filepath.Join(t.TempDir(), "none")),
		"a typing error": write(wrong, 0o600), "an account's": write(string(accountSeed), 0o600), "nothing": write("", 0o600), "a folder": SeedFile(t.TempDir()),
		"no signer": nil, "another's kind": account, "a failing function": SeedFunc(func() ([]byte, error) { return []byte(text), errors.New("vault") }),
	} {
		_, err := userOf(s)
		expectErr(t, what, err, ErrBadKey)
		for _, secret := range []string{text, wrong, string(accountSeed)} {
			if strings.Contains(err.Error(), secret[:12]) {
				t.Errorf("%s: the error tells the seed: %v", what, err)
			}
		}
		open := errors.Is(err, fs.ErrPermission) && what != "a folder" // which all may read
		if open != strings.Contains(what, "may") || open && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%s: no remedy in %v", what, err)
		}
	}
}

func TestSeedsAreWiped(t *testing.T) {
	_, text := mustPair(t)
	b := []byte(text)
	if _, err := SeedFunc(func() ([]byte, error) { return b, nil }).Sign([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if string(b) != string(make([]byte, len(b))) {
		t.Errorf("left in memory: %q", b)
	}
}

// impostor is a server that sends a nonce of its own, and tells what it got.
func impostor(t *testing.T, nonce string) (url string, got chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got = make(chan string, 1)
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		info, err := json.Marshal(map[string]any{"server_id": "X", "version": "2.15.2", "proto": 1, "headers": true, "max_payload": 1 << 20, "nonce": nonce})
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "INFO %s\r\n", info)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		got <- line
	}()
	return "nats://" + l.Addr().String(), got
}

// A server that poses as a node gets nothing signed but what looks like a nonce.
func TestNothingButNoncesIsSigned(t *testing.T) {
	pair, _ := mustPair(t)
	now := time.Now()
	token, err := sign(pair, newToken(public(pair), "cluster", now))
	if err != nil {
		t.Fatal(err)
	}
	unsigned := token[:strings.LastIndex(token, ".")]
	order, err := json.Marshal(v1.Order{Kind: v1.OrderFound})
	if err != nil {
		t.Fatal(err)
	}
	for what, nonce := range map[string]string{
		"a token": unsigned, "a short token": "eyJhbGci.eyJzdWIi", "an order": "unibus-order-v1\n" + string(order), "nothing": "", "little": "abcdefghij",
		"much": strings.Repeat("a", 65), "a line more": "abcdefghijk\n", "a line before": "\nabcdefghijk", "a letter of another script": "abcdefghijkä", "zero": "abcdefghijk\x00",
	} {
		url, got := impostor(t, nonce)
		c, err := Connect(t.Context(), Options{Servers: []string{url}, Key: pair})
		expectErr(t, what, err, ErrBadServer)
		if c != nil {
			t.Errorf("%s: connected", what)
		}
		if line := <-got; line != "" {
			t.Errorf("%s: the server was sent %q", what, line)
		}
	}
	const good = "bc-_ABCDEF0123456"
	url, got := impostor(t, good)
	_, err = Connect(t.Context(), Options{Servers: []string{url}, Key: pair})
	expectErr(t, "a server that hangs up", err, ErrUnavailable)
	var sent struct{ Sig, NKey string }
	if line := <-got; json.Unmarshal([]byte(strings.TrimPrefix(line, "CONNECT ")), &sent) != nil || sent.NKey != public(pair) || sent.Sig == "" {
		t.Errorf("a nonce is answered by %q", line)
	}
}

func TestServers(t *testing.T) {
	pair, _ := mustPair(t)
	for server, want := range map[string]struct {
		secure bool
		err    error
	}{
		"nats://127.0.0.1:4222": {}, "localhost": {}, "[::1]:4222": {}, "nats://localhost:4222": {},
		"tls://127.0.0.1:4222": {secure: true}, "nats://bus.example:4222": {secure: true}, "10.0.0.1": {secure: true}, "nats://127.0.0.1.example": {secure: true}, "nats://localhost.example": {secure: true},
		"ws://bus.example": {err: ErrInvalid}, "": {err: ErrInvalid}, "nats://u:secret@127.0.0.1:4222": {err: ErrInvalid}, "nats://": {err: ErrInvalid}, "nats://h/x": {err: ErrInvalid},
	} {
		n, err := Options{Servers: []string{server}, Key: pair}.withDefaults().nats(public(pair))
		if !errors.Is(err, want.err) || n.Secure != want.secure || n.Secure != (n.TLSConfig != nil) {
			t.Errorf("%q: TLS %v, %v", server, n.Secure, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if _, secure, err := (Options{Servers: []string{"127.0.0.1", "bus.example"}}).servers(); !secure || err != nil {
		t.Error("one of two is off loopback, and TLS is not asked for")
	}
	_, _, err := Options{}.servers()
	expectErr(t, "no server", err, ErrInvalid)
	for url, want := range map[string]error{"http://bus.example": ErrInsecure, "http://10.1.1.1:80": ErrInsecure, "https://a,http://bus.example": ErrInsecure, "https://a,": ErrInvalid, "https://a,,https://b": ErrInvalid, "ftp://x": ErrInvalid, "": ErrInvalid, "https://u:p@h": ErrInvalid} {
		_, err := NewAPI(Options{API: url, Key: pair})
		expectErr(t, url, err, want)
	}
}
