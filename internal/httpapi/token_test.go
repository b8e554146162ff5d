// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// badToken is one that must be refused, and why.
type badToken struct {
	name, token string
	why         error
}

func badTokens(t *testing.T, b *bus, root *user) []badToken {
	t.Helper()
	eve := b.stranger("eve")
	removed := b.user("removed", false)
	if err := b.store.RemoveUser(t.Context(), removed.key, 0); err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, natstest.Patience, "the removal", func() bool { _, ok := b.dir.User(removed.key); return !ok })
	digits, err := v1.UserHex(root.key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	good := root.token(nil)
	parts := strings.Split(good, ".")
	encode := func(v any) string {
		return base64.RawURLEncoding.EncodeToString(b.must(json.Marshal(v)).([]byte))
	}
	// signed has any claims, and any header beside.
	signed := func(c jwt.Claims, more ...string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
		for i := 0; i < len(more); i += 2 {
			token.Header[more[i]] = more[i+1]
		}
		return b.must(token.SignedString(root.private)).(string)
	}
	now := time.Now()
	with := func(change func(*v1.Token)) string { return root.token(change) }
	hmac := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{v1.Token{Subject: root.key, Audience: clusterID, IssuedAt: now.Unix(), Expires: now.Unix() + 60}})
	mapped := func(change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{"sub": root.key, "aud": clusterID, "iat": now.Unix(), "exp": now.Unix() + 60}
		change(c)
		return signed(c)
	}
	return []badToken{
		{"none", "", errNoToken},
		{"no JWT", "hello", errForm},
		{"three dots", "...", errForm},
		{"too long", good + strings.Repeat("A", maxToken), errForm},
		{"of another cluster", with(func(c *v1.Token) { c.Audience = "another" }), errAudience},
		{"of no cluster", with(func(c *v1.Token) { c.Audience = "" }), errForm},
		{"of several clusters", mapped(func(c jwt.MapClaims) { c["aud"] = []string{clusterID, "another"} }), errForm},
		{"expired", with(func(c *v1.Token) { c.IssuedAt -= 200; c.Expires = now.Unix() - 31 }), errTimes},
		{"from the future", with(func(c *v1.Token) { c.IssuedAt += 40; c.Expires += 40 }), errTimes},
		{"without exp", mapped(func(c jwt.MapClaims) { delete(c, "exp") }), errTimes},
		{"without iat", mapped(func(c jwt.MapClaims) { delete(c, "iat") }), errTimes},
		{"without sub", mapped(func(c jwt.MapClaims) { delete(c, "sub") }), errForm},
		{"with too long a life", with(func(c *v1.Token) { c.Expires = c.IssuedAt + 301 }), errTimes},
		{"that ends before it begins", with(func(c *v1.Token) { c.Expires = c.IssuedAt }), errTimes},
		{"of a time that is none", mapped(func(c jwt.MapClaims) { c["exp"] = "soon" }), errForm},
		{"of a time beyond all", mapped(func(c jwt.MapClaims) { c["exp"] = 1e300 }), errForm},
		{"of a negative time", with(func(c *v1.Token) { c.IssuedAt = -1 << 62 }), errTimes},
		{"of a name", with(func(c *v1.Token) { c.Subject = "root" }), errForm},
		{"of a seed's form", with(func(c *v1.Token) { c.Subject = "SU" + root.key[2:] }), errForm},
		{"signed by another", with(func(c *v1.Token) { c.Subject = eve.key }), errSignature},
		{"of who is no user", eve.token(nil), errUnlisted},
		{"of who was removed", removed.token(nil), errUnlisted},
		{"of alg none", encode(map[string]string{"alg": "none", "typ": "JWT"}) + "." + parts[1] + ".", errSignature},
		{"of alg none, signed", encode(map[string]string{"alg": "none", "typ": "JWT"}) + "." + parts[1] + "." + parts[2], errSignature},
		{"of alg None", encode(map[string]string{"alg": "None", "typ": "JWT"}) + "." + parts[1] + ".", errForm},
		{"of HS256 with the public key as secret", b.must(hmac.SignedString(public)).(string), errSignature},
		{"of HS256 with the nkey as secret", b.must(hmac.SignedString([]byte(root.key))).(string), errSignature},
		{"with a key of its own beside", signed(&claims{v1.Token{Subject: root.key, Audience: clusterID, IssuedAt: now.Unix(), Expires: now.Unix() + 60}},
			"jwk", "{}"), errForm},
		{"without signature", parts[0] + "." + parts[1] + ".", errSignature},
		{"with half a signature", parts[0] + "." + parts[1] + "." + parts[2][:40], errSignature},
		{"with another's claims", parts[0] + "." + strings.Split(eve.token(nil), ".")[1] + "." + parts[2], errSignature},
		{"with a second spelling", good[:len(good)-1] + next(good[len(good)-1]), errForm},
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	b := newBus(t, nil)
	root := b.user("root", true)
	good, now := root.token(nil), time.Now()
	for _, c := range badTokens(t, b, root) {
		header := []string{"Authorization", bearer + c.token}
		if c.token == "" {
			header = nil
		}
		r := b.do("GET", v1.PathRooms, nil, header...).expect(t, 401, v1.CodeToken)
		if r.Detail != c.why.Error() {
			t.Errorf("a token %s: %s, want %s", c.name, r.Detail, c.why)
		}
		if r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("a token %s: no WWW-Authenticate", c.name)
		}
	}
	for name, header := range map[string]string{"basic": "Basic " + good, "bare": good, "lower case": "bearer " + good, "two": bearer + good + ", " + good} {
		if r := b.do("GET", v1.PathRooms, nil, "Authorization", header); r.status != 401 {
			t.Errorf("%s: %d", name, r.status)
		}
	}
	// The leeway of clocks is taken, and no more.
	for _, change := range []func(*v1.Token){
		nil,
		func(c *v1.Token) { c.IssuedAt += 20; c.Expires += 20 },
		func(c *v1.Token) { c.IssuedAt -= 280; c.Expires = now.Unix() - 10 },
		func(c *v1.Token) { c.Expires = c.IssuedAt + 300 },
	} {
		b.do("GET", v1.PathRooms, nil, "Authorization", bearer+root.token(change)).expect(t, 200, "")
	}
}

