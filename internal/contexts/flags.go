// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/unibus/unibus/api/client"
)

// Flags say which context is meant, and what is otherwise than it says. A flag beats the environment, which beats the context.
type Flags struct {
	Name      string
	Servers   []string
	API       string
	CA        string
	Key       string
	ClusterID string
}

// Add adds the flags of a command that uses a context.
func (f *Flags) Add(to *pflag.FlagSet) {
	to.StringVar(&f.Name, "context", "", "`name` of the context to use; default: the current one (UNIBUS_CONTEXT)")
	f.AddFields(to)
}

// AddFields adds the flags for what a context has.
func (f *Flags) AddFields(to *pflag.FlagSet) {
	to.StringSliceVar(&f.Servers, "server", nil, "`URL` of a node for messages, nats://host:4222; repeated or separated by commas (UNIBUS_SERVER)")
	to.StringVar(&f.API, "api", "", "`URL` of the HTTP API, https://host:8223, or those of several nodes, separated by commas (UNIBUS_API)")
	to.StringVar(&f.CA, "ca", "", "`file` with the CA of the nodes (UNIBUS_CA)")
	to.StringVar(&f.Key, "key", "", "`file` with the seed of your key; never the seed itself (UNIBUS_KEY)")
	to.StringVar(&f.ClusterID, "cluster-id", "", "`id` of the cluster that may be given tokens; default: as learned by context add (UNIBUS_CLUSTER_ID)")
}

// Given is what the flags say and, where they say nothing, the environment.
func (f Flags) Given() Context {
	c := Context{Servers: f.Servers, API: cmp.Or(f.API, os.Getenv("UNIBUS_API")), CA: cmp.Or(f.CA, os.Getenv("UNIBUS_CA")),
		Key: cmp.Or(f.Key, os.Getenv("UNIBUS_KEY")), ClusterID: cmp.Or(f.ClusterID, os.Getenv("UNIBUS_CLUSTER_ID"))}
	if s := os.Getenv("UNIBUS_SERVER"); len(c.Servers) == 0 && s != "" {
		c.Servers = strings.Split(s, ",")
	}
	return c
}

// Resolve returns what is to be used, and the name of the context that it is based on, empty for none. It fails when there is no such
// context, no key or nothing to connect to.
func (f Flags) Resolve() (c Context, name string, err error) {
	path, err := Path()
	if err != nil {
		return c, "", err
	}
	all, err := Load(path)
	if err != nil {
		return c, "", err
	}
	var none error
	name = cmp.Or(f.Name, os.Getenv("UNIBUS_CONTEXT"))
	if c, none = all.Get(name); none != nil && name != "" {
		return c, "", none
	}
	if none == nil {
		name = cmp.Or(name, all.Current)
	}
	given := f.Given()
	c.API, c.CA, c.Key, c.ClusterID = cmp.Or(given.API, c.API), cmp.Or(given.CA, c.CA), cmp.Or(given.Key, c.Key), cmp.Or(given.ClusterID, c.ClusterID)
	if len(given.Servers) > 0 {
		c.Servers = given.Servers
	}
	if err := c.Check(); err != nil {
		if none != nil && !errors.Is(err, client.ErrBadKey) { // that is why
			return c, name, none
		}
		return c, name, fmt.Errorf("where to connect to: %w (--key, --server, --api)", err)
	}
	return c, name, nil
}
