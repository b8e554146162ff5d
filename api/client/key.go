// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime"

	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Signer has a user's key. It is asked at every connection and for every token, by one goroutine at a time or by several. An
// nkeys.KeyPair is one, and so may be what keeps the key outside of the process.
type Signer interface {
	// PublicKey is the public nkey, "U...".
	PublicKey() (string, error)
	// Sign returns the Ed25519 signature of the message, 64 bytes.
	Sign(message []byte) ([]byte, error)
}

// SeedFile is the key whose seed ("SU...") is in a file, on a line of its own. It is read anew each time, and wiped from memory
// afterwards: leave the file where it is. Of a file that was replaced an API uses the new key from its next token on; a Client stays the user that it was
// made as: close it and connect anew. A file that others may read fails with ErrBadKey and fs.ErrPermission; so does one that the group may, unless
// who owns it is not the caller, as of a mounted secret of Kubernetes.
//
// A path that looks like a seed is not repeated in an error: it is one, given where the name of its file is wanted.
func SeedFile(path string) Signer {
	if seedForm.MatchString(path) {
		return seed{"the name of its file", func() ([]byte, error) { return nil, errSeed }}
	}
	return seed{path, func() ([]byte, error) { return readPrivate(path) }}
}

// seedForm is anything that may be a seed, whole or with a typing error: no name of a file looks so.
var seedForm = regexp.MustCompile(`\bS[A-Z][A-Z2-7]{40}`)

var errSeed = errors.New("the key is a seed itself, which is secret: give the name of the file that has it; make a new key if others may have read this")

// SeedFunc is the key whose seed a function returns: from a vault, say. It is called each time, and what it returned is wiped afterwards.
func SeedFunc(read func() ([]byte, error)) Signer { return seed{"the seed", read} }

type seed struct {
	what string
	read func() ([]byte, error)
}

func (s seed) PublicKey() (public string, err error) {
	err = s.with(func(pair nkeys.KeyPair) error {
		public, err = pair.PublicKey()
		return err
	})
	return public, err
}

func (s seed) Sign(message []byte) (signature []byte, err error) {
	err = s.with(func(pair nkeys.KeyPair) error {
		signature, err = pair.Sign(message)
		return err
	})
	return signature, err
}

// with lets do use the key pair, of which nothing is left afterwards. What is no seed is not repeated: it may be one with a typing error.
func (s seed) with(do func(nkeys.KeyPair) error) error {
	text, err := s.read()
	defer clear(text)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBadKey, s.what, err)
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); !bytes.HasPrefix(line, []byte("SU")) {
			continue
		}
		pair, err := nkeys.FromSeed(line)
		if err != nil {
			return fmt.Errorf("%w: %s is no user's seed: look for a typing error", ErrBadKey, s.what)
		}
		defer pair.Wipe()
		return do(pair)
	}
	return fmt.Errorf("%w: %s has no line that begins with SU, as a user's seed does", ErrBadKey, s.what)
}

// mostSeed is the most bytes that a file with a seed has.
const mostSeed = 4 << 10

func readPrivate(path string) ([]byte, error) {
	return readChecked(path, mostSeed, func(info fs.FileInfo) error {
		open := info.Mode().Perm() & 0o077
		if groupMayRead(info) {
			open &^= 0o040
		}
		if open != 0 {
			return &refusal{fs.ErrPermission, fmt.Errorf("others may read it (mode %04o): chmod 600 it, and make a new key if they had access", info.Mode().Perm())}
		}
		return nil
	})
}

// readChecked reads a file of at most so many bytes whose mode passes the check, which Windows has none for.
func readChecked(path string, most int64, check func(fs.FileInfo) error) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && runtime.GOOS != "windows" {
		err = check(info)
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if int64(len(content)) > most {
		clear(content)
		return nil, &refusal{ErrInvalid, fmt.Errorf("it has more than %d bytes: give another, or move it away", most)}
	}
	return content, err
}

// userOf returns the public key of a signer.
func userOf(s Signer) (string, error) {
	if s == nil {
		return "", fmt.Errorf("%w: Options.Key is not set: SeedFile, for example", ErrBadKey)
	}
	user, err := s.PublicKey()
	if err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	if _, err := v1.UserHex(user); err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	return user, nil
}

// nonceForm is what nodes ask to have signed. Nothing else that is signed with an nkey looks so: a token has dots, an order has spaces.
var nonceForm = regexp.MustCompile(`^[A-Za-z0-9_-]{11,64}$`)

// signNonce signs what a server sends at a connection's begin. Any server may send that, also one that only poses as a node.
func signNonce(s Signer, nonce []byte) ([]byte, error) {
	if !nonceForm.Match(nonce) {
		return nil, fmt.Errorf("%w: it asks to sign what is no nonce; nothing was signed", ErrBadServer)
	}
	return s.Sign(nonce)
}
