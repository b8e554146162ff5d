// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	bearer = "Bearer "
	// maxToken is the longest token in bytes. One has about 350.
	maxToken = 2 << 10
)

// Reasons for which a token is not taken. They tell a caller nothing about others: whether the key is a user's is only asked after it has
// proven to hold it.
var (
	errNoToken   = errors.New("give a token, in the header Authorization, after Bearer")
	errForm      = errors.New("the token has not the form of one: use a client that makes them")
	errSignature = errors.New("the token is not signed by the key that it names")
	errAudience  = errors.New("the token is for another cluster: its audience must be the id that " + v1.PathCluster + " tells")
	errTimes     = errors.New("the token is not good now: it is from the future, has expired, or lives for more than 5 minutes; compare the clocks, and make a new one")
	errUnlisted  = errors.New("the token's key is no user's: ask an admin")
)

// claims are those of a token. Nothing else is read, and nothing may be missing.
type claims struct {
	v1.Token
}

// date returns nil for a claim that is missing, which the parser then refuses.
func date(seconds int64) (*jwt.NumericDate, error) {
	if seconds <= 0 {
		return nil, errTimes
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0)), nil
}

// These implement jwt.Claims.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.Expires) }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return date(c.IssuedAt) }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *claims) GetIssuer() (string, error)                   { return "", nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{c.Audience}, nil }

// verifyToken returns the public nkey that an Authorization header proves its sender to hold. Whether that is a user's is for the
// caller to ask. It never panics, and takes one signature's time at most.
func verifyToken(authorization, cluster string, now func() time.Time) (user string, err error) {
	text, ok := strings.CutPrefix(authorization, bearer)
	if !ok || text == "" {
		return "", errNoToken
	}
	if len(text) > maxToken {
		return "", errForm
	}
	var c claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(), jwt.WithTimeFunc(now),
		jwt.WithLeeway(v1.TokenLeeway), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithAudience(cluster))
	_, err = parser.ParseWithClaims(text, &c, keyOf)
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "", errSignature
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "", errAudience
	case errors.Is(err, errTimes), errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "", errTimes
	case err != nil:
		return "", errForm
	}
	if life := c.Expires - c.IssuedAt; life <= 0 || life > int64(v1.MaxTokenLife/time.Second) {
		return "", errTimes
	}
	return c.Subject, nil
}

// keyOf returns the key that verifies a token: the one that it names itself. Fields of its header which are not understood could change
// what its signature means, and are refused.
func keyOf(t *jwt.Token) (any, error) {
	for name := range t.Header {
		if name != "alg" && name != "typ" {
			return nil, errForm
		}
	}
	subject, err := t.Claims.GetSubject()
	if err != nil {
		return nil, err
	}
	digits, err := v1.UserHex(subject)
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(digits)
	return ed25519.PublicKey(raw), err
}
