// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

func newInit(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Make the operator's and the order key and print their public halves", Args: cobra.NoArgs,
		Long: `Makes the two keys in the cluster's folder, unless they are there, and prints what the configuration of every node on another
host needs: --operator-key and --order-key. Their secret halves never leave the folder.`,
		RunE: func(c *cobra.Command, _ []string) error {
			keys, err := folder{o.dir}.initKeys(c.Context())
			if err != nil {
				return err
			}
			if o.output != console.FormatTable {
				return console.Encode(c.OutOrStdout(), o.output, keys)
			}
			fmt.Fprintf(c.OutOrStdout(), "operator-key: %s\norder-key: %s\n", keys.Operator, keys.Order)
			return nil
		},
	}
}

// nodeFlags are how nodes on other hosts are named and spoken to.
type nodeFlags struct {
	nodes []string
	tls   tlsFiles
}

func (n *nodeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&n.nodes, "node", nil, "URL of the control endpoint of a node that waits for orders; once for each node")
	f.StringVar(&n.tls.CA, "tls-ca", "", "CA of the nodes' certificates (PEM), for nodes on other hosts")
	f.StringVar(&n.tls.Cert, "tls-cert", "", "this program's certificate of that CA (PEM)")
	f.StringVar(&n.tls.Key, "tls-key", "", "its key (PEM)")
	f.StringVar(&n.tls.Name, "tls-name", "", "name that the nodes' certificates bear, *.x for any one label before x (--route-tls-name of the nodes; default: "+defaultTLSName+")")
}

// files are the TLS files with whole paths, since they are written down.
func (n *nodeFlags) files() (tlsFiles, error) {
	out := n.tls
	for _, p := range []*string{&out.CA, &out.Cert, &out.Key} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return out, fmt.Errorf("path %s: %w", *p, err)
		}
		*p = abs
	}
	return out, nil
}

// join adds the nodes to the inventory that it does not have yet.
func (n *nodeFlags) join(inv *inventory) error {
	files, err := n.files()
	if err != nil {
		return err
	}
	if files != (tlsFiles{}) {
		inv.TLS = files
	}
	for _, u := range n.nodes {
		if err := checkControl(u, inv.TLS); err != nil {
			return err
		}
		if !slices.ContainsFunc(inv.Places, func(p place) bool { return p.Control == u }) {
			inv.Places = append(inv.Places, place{Control: u})
		}
	}
	ours := slices.ContainsFunc(inv.Places, func(p place) bool { return p.Local != nil })
	others := slices.ContainsFunc(inv.Places, func(p place) bool { return p.Local == nil })
	switch missing := inv.Replicas - len(inv.Places); {
	case ours && others:
		return console.Failf(console.ExitUsage, "this cluster's nodes are processes that this program started; they listen on loopback only, so that nodes elsewhere can't join them: leave --node out, or make a cluster with create --node")
	case others && missing > 0:
		return console.Failf(console.ExitUsage, "%d nodes are wished and %d are known: name the others with --node; nodes that this program starts could not join those", inv.Replicas, len(inv.Places))
	}
	return nil
}

func newCreate(o *options) *cobra.Command {
	var n nodeFlags
	var name string
	var replicas int
	var first []string
	c := &cobra.Command{
		Use: "create", Short: "Make a cluster: a node on this machine, or nodes that wait on others", Args: cobra.NoArgs,
		Example: "  unibus cluster create\n  unibus cluster create --replicas 3 --admin ann.nk\n  unibus cluster create --node https://10.0.0.1:6223 --tls-ca ca.crt --tls-cert op.crt --tls-key op.key",
		RunE: func(c *cobra.Command, args []string) error {
			f := folder{o.dir}
			if !v1.ValidName(name) {
				return console.Failf(console.ExitUsage, "--name %q: use letters, digits, '.', '_' and '-', the first one a letter or a digit", name)
			}
			if err := checkSize(replicas); err != nil {
				return err
			}
			admins, err := parseAdmins(first)
			if err != nil {
				return err
			}
			if len(admins) > 0 && len(n.nodes) > 0 {
				return console.Failf(console.ExitUsage, "--admin is for nodes that this program starts: those of --node have a setting of that name themselves")
			}
			if _, err := f.initKeys(c.Context()); err != nil {
				return err
			}
			inv := inventory{Name: name, Replicas: replicas, Admins: admins}
			if err := n.join(&inv); err != nil {
				return err
			}
			if f.exists(inventoryFile) {
				had, err := f.inventory()
				if err != nil {
					return err
				}
				if had.Name != name || had.ClusterID != "" && had.Replicas != replicas {
					return fmt.Errorf("%s has cluster %s of %d already: change it with grow or shrink, or choose another --dir", o.dir, had.Name, had.Replicas)
				}
			} else if err := begin(c, o, inv); err != nil {
				return err
			}
			return runWith(o, &n, func(c *cobra.Command, s *session, _ []string) error {
				return s.change(c.Context(), "", func(inv *inventory) error {
					inv.Replicas = replicas
					if len(admins) > 0 { // nodes that run take them when they are started again
						inv.Admins = admins
					}
					if inv.ClusterID == "" && !s.folder.exists(recordFile) {
						n.replace(inv)
					}
					return n.join(inv)
				})
			})(c, args)
		},
	}
	n.add(c)
	c.Flags().StringVar(&name, "name", "unibus", "name of the cluster, and prefix of its server names")
	c.Flags().StringArrayVar(&first, "admin", nil, "`KEY` of a first admin of the bus: public, or the file of its seed; repeated for several. It counts while the bus has no admin, and for nodes that are started from then on")
	c.Flags().IntVar(&replicas, "replicas", 1, "number of members: 1, 3 or 5")
	return c
}

// begin writes the first inventory, once all nodes that it names answer: what is written down stays there, a typing error too.
func begin(c *cobra.Command, o *options, inv inventory) error {
	s, err := openWith(c, o, inv.TLS)
	if err != nil {
		return err
	}
	defer s.close()
	seen, err := s.observeWith(c.Context(), inv)
	if err != nil {
		return err
	}
	if err := checkNodes(seen, tlsFiles{}); err != nil {
		return err
	}
	return s.folder.createInventory(c.Context(), inv)
}

// replace takes nodes out of the inventory that are not named any more, as long as nothing was founded with them.
func (n *nodeFlags) replace(inv *inventory) {
	if len(n.nodes) == 0 {
		return // those that were named before
	}
	inv.Places = slices.DeleteFunc(inv.Places, func(p place) bool { return p.Local == nil && !slices.Contains(n.nodes, p.Control) })
	inv.Size = min(inv.Size, len(inv.Places))
}

// checkSize refuses sizes that gain nothing.
func checkSize(n int) error {
	if n != 1 && n != 3 && n != 5 {
		return console.Failf(console.ExitUsage, "--replicas %d: ask for 1, 3 or 5; with an even number as many losses are fatal as with one less", n)
	}
	return nil
}
