// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/unibus/unibus/api/client"
)

// ErrDamaged is returned for a file that is none of contexts.
var ErrDamaged = errors.New("damaged")

// Context is a bus and who the caller is on it.
type Context struct {
	// Servers are nodes' client ports, API the base URL of the HTTP API, or those of several nodes, separated by commas. One of them is there.
	Servers []string `json:"servers,omitempty"`
	API     string   `json:"api,omitempty"`
	// CA and Key are files: the CAs of the nodes, the seed of the caller's key.
	CA  string `json:"ca,omitempty"`
	Key string `json:"key"`
	// ClusterID is what the API said it is of when the context was made. No other is given a token.
	ClusterID string `json:"clusterID,omitempty"`
}

// File is all contexts. Current is the one that is used when none is named.
type File struct {
	Current  string             `json:"current,omitempty"`
	Contexts map[string]Context `json:"contexts"`
}

// Names are the names of all contexts, sorted.
func (f File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// mostName and mostField are in bytes.
const (
	mostName  = 64
	mostField = 4 << 10
)

// CheckName refuses a name that would be awkward in a command line.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	if name == "" || len(name) > mostName || name[0] == '-' || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("context name %.80q: use 1 to %d letters, digits, '.', '_' and '-', which may not be the first", name, mostName)
	}
	return nil
}

// seedForm is anything that may be a seed, whole or with a typing error: no name of a file looks so.
var seedForm = regexp.MustCompile(`\bS[A-Z][A-Z2-7]{40}`)

// CheckKey refuses a seed where the name of its file is wanted, and does not repeat it.
func CheckKey(file string) error {
	if seedForm.MatchString(file) {
		return errors.New("the key is a seed itself, which is secret: give the name of the file that has it; make a new key if others may have read this")
	}
	return nil
}

// check refuses a context that can't be used.
func (c Context) check() error {
	if err := CheckKey(c.Key); err != nil {
		return err
	}
	for _, field := range append([]string{c.API, c.CA, c.Key, c.ClusterID}, c.Servers...) {
		if len(field) > mostField || strings.ContainsFunc(field, unicode.IsControl) {
			return errors.New("a field is too long, or has characters that can't be printed")
		}
	}
	switch {
	case c.Key == "":
		return errors.New("it names no key: give the file of a seed")
	case len(c.Servers) == 0 && c.API == "":
		return errors.New("it names neither a server nor an API")
	case slices.Contains(c.Servers, ""):
		return errors.New("a server is empty")
	}
	return nil
}

// Parse reads a file's content. It fails with ErrDamaged for what is none.
func Parse(content []byte) (File, error) {
	f := File{}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return File{}, fmt.Errorf("%w: something follows the contexts", ErrDamaged)
	}
	if f.Contexts == nil {
		f.Contexts = map[string]Context{}
	}
	for _, name := range f.Names() {
		if err := CheckName(name); err != nil {
			return File{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := f.Contexts[name].check(); err != nil {
			return File{}, fmt.Errorf("%w: context %s: %w", ErrDamaged, name, err)
		}
	}
	if _, ok := f.Contexts[f.Current]; !ok && f.Current != "" {
		return File{}, fmt.Errorf("%w: the current context %.80q is not among them", ErrDamaged, f.Current)
	}
	return f, nil
}

// Get returns a context by its name, the current one if that is empty. It fails when there is none.
func (f File) Get(name string) (Context, error) {
	if name == "" {
		name = f.Current
	}
	if c, ok := f.Contexts[name]; ok {
		return c, nil
	}
	switch {
	case len(f.Contexts) == 0:
		return Context{}, errors.New("there are no contexts: make one with: unibus context add NAME --server URL --api URL --ca FILE --key FILE")
	case name == "":
		return Context{}, fmt.Errorf("no context is the current one: choose with: unibus context use NAME (there are %s)", strings.Join(f.Names(), ", "))
	}
	return Context{}, fmt.Errorf("there is no context %q: there are %s", name, strings.Join(f.Names(), ", "))
}

// Add puts in a new context. The first one becomes the current one. It fails when there is one of that name, or it can't be used.
func (f *File) Add(name string, c Context) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if _, ok := f.Contexts[name]; ok {
		return fmt.Errorf("there is a context %s already: use another name, or remove it with: unibus context remove %s", name, name)
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("context %s: %w", name, err)
	}
	f.Contexts[name] = c
	if len(f.Contexts) == 1 {
		f.Current = name
	}
	return nil
}

// Use makes a context the current one.
func (f *File) Use(name string) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	f.Current = name
	return nil
}

// Remove forgets a context.
func (f *File) Remove(name string) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	delete(f.Contexts, name)
	if f.Current == name {
		f.Current = ""
	}
	return nil
}

// Options are what the client library connects with.
func (c Context) Options() client.Options {
	return client.Options{Servers: c.Servers, API: c.API, ClusterID: c.ClusterID, CAFile: c.CA, Key: client.SeedFile(c.Key)}
}
