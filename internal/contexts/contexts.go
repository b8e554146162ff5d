// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"fmt"
	"maps"
	"slices"

	"github.com/unibus/unibus/api/client"
)

// ErrDamaged is returned for a file that is none of contexts.
var ErrDamaged = client.ErrInvalid

// Context is a bus and who the caller is on it.
type Context = client.Context

// File is all contexts, to be changed. Current is the one that is used when none is named.
type File client.Contexts

// Names are the names of all contexts, sorted.
func (f File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// Get returns a context by its name, the current one if that is empty. It fails when there is none.
func (f File) Get(name string) (Context, error) { return client.Contexts(f).Get(name) }

// Add puts in a new context. The first one becomes the current one. It fails when there is one of that name, or it can't be used.
func (f *File) Add(name string, c Context) error {
	if _, ok := f.Contexts[name]; ok {
		return fmt.Errorf("there is a context %s already: use another name, or remove it with: unibus context remove %s", name, name)
	}
	if err := (client.Contexts{Contexts: map[string]Context{name: c}}).Check(); err != nil {
		return err
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
