// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/api/client"
)

// key asks for the public key, as the client library does, and looks closer where that fails. The library looks at who may read the file before it
// looks into it: what is damaged is told all the same, and first.
func (e *examination) key(context.Context) Finding {
	user, err := client.SeedFile(e.bus.Key).PublicKey()
	if err == nil {
		e.user = user
		return fine("it is the key of user %s", user)
	}
	_, bad := client.SeedFunc(func() ([]byte, error) { return read(e.bus.Key) }).PublicKey()
	var failed *fs.PathError
	switch {
	case errors.Is(bad, fs.ErrNotExist):
		return fault(KeyMissing, "name the right file (--key FILE, or in the context), or make a key: unibus key new", "there is no such file")
	case errors.As(bad, &failed):
		return fault(KeyUnreadable, "make it a file that you may read, and nobody else", "it can't be read: %v", failed)
	case !errors.Is(err, fs.ErrPermission):
		return keyOfKind(kindOf(e.bus.Key))
	case bad != nil:
		damage := keyOfKind(kindOf(e.bus.Key))
		damage.What = e.bus.Key
		e.add(damage)
	}
	return fault(KeyOpen, "chmod 600 "+e.bus.Key+", and make a new key if others had access: unibus key new",
		"others may read the key (mode %04o)", modeOf(e.bus.Key))
}

func modeOf(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // it is gone meanwhile
	}
	return info.Mode().Perm()
}

func keyOfKind(kind string) Finding {
	if kind == "" {
		return fault(KeyDamaged, "look for a typing error, restore the file, or make a new key: unibus key new",
			"no line of it is a user's seed, which begins with SU")
	}
	return fault(KeyKind, "give the file of a user's seed, which begins with SU; unibus key new makes one", "it is %s, not a user's seed", kind)
}

// mostKey is the most bytes of a key's file that are looked at.
const mostKey = 4 << 10

// read reads so much of a file.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, mostKey))
}

// kindOf names what a file has instead of a user's seed, empty for nothing that is known. It repeats nothing of it.
func kindOf(path string) string {
	text, err := read(path)
	defer clear(text)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if nkeys.IsValidPublicKey(string(line)) {
			return "a public key"
		}
		kind, raw, err := nkeys.DecodeSeed(line)
		clear(raw)
		if err == nil && kind != nkeys.PrefixByteUser {
			return "the seed of " + article(kind)
		}
	}
	return ""
}

func article(kind nkeys.PrefixByte) string {
	switch kind {
	case nkeys.PrefixByteAccount:
		return "an account"
	case nkeys.PrefixByteOperator:
		return "an operator"
	}
	return "a " + kind.String()
}