// next returns the letter of base64 that differs in the last bit, which a signature of 64 bytes leaves unused.
func next(c byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return letters[strings.IndexByte(letters, c)^1:][:1]
}

// A client signs any nonce that a server sends. None is what a token's signature is over.
func TestNoNonceIsAToken(t *testing.T) {
	b := &bus{t: t, api: &API{c: Config{Now: time.Now}}}
	u := b.stranger("anybody")
	text := u.token(nil)
	if signed := text[:strings.LastIndex(text, ".")]; !strings.Contains(signed, ".") {
		t.Errorf("%q could be a nonce", signed)
	}
}

func FuzzToken(f *testing.F) {
	// The same in every process that fuzzes.
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	key, err := nkeys.Encode(nkeys.PrefixByteUser, private.Public().(ed25519.PublicKey))
	if err != nil {
		f.Fatal(err)
	}
	u := &user{b: &bus{t: f, api: &API{c: Config{Now: now}}}, key: string(key), private: private}
	good := u.token(nil)
	parts := strings.Split(good, ".")
	for _, s := range []string{"", "Bearer", bearer, bearer + "..", bearer + good, bearer + parts[0] + "." + parts[1] + ".",
		bearer + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		user, err := verifyToken(header, clusterID, now)
		if err == nil && header != bearer+good {
			t.Errorf("a token is taken that nobody has made, for %s: %q", user, header)
		}
		if err == nil {
			return
		}
		for _, known := range []error{errNoToken, errForm, errSignature, errAudience, errTimes} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Errorf("an error that is not documented: %v", err)
	})
}
