// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"github.com/unibus/unibus/internal/embeddednats"
)

// remedyTimers is for a node that would be the one with other timers.
const remedyTimers = "set --raft-timers alike on all nodes of the cluster"

// keepTimers sees to it that a disk starts with the same Raft timers every time. They are the whole cluster's, and a node
// with others causes elections. The first start writes down those of the configuration; later ones keep them, whatever the
// configuration says, unless it says that they are to be changed.
func (f *Formation) keepTimers(cfg *embeddednats.ServerConfig) error {
	f.change.Lock()
	defer f.change.Unlock()
	i, asked := *f.disk.identity, cfg.Timers.String()
	switch {
	case i.Timers == asked:
		return nil
	case i.Timers == "" || f.cfg.ChangeTimers:
		if i.Timers != "" {
			f.log.Warn("raft timers changed; all nodes of the cluster must have been stopped", "from", i.Timers, "to", asked)
		}
		i.Timers = asked
		defer f.publish(nil)
		return f.disk.putIdentity(i)
	}
	kept, err := embeddednats.ParseRaftTimers(i.Timers)
	if err != nil {
		return refuse(remedyBroken, "identity %s: %w", f.disk.path(identityFile), err) // decoding has seen to it
	}
	f.log.Warn("raft timers are the cluster's, the configured ones are not used; to change them stop all nodes, and start them all "+
		"with the new --raft-timers and --raft-timers-change", "used", i.Timers, "configured", asked)
	cfg.Timers = kept
	return nil
}

// timers are those that the node has written down, or is configured for. Empty: not known now.
func (f *Formation) timers(i *identity) string {
	if i != nil && i.Timers != "" {
		return i.Timers
	}
	cfg, err := f.serverConfig(f.cfg.ServerName, "", nil)
	if err != nil {
		return ""
	}
	return cfg.Timers.String()
}

// sameTimers refuses to form a cluster with nodes of other timers.
func (f *Formation) sameTimers(seen []presence) error {
	own := f.timers(nil)
	for _, p := range seen {
		if p.Timers != "" && p.Timers != own {
			return refuse(remedyTimers, "server %s goes by raft timers %s, and this node is configured for %s", p.Name, p.Timers, own)
		}
	}
	return nil
}
