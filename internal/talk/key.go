// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/file"
)

// keyView is what may be told of a key.
type keyView struct {
	PublicKey string `json:"publicKey"`
	File      string `json:"file,omitempty"`
}

func newKey() *cobra.Command {
	o := &options{}
	c := o.printed(&cobra.Command{
		Use: "key", Short: "Make a key, or show the public half of one",
		Long: `A user is a key. Its seed stays in a file that only you may read; its public half (U...) is what an admin puts on the allowlist. Use one
key for one bus: whoever runs a bus that you use a key on could enter another bus with it, while you connect.`,
	})
	c.AddCommand(newKeyNew(o), newKeyShow(o))
	return c
}

func newKeyNew(o *options) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "new [--out FILE]", Short: "Make a key, write its seed to a file, print its public half", Args: cobra.NoArgs,
		Example: "  unibus key new\n  unibus key new --out work.nk",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if out == "" {
				dir, err := contexts.Folder()
				if err != nil {
					return err
				}
				if err := os.MkdirAll(dir, 0o700); err != nil {
					return fmt.Errorf("make the folder for keys: %w", err)
				}
				out = filepath.Join(dir, "user.nk")
			}
			public, err := writeKey(out)
			if err != nil {
				return err
			}
			if o.output == console.FormatTable || o.output == console.FormatName {
				fmt.Fprintf(c.ErrOrStderr(), "the seed is in %s: keep it secret, and keep a copy; the public key is\n", out)
				_, err := fmt.Fprintln(c.OutOrStdout(), public)
				return err
			}
			return console.Encode(c.OutOrStdout(), o.output, keyView{public, out})
		},
	}
	c.Flags().StringVar(&out, "out", "", "`file` for the seed; one that is there is never overwritten (default: user.nk in the folder of your contexts)")
	return c
}

// writeKey makes a key. The seed is durable before the public half is told to anybody.
func writeKey(path string) (public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	defer pair.Wipe()
	if public, err = pair.PublicKey(); err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	seed, err := pair.Seed()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	seed = append(seed, '\n')
	defer clear(seed)
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s is there already, and a key is never overwritten: pass --out for another file, or see it with: unibus key show %s", path, path)
	}
	if err != nil {
		return "", fmt.Errorf("write the seed: %w", err)
	}
	_, err = w.Write(seed)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		os.Remove(path)
		return "", fmt.Errorf("write the seed to %s: %w", path, err)
	}
	return public, file.Sync(filepath.Dir(path))
}

// mostSeed is the most bytes that are read as a seed.
const mostSeed = 4 << 10

func newKeyShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "show FILE|-", Short: "Show the public half of a key", Args: cobra.ExactArgs(1),
		Example: "  unibus key show work.nk\n  vault read -field=seed secret/unibus | unibus key show -",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			v, key := keyView{}, client.SeedFile(args[0])
			if args[0] == "-" {
				seed, err := readAll(c.Context(), c.InOrStdin(), mostSeed)
				if err != nil {
					return err
				}
				key = client.SeedFunc(func() ([]byte, error) { return seed, nil })
			} else {
				v.File = args[0]
			}
			var err error
			if v.PublicKey, err = key.PublicKey(); err != nil {
				return err
			}
			if o.output == console.FormatTable || o.output == console.FormatName {
				_, err := fmt.Fprintln(c.OutOrStdout(), v.PublicKey)
				return err
			}
			return console.Encode(c.OutOrStdout(), o.output, v)
		},
	}
}
