// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/natstest"
)

const patience = 30 * time.Second

// TestProofOfKey speaks the protocol by hand, since a client library can't be made to send these.
func TestProofOfKey(t *testing.T) {
	user, stranger := mustKey(t, nkeys.CreateUser), mustKey(t, nkeys.CreateUser)
	account, operator, node := mustKey(t, nkeys.CreateAccount), mustKey(t, nkeys.CreateOperator), mustKey(t, nkeys.CreateServer)
	curve := mustKey(t, nkeys.CreateCurveKeys)
	list := newAllowlist(user.hex, account.hex, operator.hex, node.hex)
	auth := mustAuth(t, Config{Keys: mustKeys(t), IsAuthorized: list.has})
	srv := mustServer(t, auth, nil)

	tests := []struct {
		name string
		make func(nonce string) (nkey, sig string)
		ok   bool
	}{
		{"raw URL base64", func(n string) (string, string) {
			return user.public, base64.RawURLEncoding.EncodeToString(user.sign(t, n))
		}, true},
		{"standard base64", func(n string) (string, string) {
			return user.public, base64.StdEncoding.EncodeToString(user.sign(t, n))
		}, true},
		{"raw standard base64", func(n string) (string, string) { return user.public, "+/" + user.raw(t, n) }, false},
		{"signature of another nonce", func(n string) (string, string) { return user.public, user.raw(t, "x"+n) }, false},
		{"signature over nothing", func(string) (string, string) { return user.public, user.raw(t, "") }, false},
		{"signature of another's key", func(n string) (string, string) { return user.public, stranger.raw(t, n) }, false},
		{"no signature", func(string) (string, string) { return user.public, "" }, false},
		{"half a signature", func(n string) (string, string) { return user.public, user.raw(t, n)[:43] }, false},
		{"huge signature", func(string) (string, string) { return user.public, strings.Repeat("A", 2000) }, false},
		{"key not on the list", func(n string) (string, string) { return stranger.public, stranger.raw(t, n) }, false},
		{"no key", func(n string) (string, string) { return "", user.raw(t, n) }, false},
		{"the seed for the key", func(n string) (string, string) { return user.seed(t), user.raw(t, n) }, false},
		{"hexadecimal for the key", func(n string) (string, string) { return user.hex, user.raw(t, n) }, false},
		{"account key", func(n string) (string, string) { return account.public, account.raw(t, n) }, false},
		{"order key", func(n string) (string, string) { return operator.public, operator.raw(t, n) }, false},
		{"server key", func(n string) (string, string) { return node.public, node.raw(t, n) }, false},
		{"curve key", func(n string) (string, string) { return curve.public, user.raw(t, n) }, false},
		{"order key spelled as a user key", func(n string) (string, string) {
			return mustEncode(t, nkeys.PrefixByteUser, operator.bytes[:31]), operator.raw(t, n)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialRaw(t, srv)
			nkey, sig := tt.make(c.nonce)
			if got := c.connect(map[string]any{"nkey": nkey, "sig": sig}); got != tt.ok {
				t.Errorf("admitted: %v, want %v; counts %v", got, tt.ok, auth.Counts())
			}
		})
	}
}

// TestConnectionsAreListedByKey: it is how a revoked user's connections are found.
func TestConnectionsAreListedByKey(t *testing.T) {
	user := mustKey(t, nkeys.CreateUser)
	srv := mustServer(t, mustAuth(t, Config{Keys: mustKeys(t), IsAuthorized: newAllowlist(user.hex).has}), nil)
	mustConnect(t, srv, user.option(), nats.UserInfo("somebody else", ""))
	// Base32 decoding skips line ends: the same key in another spelling would be listed under another name.
	c := dialRaw(t, srv)
	if c.connect(map[string]any{"nkey": user.public[:9] + "\n" + user.public[9:], "sig": user.raw(t, c.nonce)}) {
		t.Error("a key in another spelling was admitted")
	}
	z, err := srv.Connz(&server.ConnzOptions{Username: true, User: user.public})
	if err != nil {
		t.Fatal(err)
	}
	if z.NumConns != 1 {
		t.Errorf("%d connections are listed under the user's key, want 1", z.NumConns)
	}
}

