// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// renewAt is how long before its end a token is not used any more: clocks differ, and requests take their time.
const renewAt = v1.TokenLeeway + callLimit

// Token returns a token for "Authorization: Bearer ...", and until when it is good: at least a minute, at most v1.MaxTokenLife. It is one of the key
// that Options.Key has when it is made: of a seed's file that was replaced, a call makes one anew once that of the former key is refused or about
// to end.
func (a *API) Token(ctx context.Context) (token string, until time.Time, err error) {
	a.mu.Lock()
	token, until, cluster := a.token, a.until, a.cluster
	a.mu.Unlock()
	now := a.now()
	if token != "" && now.Before(until.Add(-renewAt)) {
		return token, until, nil
	}
	if cluster == "" {
		c, err := a.Cluster(ctx)
		if err != nil {
			return "", time.Time{}, err
		}
		cluster = c.ID
	}
	token, claims, err := a.signed(cluster, now)
	if err != nil {
		return "", time.Time{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster, a.token, a.user, a.until = cluster, token, claims.Subject, time.Unix(claims.Expires, 0)
	return token, a.until, nil
}

// signed makes a token of the key that there is now. A key that is replaced between two looks at it signs what names the one before it: then it is
// made anew.
func (a *API) signed(cluster string, now time.Time) (token string, claims v1.Token, err error) {
	for range 3 { // no key is replaced as often
		user, err := userOf(a.key)
		if err != nil {
			return "", claims, err
		}
		claims = newToken(user, cluster, now)
		if token, err = sign(a.key, claims); err != nil {
			return "", claims, err
		}
		if isOf(token, user) {
			return token, claims, nil
		}
	}
	return "", claims, fmt.Errorf("%w: what it signs is not signed by what it says is its public key", ErrBadKey)
}

// isOf says whether a token has the signature of a user.
func isOf(token, user string) bool {
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		return false
	}
	key, err := nkeys.FromPublicKey(user)
	return err == nil && key.Verify([]byte(token[:dot]), signature) == nil
}

// instead returns the token to go on with after one was refused: one of another key, if that has taken the place of the key which the refused one is
// of; else the same.
func (a *API) instead(ctx context.Context, refused string) (string, error) {
	user, err := userOf(a.key)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	if a.token == refused && a.user != user {
		a.token = ""
	}
	a.mu.Unlock()
	token, _, err := a.Token(ctx)
	return token, err
}

// sign encodes the token and signs it.
func sign(s Signer, t v1.Token) (string, error) {
	claims, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	text := encode([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + encode(claims)
	signature, err := s.Sign([]byte(text))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text + "." + encode(signature), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// newToken is the claims of a token that is made now.
func newToken(user, cluster string, now time.Time) v1.Token {
	return v1.Token{Subject: user, Audience: cluster, IssuedAt: now.Unix(), Expires: now.Add(v1.MaxTokenLife).Unix()}
}
