// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"
)

const (
	operatorFile = "operator.nk"
	orderFile    = "order.nk"
	passFile     = "cluster.pass"
)

// publicKeys are what a node's configuration needs.
type publicKeys struct {
	Operator string `json:"operatorKey" yaml:"operatorKey"`
	Order    string `json:"orderKey" yaml:"orderKey"`
}

// initKeys makes the keys that are missing and returns their public halves. The operator key logs in; the order key signs orders
// and can never log in, so that neither can be used for the other's work.
func (f folder) initKeys(ctx context.Context) (publicKeys, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return publicKeys{}, fmt.Errorf("make the cluster folder: %w", err)
	}
	var out publicKeys
	err := f.locked(ctx, lockFile, func() error {
		for _, k := range []struct {
			file   string
			create func() (nkeys.KeyPair, error)
		}{{operatorFile, nkeys.CreateUser}, {orderFile, nkeys.CreateOperator}} {
			if f.exists(k.file) {
				continue
			}
			pair, err := k.create()
			if err != nil {
				return fmt.Errorf("make %s: %w", k.file, err)
			}
			seed, err := pair.Seed()
			if err != nil {
				return fmt.Errorf("make %s: %w", k.file, err)
			}
			if err := f.write(k.file, append(seed, '\n'), 0o600); err != nil {
				return err
			}
		}
		if f.exists(passFile) {
			return nil
		}
		pass := make([]byte, 24)
		if _, err := rand.Read(pass); err != nil {
			return fmt.Errorf("make %s: %w", passFile, err)
		}
		return f.write(passFile, []byte(hex.EncodeToString(pass)+"\n"), 0o600)
	})
	if err != nil {
		return out, err
	}
	for file, to := range map[string]*string{operatorFile: &out.Operator, orderFile: &out.Order} {
		pair, err := f.key(file)
		if err != nil {
			return out, err
		}
		if *to, err = pair.PublicKey(); err != nil {
			return out, fmt.Errorf("public half of %s: %w", f.path(file), err)
		}
	}
	return out, nil
}

// key reads a key. The seed never leaves it.
func (f folder) key(file string) (nkeys.KeyPair, error) {
	b, err := os.ReadFile(f.path(file))
	if err != nil {
		return nil, fmt.Errorf("read the key: %w; make one with: unibus cluster init --dir %s", err, f.dir)
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(b))
	if err != nil {
		return nil, fmt.Errorf("the key %s is damaged: %w; restore it from a backup", f.path(file), err)
	}
	return pair, nil
}
