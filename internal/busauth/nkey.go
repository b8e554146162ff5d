// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nkeys"
)

// maxPublicKey is a generous limit on the text of a public nkey (56 characters), so that nobody makes us decode megabytes.
const maxPublicKey = 128

var (
	// ErrKeyType is returned for text that is no public nkey of the wanted type.
	ErrKeyType = errors.New("not a public key of the wanted type")
	// ErrSignature is returned for a signature that is malformed or was not made with the key over the message.
	ErrSignature = errors.New("signature does not match")
)

// UserHex returns the Ed25519 key of a public user nkey ("U...") as 64 lower-case hexadecimal digits: the one form in which users
// are known to the allowlist. It fails with ErrKeyType for anything else, other types of nkey and seeds included.
func UserHex(public string) (string, error) {
	raw, err := rawKey(nkeys.PrefixByteUser, public)
	if err != nil {
		return "", fmt.Errorf("user nkey (U...): %w", err)
	}
	return hex.EncodeToString(raw), nil
}

// VerifyOrderKeys returns the check of signatures by any of the cluster's order keys, whose public halves ("O...") are given. It fails
// with ErrKeyType. The returned function fails with ErrSignature.
func VerifyOrderKeys(public []string) (func(message, signature []byte) error, error) {
	var keys []ed25519.PublicKey
	for _, key := range public {
		raw, err := rawKey(nkeys.PrefixByteOperator, key)
		if err != nil {
			return nil, fmt.Errorf("order key (O...): %w; give the public half that `unibus cluster init` printed", err)
		}
		keys = append(keys, raw)
	}
	return func(message, signature []byte) error {
		if len(signature) != ed25519.SignatureSize ||
			!slices.ContainsFunc(keys, func(key ed25519.PublicKey) bool { return ed25519.Verify(key, message, signature) }) {
			return ErrSignature
		}
		return nil
	}, nil
}

// rawKey decodes a public nkey of one type. The text itself stays out of the error: it may be a seed, given by mistake.
func rawKey(prefix nkeys.PrefixByte, public string) (ed25519.PublicKey, error) {
	if len(public) > maxPublicKey {
		return nil, fmt.Errorf("%w: %d characters", ErrKeyType, len(public))
	}
	raw, err := nkeys.Decode(prefix, []byte(public))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyType, err)
	}
	// Decode checks the prefix and the checksum, not the length; Verify would panic.
	if len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: it has %d bytes, not %d", ErrKeyType, len(raw), ed25519.PublicKeySize)
	}
	// Base32 decoding skips line ends. The server lists connections by the text that the client sent: a second spelling would
	// let a revoked user stay connected.
	if canonical, err := nkeys.Encode(prefix, raw); err != nil || string(canonical) != public {
		return nil, fmt.Errorf("%w: it is not spelled as usual", ErrKeyType)
	}
	return raw, nil
}

// decodeSignature takes both forms that clients send: raw URL base64 first, which is what most do, then standard base64.
func decodeSignature(text string) ([]byte, error) {
	if len(text) > base64.StdEncoding.EncodedLen(ed25519.SignatureSize) {
		return nil, fmt.Errorf("%w: %d characters", ErrSignature, len(text))
	}
	sig, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		sig, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if len(sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: it has %d bytes, not %d", ErrSignature, len(sig), ed25519.SignatureSize)
	}
	return sig, nil
}
