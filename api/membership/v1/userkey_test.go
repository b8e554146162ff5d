// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

func TestUserHexKnowsEachKey(t *testing.T) {
	for range 200 {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := UserHex(public); err != nil || got != reference(public) {
			t.Fatalf("%s: %q, %v; want %q", public, got, err, reference(public))
		}
	}
}

func TestUserHexRefuses(t *testing.T) {
	encode := func(prefix nkeys.PrefixByte, raw []byte) string {
		b, err := nkeys.Encode(prefix, raw)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	good := encode(nkeys.PrefixByteUser, make([]byte, 32))
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range map[string]string{
		"nothing":          "",
		"an account":       encode(nkeys.PrefixByteAccount, make([]byte, 32)),
		"a seed":           string(seed),
		"too short":        encode(nkeys.PrefixByteUser, make([]byte, 31)),
		"too long":         encode(nkeys.PrefixByteUser, make([]byte, 33)),
		"lower case":       strings.ToLower(good),
		"a line end":       good + "\n",
		"a line end in it": good[:20] + "\n" + good[20:],
		"padding":          good + "=",
		"a changed letter": good[:30] + "B" + good[31:],
		"a swapped sum":    good[:54] + good[55:] + good[54:55],
		"low prefix bits":  lowPrefix(t),
	} {
		if got, err := UserHex(key); !errors.Is(err, ErrUserKey) {
			t.Errorf("%s: %q, %v; want ErrUserKey", what, got, err)
		} else if key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error tells the text: %v", what, err)
		}
	}
}

// lowPrefix is a key with a right checksum whose first byte nkeys would take for that of a user.
func lowPrefix(t *testing.T) string {
	t.Helper()
	raw := make([]byte, 35)
	raw[0] = prefixUser | 1
	sum := crc16(raw[:33])
	raw[33], raw[34] = byte(sum), byte(sum>>8)
	key := encoding.EncodeToString(raw)
	if _, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(key)); err != nil {
		t.Fatalf("nkeys refuses it too, so it tests nothing: %v", err)
	}
	return key
}

func FuzzUserHex(f *testing.F) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		f.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(public)
	f.Add("")
	f.Add("U" + strings.Repeat("A", 55))
	f.Fuzz(func(t *testing.T, key string) {
		got, err := UserHex(key)
		if want := reference(key); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; nkeys says %q", key, got, err, want)
		}
	})
}

// reference is what nkeys says of a key in its only spelling, empty for no key.
func reference(key string) string {
	raw, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(key))
	if err != nil || len(raw) != 32 {
		return ""
	}
	if again, err := nkeys.Encode(nkeys.PrefixByteUser, raw); err != nil || string(again) != key {
		return ""
	}
	return hex.EncodeToString(raw)
}