func TestSignatureNeedsANonce(t *testing.T) {
	user := mustKey(t, nkeys.CreateUser)
	auth := mustAuth(t, Config{Keys: mustKeys(t), IsAuthorized: newAllowlist(user.hex).has})
	srv := mustServer(t, auth, func(o *server.Options) { o.AlwaysEnableNonce = false })
	c := dialRaw(t, srv)
	if c.nonce != "" {
		t.Fatalf("the server gave a nonce, %q", c.nonce)
	}
	if c.connect(map[string]any{"nkey": user.public, "sig": user.raw(t, "")}) {
		t.Error("a signature over nothing was taken for a proof")
	}
	expectCount(t, auth, refusedNonce, 1)
}

func TestNobodyIsAuthorizedByDefault(t *testing.T) {
	auth := mustAuth(t, Config{Keys: mustKeys(t)})
	srv := mustServer(t, auth, nil)
	expectRefused(t, srv, mustKey(t, nkeys.CreateUser).option())
	if _, err := nats.Connect(srv.ClientURL()); err == nil {
		t.Error("a connection without any credentials was admitted")
	}
	expectCount(t, auth, refusedUnknown, 1)
	expectCount(t, auth, refusedKey, 1)
}

func TestOperatorChoosesItsAccount(t *testing.T) {
	operator := mustKey(t, nkeys.CreateUser)
	srv := mustServer(t, mustAuth(t, Config{Keys: mustKeys(t), Operators: []string{operator.public}}), nil)
	for wish, want := range map[string]string{"": "SYS", "SYS": "SYS", "MEMBERSHIP": "MEMBERSHIP", "HISTORY": "HISTORY"} {
		nc := mustConnect(t, srv, operator.option(), nats.UserInfo(wish, ""))
		if got := accountOf(t, srv, nc); got != want {
			t.Errorf("asked for %q, is in %q, want %q", wish, got, want)
		}
	}
	for _, wish := range []string{"CLIENTS", "EMPTY", "$G", "sys", "nonsense"} {
		expectRefused(t, srv, operator.option(), nats.UserInfo(wish, ""))
	}
	// Every right: the system account answers, and JetStream's API does.
	if _, err := mustConnect(t, srv, operator.option()).Request("$SYS.REQ.SERVER.PING", nil, patience); err != nil {
		t.Errorf("system account: %v", err)
	}
	nc := mustConnect(t, srv, operator.option(), nats.UserInfo("HISTORY", ""))
	if _, err := nc.Request("$JS.API.INFO", nil, patience); err != nil {
		t.Errorf("JetStream: %v", err)
	}
}

func TestInternalKeysAreForOneAccountEach(t *testing.T) {
	keys := mustKeys(t)
	srv := mustServer(t, mustAuth(t, Config{Keys: keys}), nil)
	for _, account := range internalAccounts {
		for how, opt := range map[string]nats.Option{"tcp": nats.Name("tcp"), "in process": nats.InProcessServer(srv)} {
			// The wish is an operator's: a node's key stays where it belongs.
			nc := mustConnect(t, srv, nats.Nkey(keys.Login(account)), opt, nats.UserInfo(AccountSystem, ""))
			if got := accountOf(t, srv, nc); got != account {
				t.Errorf("%s: key for %s is in %s", how, account, got)
			}
		}
	}
	if _, err := nats.Connect(srv.ClientURL(), nats.Nkey(keys.Login("EMPTY"))); err == nil {
		t.Error("the node has a key for EMPTY")
	}
	expectRefused(t, srv, nats.Nkey(mustKeys(t).Login(AccountSystem)))
}

func TestInProcessConnectionsNeedAKeyToo(t *testing.T) {
	t.Parallel() // the server needs 10 s to give up on telling the pipe's other end, which is still writing
	srv := mustServer(t, mustAuth(t, Config{Keys: mustKeys(t)}), nil)
	if nc, err := nats.Connect("", nats.InProcessServer(srv)); err == nil {
		nc.Close()
		t.Error("admitted without a key")
	}
}

