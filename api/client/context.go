// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Context is a bus and who the caller is on it, as `unibus context` remembers it.
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

// Contexts are all of a file. Current is the one that is used when none is named.
type Contexts struct {
	Current  string             `json:"current,omitempty"`
	Contexts map[string]Context `json:"contexts"`
}

// mostContexts is the most bytes that a file of contexts has, mostName and mostField those of a name and a field.
const mostContexts, mostName, mostField = 1 << 20, 64, 4 << 10

// Options are what Connect and NewAPI take.
func (c Context) Options() Options {
	return Options{Servers: c.Servers, API: c.API, ClusterID: c.ClusterID, CAFile: c.CA, Key: SeedFile(c.Key)}
}

// Check fails with ErrInvalid for a context that can't be used, and with ErrBadKey for one that has a seed where the name of its file is wanted.
func (c Context) Check() error {
	if seedForm.MatchString(c.Key) {
		return &refusal{ErrBadKey, errSeed}
	}
	wrong := func(text string) error { return &refusal{ErrInvalid, errors.New(text)} }
	for _, field := range append([]string{c.API, c.CA, c.Key, c.ClusterID}, c.Servers...) {
		if len(field) > mostField || strings.ContainsFunc(field, unicode.IsControl) {
			return wrong("a field is too long, or has characters that can't be printed")
		}
	}
	switch {
	case c.Key == "":
		return wrong("it names no key: give the file of a seed")
	case len(c.Servers) == 0 && c.API == "":
		return wrong("it names neither a server nor an API")
	case slices.Contains(c.Servers, ""):
		return wrong("a server is empty")
	}
	return nil
}

// Check fails with ErrInvalid for a context that can't be used or has a name that would be awkward in a command line, or if the current one is not
// there.
func (c Contexts) Check() error {
	for _, name := range c.names() {
		err := checkName(name)
		if bad := c.Contexts[name].Check(); err == nil && bad != nil {
			err = fmt.Errorf("context %s: %w", name, bad)
		}
		if err != nil {
			return &refusal{ErrInvalid, err}
		}
	}
	if _, there := c.Contexts[c.Current]; !there && c.Current != "" {
		return &refusal{ErrInvalid, fmt.Errorf("the current context %.80q is not among them", c.Current)}
	}
	return nil
}

func checkName(name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	if name == "" || len(name) > mostName || name[0] == '-' || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("context name %.80q: use 1 to %d letters, digits, '.', '_' and '-', which may not be the first", name, mostName)
	}
	return nil
}

func (c Contexts) names() []string { return slices.Sorted(maps.Keys(c.Contexts)) }

// Get returns a context by its name, the current one if that is empty. It fails with ErrNotFound.
func (c Contexts) Get(name string) (Context, error) {
	if name == "" {
		name = c.Current
	}
	if one, there := c.Contexts[name]; there {
		return one, nil
	}
	none := func(format string, args ...any) (Context, error) {
		return Context{}, &refusal{ErrNotFound, fmt.Errorf(format, args...)}
	}
	switch {
	case len(c.Contexts) == 0:
		return none("there are no contexts: make one with: unibus context add NAME --server URL --api URL --ca FILE --key FILE")
	case name == "":
		return none("no context is the current one: choose with: unibus context use NAME (there are %s)", strings.Join(c.names(), ", "))
	}
	return none("there is no context %.80q: there are %s", name, strings.Join(c.names(), ", "))
}

// ReadContexts reads a file of contexts. It fails with ErrNotFound when there is none, with ErrInvalid when it is none of contexts, a link that leads
// nowhere, or one that others may write, who would so say where the key is used; and with the file system's error.
func ReadContexts(path string) (c Contexts, err error) {
	content, err := readChecked(path, mostContexts, func(info fs.FileInfo) error {
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			return &refusal{ErrInvalid, fmt.Errorf("others may write it (mode %04o), and so say where you connect to: look through it, then chmod 600 it", mode)}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		if _, there := os.Lstat(path); there == nil {
			return c, &refusal{ErrInvalid, fmt.Errorf("%s: a link that leads nowhere: bring back what it leads to, or remove it", path)}
		}
		return c, fmt.Errorf("%w: make one with: unibus context add: %w", ErrNotFound, err)
	}
	if err == nil {
		c, err = parseContexts(content)
	}
	if err != nil {
		return Contexts{}, fmt.Errorf("the contexts in %s: %w", path, err)
	}
	return c, nil
}

func parseContexts(content []byte) (c Contexts, err error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err = d.Decode(&c); err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the contexts")
		}
	}
	if err != nil {
		return Contexts{}, &refusal{ErrInvalid, fmt.Errorf("damaged: %w; correct it, or move it away", err)}
	}
	if c.Contexts == nil {
		c.Contexts = map[string]Context{}
	}
	return c, c.Check()
}

// LoadContext returns the options of a context that was made with `unibus context add`: where the bus is, its CA, which cluster it is, and the
// key. Without a name it is that of UNIBUS_CONTEXT, or else the current one. What other options there are may be set before Connect or NewAPI.
//
// The file is UNIBUS_CONTEXTS, or unibus/contexts.json in the folder that os.UserConfigDir says. It fails with ErrNotFound when there is no such
// context, with ErrInvalid when neither UNIBUS_CONTEXTS nor HOME is set, and as ReadContexts does.
func LoadContext(name string) (Options, error) {
	c, err := loadContext(cmp.Or(name, os.Getenv("UNIBUS_CONTEXT")))
	if err != nil {
		return Options{}, fmt.Errorf("load a context: %w", err)
	}
	return c.Options(), nil
}

func loadContext(name string) (Context, error) {
	path := os.Getenv("UNIBUS_CONTEXTS")
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return Context{}, fmt.Errorf("%w: set UNIBUS_CONTEXTS or HOME: %w", ErrInvalid, err)
		}
		path = filepath.Join(dir, "unibus", "contexts.json")
	}
	all, err := ReadContexts(path)
	if err != nil {
		return Context{}, err
	}
	return all.Get(name)
}
