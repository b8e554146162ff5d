// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/api/client"
)

// key asks for the public key, as the client library does, and looks closer where that fails.
func (e *examination) key(context.Context) Finding {
	user, err := client.SeedFile(e.bus.Key).PublicKey()
	if err == nil {
		e.user = user
		return fine("it is the key of user %s", user)
	}
	info, stat := os.Stat(e.bus.Key)
	switch {
	case errors.Is(stat, fs.ErrNotExist):
		return fault(KeyMissing, "name the right file (--key FILE, or in the context), or make a key: unibus key new", "there is no such file")
	case stat == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return fault(KeyOpen, "chmod 600 "+e.bus.Key+", and make a new key if others had access: unibus key new",
			"others may read the key (mode %04o)", info.Mode().Perm())
	case errors.As(err, new(*fs.PathError)):
		return fault(KeyUnreadable, "make it a file that you may read, and nobody else", "it can't be read: %v", err)
	}
	return keyOfKind(kindOf(e.bus.Key))
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

// kindOf names what a file has instead of a user's seed, empty for nothing that is known. It repeats nothing of it.
func kindOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostKey))
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
