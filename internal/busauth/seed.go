// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"bytes"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"
)

// ReadSeed reads the seed of an nkey from a file. It refuses a file that others than its owner may read, since then it is not
// known who else has the key.
func ReadSeed(path string) (nkeys.KeyPair, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("seed file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("seed file %s may be read by others (mode %04o): chmod 600 it, and make a new key if others had access", path, mode)
	}
	b, err := readFile("seed", path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	pair, err := nkeys.FromSeed(bytes.TrimSpace(b))
	if err != nil {
		return nil, fmt.Errorf("seed file %s holds no nkey seed: %w", path, err)
	}
	return pair, nil
}
