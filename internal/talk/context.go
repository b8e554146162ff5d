// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
)

// contextView is a context with its name.
type contextView struct {
	Name    string `json:"name"`
	Current bool   `json:"current,omitempty"`
	contexts.Context
}

func newContext() *cobra.Command {
	o := &options{}
	c := o.printed(&cobra.Command{
		Use: "context", Short: "Remember where buses are and who you are on each",
		Long: `A context is a bus, the CA of its nodes and your key for it. The current one is used by every command that is not told another one by
--context or UNIBUS_CONTEXT. They are kept in $UNIBUS_CONTEXTS, or unibus/contexts.json in your folder for configuration.`,
	})
	use := contextCommand("use NAME", "Make a context the current one", func(_ *cobra.Command, f *contexts.File, name string) error { return f.Use(name) })
	remove := contextCommand("remove NAME", "Forget a context; its key stays where it is", func(_ *cobra.Command, f *contexts.File, name string) error { return f.Remove(name) })
	remove.PreRunE = func(c *cobra.Command, args []string) error {
		if o.yes {
			return nil
		}
		return console.Confirm(c.Context(), c.InOrStdin(), c.ErrOrStderr(), fmt.Sprintf("Forget context %q?", args[0]))
	}
	c.AddCommand(newContextAdd(o), newContextList(o), newContextShow(o), newContextCurrent(o), use, o.asking(remove))
	return c
}

// contextCommand changes the file of contexts.
func contextCommand(use, short string, change func(*cobra.Command, *contexts.File, string) error) *cobra.Command {
	verb, _, _ := strings.Cut(use, " ")
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1), Example: "  unibus context " + verb + " work", ValidArgsFunction: completeContexts,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := contexts.Path()
			if err != nil {
				return err
			}
			return contexts.Update(c.Context(), path, func(f *contexts.File) error { return change(c, f, args[0]) })
		},
	}
}

func newContextAdd(o *options) *cobra.Command {
	var given contexts.Flags
	c := &cobra.Command{
		Use: "add NAME --server URL --api URL --ca FILE --key FILE", Short: "Add a context, and learn which cluster it is", Args: cobra.ExactArgs(1),
		Long: `Asks the HTTP API which cluster it is of and keeps that: no other cluster is given a token later. The first context becomes the current one.`,
		Example: `  unibus context add work --server nats://bus.example:4222 --api https://bus.example:8223 --ca ca.crt --key work.nk
  unibus context add home --server nats://127.0.0.1:4222 --api http://127.0.0.1:8223 --key home.nk`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			path, err := contexts.Path()
			if err != nil {
				return err
			}
			made, err := learn(c.Context(), c.ErrOrStderr(), given.Given())
			if err != nil {
				return fmt.Errorf("context %s was not added: %w", args[0], err)
			}
			if err := contexts.Update(c.Context(), path, func(f *contexts.File) error { return f.Add(args[0], made) }); err != nil {
				return err
			}
			return o.printContexts(c.OutOrStdout(), args[0])
		},
	}
	given.AddFields(c.Flags())
	return c
}

// askLimit is how long the API may take to say which cluster it is of.
const askLimit = 30 * time.Second

// learn makes a context of what was given: its files by their full paths, and the id of the cluster that the API is of.
func learn(ctx context.Context, notice io.Writer, c contexts.Context) (contexts.Context, error) {
	for _, path := range []*string{&c.CA, &c.Key} {
		if *path == "" {
			continue
		}
		full, err := filepath.Abs(*path)
		if err != nil {
			return c, fmt.Errorf("%s: %w", *path, err)
		}
		*path = full
	}
	if c.Key == "" {
		return c, console.Failf(console.ExitUsage, "--key is needed: the file of your key's seed; make one with: unibus key new")
	}
	if c.API == "" {
		_, err := client.SeedFile(c.Key).PublicKey()
		return c, err
	}
	api, err := client.NewAPI(c.Options())
	if err != nil {
		return c, err
	}
	defer api.Close()
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	defer console.Waiting(notice, c.API)()
	cluster, err := api.Cluster(ctx)
	if err != nil {
		return c, fmt.Errorf("which cluster is at %s: %w; see that --api and --ca are right", c.API, err)
	}
	if c.ClusterID != "" && c.ClusterID != cluster.ID {
		return c, fmt.Errorf("at %s is cluster %s, not %s", c.API, console.Clean(cluster.ID), c.ClusterID)
	}
	c.ClusterID = cluster.ID
	return c, nil
}

func newContextList(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all contexts", Args: cobra.NoArgs, Example: "  unibus context list",
		RunE: func(c *cobra.Command, _ []string) error { return o.printContexts(c.OutOrStdout(), "") },
	}
}

func newContextShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show a context, by default the current one", Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeContexts,
		Example: "  unibus context show\n  unibus context show work -o json",
		RunE: func(c *cobra.Command, args []string) error {
			f, err := load()
			if err != nil {
				return err
			}
			return o.printContexts(c.OutOrStdout(), cmp.Or(strings.Join(args, ""), f.Current))
		},
	}
}

func newContextCurrent(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "current", Short: "Print the name of the current context", Args: cobra.NoArgs, Example: "  unibus context current",
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := load()
			if err == nil {
				_, err = f.Get("")
			}
			if err != nil {
				return err
			}
			if o.output == console.FormatTable {
				o.output = console.FormatName
			}
			return o.printContexts(c.OutOrStdout(), f.Current)
		},
	}
}

func load() (contexts.File, error) {
	path, err := contexts.Path()
	if err != nil {
		return contexts.File{}, err
	}
	return contexts.Load(path)
}

// printContexts prints one context, or all if the name is empty.
func (o *options) printContexts(w io.Writer, name string) error {
	if err := o.check(); err != nil {
		return err
	}
	f, err := load()
	if err != nil {
		return err
	}
	if name != "" {
		c, err := f.Get(name)
		if err != nil {
			return err
		}
		return one(w, o.output, contextColumns, contextView{name, f.Current == name, c})
	}
	var views []contextView
	for _, name := range f.Names() {
		views = append(views, contextView{name, f.Current == name, f.Contexts[name]})
	}
	return list(w, o.output, contextColumns, views)
}

var contextColumns = columns[contextView]{
	head: []string{"CURRENT", "NAME", "SERVERS", "API", "CLUSTER", "KEY"},
	name: func(v contextView) string { return v.Name },
	row: func(v contextView) []string {
		mark := ""
		if v.Current {
			mark = "*"
		}
		return []string{mark, v.Name, strings.Join(v.Servers, " "), v.API, v.ClusterID, v.Key}
	},
}
