// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// guarded is an API whose nodes take tokens of one user only.
type guarded struct {
	t    *testing.T
	file string // of the seed

	mu    sync.Mutex
	user  string
	taken []string // methods
	asked int
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if !g.takes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(v1.Problem{Code: v1.CodeToken, Status: http.StatusUnauthorized, Detail: "not known"})
		return
	}
	g.taken = append(g.taken, r.Method)
	fmt.Fprint(w, `{}`)
}

// takes says whether a token is the user's, by its signature too.
func (g *guarded) takes(token string) bool {
	text, signature, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(signature, ".")
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	said, wrong := base64.RawURLEncoding.DecodeString(claims)
	key, unusable := nkeys.FromPublicKey(g.user)
	if err := errors.Join(err, wrong, unusable); err != nil {
		g.t.Error(err)
		return false
	}
	return strings.Contains(string(said), g.user) && key.Verify([]byte(text+"."+claims), raw) == nil
}

// replace puts another key into the file, as a renewed secret comes, and says whether the nodes take that one from now on.
func (g *guarded) replace(known bool) {
	g.t.Helper()
	pair, seed := mustPair(g.t)
	draft := g.file + ".new"
	if err := errors.Join(os.WriteFile(draft, []byte(seed), 0o600), os.Rename(draft, g.file)); err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken, g.asked = nil, 0; known {
		g.user = public(pair)
	}
}

// TestKeyIsReplaced: an API whose seed's file is replaced goes on as the new user, with no call that fails and none that is done twice.
func TestKeyIsReplaced(t *testing.T) {
	g := &guarded{t: t, file: filepath.Join(t.TempDir(), "ann.nk")}
	g.replace(true)
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	api, err := NewAPI(Options{API: srv.URL, Key: SeedFile(g.file), ClusterID: clusterID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	call := func() error { _, _, err := api.PutRoom(t.Context(), "tea", "", Absent); return err }
	if err := call(); err != nil {
		t.Fatal(err)
	}
	before, _, err := api.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.replace(true)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := call(); err != nil {
				t.Errorf("the key was replaced: %v", err)
			}
		})
	}
	all.Wait()
	if len(g.taken) != 8 {
		t.Errorf("8 calls were done %d times", len(g.taken))
	}
	after, _, err := api.Token(t.Context())
	if err != nil || after == before || !g.takes(after) {
		t.Errorf("the token is still that of the former key: %v", err)
	}

	// One that the bus does not know either is no reason to ask on and on, and the former one is not known any more.
	g.replace(false)
	pair, _ := mustPair(t)
	g.user = public(pair)
	expectErr(t, "an unknown key", call(), ErrToken)
	if g.asked != 2 {
		t.Errorf("asked %d times: with the former key, and with the one that took its place", g.asked)
	}
	g.asked = 0
	expectErr(t, "the same key again", call(), ErrToken)
	if g.asked != 1 {
		t.Errorf("asked %d times with the same key", g.asked)
	}
	if err := os.Remove(g.file); err != nil {
		t.Fatal(err)
	}
	expectErr(t, "no key at all", call(), ErrToken)
}

// TestKeyIsReplacedMeanwhile: a key that is replaced while a token is made signs nothing that names the one before it.
func TestKeyIsReplacedMeanwhile(t *testing.T) {
	_, first := mustPair(t)
	pair, second := mustPair(t)
	g := &guarded{t: t, user: public(pair)}
	looks := 0
	changing := func(changes int) Signer {
		looks = 0
		return SeedFunc(func() ([]byte, error) {
			if looks++; looks <= changes && looks%2 == 1 {
				return []byte(first), nil
			}
			return []byte(second), nil
		})
	}
	token, _, err := (&API{key: changing(1)}).signed(clusterID, time.Now())
	if err != nil || !g.takes(token) {
		t.Errorf("the signature is not that of who is named: %v", err)
	}
	_, _, err = (&API{key: changing(100)}).signed(clusterID, time.Now())
	expectErr(t, "a key that never stays", err, ErrBadKey)
}
