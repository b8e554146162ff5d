// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

// admin is a first admin of the bus.
type admin struct {
	// Key is public.
	Key string `yaml:"key"`
	// File has the key's seed, where it is known. It is told, never read again.
	File string `yaml:"file,omitempty"`
}

// seedForm is anything that may be one, whole or with a typing error, among whatever else: no name of a file looks so.
var seedForm = regexp.MustCompile(`\bS[A-Z][A-Z2-7]{40}`)

// parseAdmins reads what --admin is given: public keys, or files of seeds, of which the public half is taken.
func parseAdmins(given []string) (all []admin, err error) {
	for _, text := range given {
		switch text = strings.TrimSpace(text); {
		case v1.IsUserKey(text):
			all = append(all, admin{Key: text})
		case seedForm.MatchString(text): // it is not repeated
			return nil, console.Failf(console.ExitUsage, "--admin: that is a seed, which is secret: give the public half (U...), or the file that has the seed; make a new key if others may have read this")
		default:
			a := admin{File: text}
			if a.Key, err = client.SeedFile(text).PublicKey(); err != nil {
				return nil, console.Failf(console.ExitUsage, "--admin is neither a public key (U...) nor the file of a key: %w", err)
			}
			if a.File, err = filepath.Abs(text); err != nil {
				return nil, fmt.Errorf("--admin: %w", err)
			}
			all = append(all, a)
		}
	}
	return all, nil
}

func (inv inventory) adminKeys() (keys []string) {
	for _, a := range inv.Admins {
		keys = append(keys, a.Key)
	}
	return keys
}

// addContext is the command that lets the first admin talk on the bus, empty where there is none or nothing is known of the API.
func (inv inventory) addContext() string {
	var servers, apis []string
	for _, p := range inv.Places[:min(inv.Size, len(inv.Places))] {
		if p.API != "" && p.Client != "" {
			servers, apis = append(servers, p.Client), append(apis, p.API)
		}
	}
	if len(inv.Admins) == 0 || len(apis) == 0 {
		return ""
	}
	key := inv.Admins[0].File
	if key == "" {
		key = "FILE"
	}
	return fmt.Sprintf("%s context add %s --server %s --api %s --key %s", console.Word(os.Args[0]), inv.Name, strings.Join(servers, ","), strings.Join(apis, ","), console.Word(key))
}
