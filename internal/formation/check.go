// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/unibus/unibus/internal/embeddednats"
)

// Remedies that several refusals share.
const (
	remedyBroken = "restore the whole store folder from one backup of this disk; or, when the cluster's other members have the data, " +
		"move the folder away (keep it), remove this server from the cluster (unibus cluster remove) and start with an empty folder"
	remedyForeign = "point --store-dir to the folder of this node; or move the folder away (keep it) and start with an empty one"
)

// check refuses what no sequence of crashes of this program can leave behind: a foreign store, files of two disks, a disk
// that was restored in part or lost its store.
func (d *disk) check() error {
	switch {
	case d.identity == nil && d.filled(storeDir):
		return refuse("start the program that made it, or move the store away (keep it) and start with an empty folder: "+
			"opened as a cluster's, JetStream would delete its streams",
			"%s holds a JetStream store but no identity: a standalone or foreign store", d.dir)
	case d.identity == nil && (d.journal != nil || d.filled(asideDir) || d.filled(helperDir)):
		return refuse(remedyBroken, "%s has no identity but traces of one: it was restored in part, or %s was deleted", d.dir, identityFile)
	case d.identity == nil:
		return nil
	case d.id == "":
		return refuse(remedyBroken, "%s has an identity but no %s: it was copied or restored in part", d.dir, diskIDFile)
	case d.identity.DiskID != d.id:
		return refuse(remedyBroken, "%s has the identity of disk %s but is disk %s: files of two disks were mixed", d.dir, d.identity.DiskID, d.id)
	}
	if j := d.journal; j != nil {
		if j.DiskID != d.id || j.ClusterID != d.identity.ClusterID || (j.Old != d.identity.ServerName && j.ServerName != d.identity.ServerName) {
			return refuse(remedyBroken, "%s has a wipe journal of %s to %s that is not of its identity %s: files of two disks were mixed",
				d.dir, j.Old, j.ServerName, d.identity.ServerName)
		}
		return nil // where the store is depends on how far the wipe came
	}
	// A server that learns of its removal deletes that state; its disk is marked, and only waits.
	if d.identity.Mark == "" && d.hollow() {
		return refuse(remedyBroken, "%s is the disk of server %s, but %s does not hold the cluster's state: "+
			"the store was lost, or another volume is mounted there", d.dir, d.identity.ServerName, d.path(storeDir))
	}
	return nil
}

// hollow says whether the disk has an identity whose store is gone: it was lost, or deleted by a server that learned of its
// removal. Started, it would be a member that votes and has forgotten everything.
func (d *disk) hollow() bool {
	return d.identity != nil && d.identity.State != stateNew && !d.hasMeta()
}

// checkConfig refuses a disk that is not the one that the configuration is for.
func (d *disk) checkConfig(cfg *Config) error {
	i := d.identity
	if i == nil {
		return nil
	}
	name := i.ServerName
	if d.journal != nil {
		name = d.journal.ServerName
	}
	switch {
	case i.ClusterName != cfg.ClusterName:
		return refuse(remedyForeign+"; or set --cluster-name "+i.ClusterName, "%s is a disk of cluster %q, not of %q", d.dir, i.ClusterName, cfg.ClusterName)
	case cfg.ClusterID != "" && i.ClusterID != "" && i.ClusterID != cfg.ClusterID:
		return refuse(remedyForeign, "%s is a disk of the cluster with id %s, not %s", d.dir, i.ClusterID, cfg.ClusterID)
	case cfg.ServerName != "" && name != cfg.ServerName:
		return refuse(remedyForeign+"; or set --server-name "+name+", or none: the name belongs to the disk",
			"%s is the disk of server %q, not of %q", d.dir, name, cfg.ServerName)
	}
	return nil
}

// errFound ends a walk.
var errFound = errors.New("found")

// filled says whether a folder has anything in it that is not a folder. What can't be read counts: it is not known to be
// empty.
func (d *disk) filled(name string) bool {
	err := filepath.WalkDir(d.path(name), func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || !e.IsDir():
			return errFound
		}
		return nil
	})
	return err != nil
}

// hasMeta says whether the store has the state of a meta group: every JetStream store of a cluster has it, from its first
// start on, whichever account is the system's.
func (d *disk) hasMeta() bool { return d.metaPeers() != "" }

// metaPeers is the file in which the store keeps who is in its meta group, empty when it has none.
func (d *disk) metaPeers() string {
	found, err := fs.Glob(os.DirFS(d.path(storeDir)), "*/_js_/_meta_/peers.idx")
	if err != nil || len(found) == 0 {
		return ""
	}
	return filepath.Join(d.path(storeDir), filepath.FromSlash(found[0]))
}

// alone says whether the store's meta group has no other member than the server of that name. Such a disk leads as soon as it
// starts. Put back when there are others, it leads them without what they have, and they forget it.
func (d *disk) alone(name string) bool { return embeddednats.Alone(d.metaPeers(), name) }