func TestRevocationNeedsNoRestart(t *testing.T) {
	one, two := mustKey(t, nkeys.CreateUser), mustKey(t, nkeys.CreateUser)
	list := newAllowlist(one.hex, two.hex)
	auth := mustAuth(t, Config{Keys: mustKeys(t), IsAuthorized: list.has})
	srv := mustServer(t, auth, nil)
	other := mustConnect(t, srv, two.option())
	mustConnect(t, srv, one.option()).Close()
	list.remove(one.hex)
	expectRefused(t, srv, one.option())
	if err := other.FlushTimeout(patience); err != nil {
		t.Errorf("another user was disturbed: %v", err)
	}
	list.add(one.hex)
	mustConnect(t, srv, one.option())
}

func TestConfigErrors(t *testing.T) {
	user, order := mustKey(t, nkeys.CreateUser), mustKey(t, nkeys.CreateOperator)
	if _, err := New(Config{}); err == nil {
		t.Error("no keys: no error")
	}
	for _, bad := range []string{"", "x", order.public, user.seed(t), user.hex} {
		_, err := New(Config{Keys: mustKeys(t), Operators: []string{user.public, bad}})
		if !errors.Is(err, ErrKeyType) {
			t.Errorf("operator %.4s...: error %v, want %v", bad, err, ErrKeyType)
		} else if len(bad) > 8 && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats what may be a seed: %v", err)
		}
	}
}

func TestNextServerIsBound(t *testing.T) {
	keys := mustKeys(t)
	auth := mustAuth(t, Config{Keys: keys})
	for range 2 {
		srv := mustServer(t, auth, nil)
		nc := mustConnect(t, srv, nats.Nkey(keys.Login(AccountHistory)))
		if _, err := nc.Request("$JS.API.INFO", nil, patience); err != nil {
			t.Error(err)
		}
		nc.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// TestLeafNodesAreRefused: leaf nodes pass the same check, and an operator's key must not bring in a server.
func TestLeafNodesAreRefused(t *testing.T) {
	operator := mustKey(t, nkeys.CreateUser)
	auth := mustAuth(t, Config{Keys: mustKeys(t), Operators: []string{operator.public}})
	srv := mustServer(t, auth, func(o *server.Options) { o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", -1 })
	mustLeaf(t, srv, operator)
	natstest.Within(t, patience, "the leaf node is refused", func() bool { return auth.Counts()[refusedKind.String()] > 0 })
	if n := srv.NumLeafNodes(); n != 0 {
		t.Errorf("%d leaf nodes", n)
	}
}

func TestVerifyOrderKeys(t *testing.T) {
	order, next, other := mustKey(t, nkeys.CreateOperator), mustKey(t, nkeys.CreateOperator), mustKey(t, nkeys.CreateOperator)
	verify, err := VerifyOrderKeys([]string{order.public, next.public})
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("unibus-order-v1\n{}")
	for _, key := range []key{order, next} {
		if err := verify(message, key.sign(t, string(message))); err != nil {
			t.Errorf("good signature: %v", err)
		}
	}
	for what, sig := range map[string][]byte{
		"none": nil, "short": order.sign(t, string(message))[:63], "other key": other.sign(t, string(message)), "other message": order.sign(t, "x"),
	} {
		if err := verify(message, sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: error %v, want %v", what, err, ErrSignature)
		}
	}
	for _, bad := range []string{"", mustKey(t, nkeys.CreateUser).public, order.seed(t)} {
		if _, err := VerifyOrderKeys([]string{order.public, bad}); !errors.Is(err, ErrKeyType) {
			t.Errorf("%.4s...: error %v, want %v", bad, err, ErrKeyType)
		}
	}
}

func TestUserHex(t *testing.T) {
	const public, want = "UAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ""
	if got, err := UserHex(public); err == nil {
		t.Errorf("wrong checksum: %q, no error, want %q", got, want)
	}
	user := mustKey(t, nkeys.CreateUser)
	got, err := UserHex(user.public)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(user.hex, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
