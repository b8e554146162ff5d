// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"
)

const inventoryFile = "cluster.yaml"

// inventory is what a cluster is made of and what is wished of it.
type inventory struct {
	// Version counts the writes.
	Version uint64 `yaml:"version"`
	// Name is the cluster's name, and the prefix of its server names.
	Name string `yaml:"name"`
	// ClusterID is written here, beside the record, before the cluster is founded: when the record is lost, nothing is founded anew.
	ClusterID string `yaml:"clusterID,omitempty"`
	// Replicas is the wished number of members.
	Replicas int `yaml:"replicas"`
	// Size is how many places are to run.
	Size int `yaml:"size"`
	// Stopped is set while the nodes of this machine are to stay stopped; whoever wishes something else takes it back.
	Stopped bool `yaml:"stopped,omitempty"`
	// Dead are server names that a person has declared lost with their disks.
	Dead []string `yaml:"dead,omitempty"`
	// Admins are the first admins of the bus, for the nodes that are processes of this machine.
	Admins []admin `yaml:"admins,omitempty"`
	// TLS is how nodes on other hosts are spoken to.
	TLS tlsFiles `yaml:"tls,omitempty"`
	// Places are all places for nodes, by number. They are never reordered.
	Places []place `yaml:"places,omitempty"`
}

// place is one place for a node.
type place struct {
	// Control is the URL of its control endpoint.
	Control string `yaml:"control"`
	// API is the URL of its HTTP API, known of local nodes only.
	API string `yaml:"api,omitempty"`
	// Local is set for a process that is ours to start and stop.
	Local *local `yaml:"local,omitempty"`
	// DiskID, Route and Client were seen last.
	DiskID string `yaml:"diskID,omitempty"`
	Route  string `yaml:"route,omitempty"`
	Client string `yaml:"client,omitempty"`
}

// local is a process on this machine.
type local struct {
	// PID is that of the last start.
	PID int `yaml:"pid,omitempty"`
}

// tlsFiles are for mutual TLS with nodes on other hosts.
type tlsFiles struct {
	CA   string `yaml:"ca,omitempty"`
	Cert string `yaml:"cert,omitempty"`
	Key  string `yaml:"key,omitempty"`
	// Name is what the nodes' certificates bear; empty means defaultTLSName.
	Name string `yaml:"name,omitempty"`
}

// inventory reads the inventory. It fails, with the remedy, when there is none.
func (f folder) inventory() (inventory, error) {
	b, err := os.ReadFile(f.path(inventoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return inventory{}, fmt.Errorf("no cluster in %s; make one with: unibus cluster create --dir %s", f.dir, f.dir)
	}
	if err != nil {
		return inventory{}, fmt.Errorf("read the inventory: %w", err)
	}
	var inv inventory
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&inv); err != nil {
		return inventory{}, fmt.Errorf("the inventory %s is damaged: %w; correct it", f.path(inventoryFile), err)
	}
	return inv, nil
}

// update changes the inventory under the lock, as it is then. Nothing is written when change fails or changes nothing.
func (f folder) update(ctx context.Context, change func(*inventory) error) (inventory, error) {
	var out inventory
	err := f.locked(ctx, lockFile, func() error {
		inv, err := f.inventory()
		if err != nil {
			return err
		}
		before, err := yaml.Marshal(inv)
		if err != nil {
			return fmt.Errorf("encode the inventory: %w", err)
		}
		if err := change(&inv); err != nil {
			return err
		}
		after, err := yaml.Marshal(inv)
		if err != nil {
			return fmt.Errorf("encode the inventory: %w", err)
		}
		out = inv
		if bytes.Equal(before, after) {
			return nil
		}
		out.Version++
		return f.writeInventory(out)
	})
	return out, err
}

// createInventory writes the first inventory, never over another one.
func (f folder) createInventory(ctx context.Context, inv inventory) error {
	return f.locked(ctx, lockFile, func() error {
		if f.exists(inventoryFile) {
			return fmt.Errorf("%s has a cluster already", f.dir)
		}
		inv.Version = 1
		return f.writeInventory(inv)
	})
}

func (f folder) writeInventory(inv inventory) error {
	b, err := yaml.Marshal(inv)
	if err != nil {
		return fmt.Errorf("encode the inventory: %w", err)
	}
	return f.write(inventoryFile, b, 0o600)
}

// runs says whether the local node of a place is to run.
func (inv inventory) runs(i int) bool { return i < inv.Size && !inv.Stopped }

// clone returns a copy that shares nothing.
func (inv inventory) clone() inventory {
	inv.Dead = slices.Clone(inv.Dead)
	inv.Admins = slices.Clone(inv.Admins)
	inv.Places = slices.Clone(inv.Places)
	for i, p := range inv.Places {
		if p.Local != nil {
			l := *p.Local
			inv.Places[i].Local = &l
		}
	}
	return inv
}

// startsNodes says whether nodes of this cluster are processes that this program starts.
func (inv inventory) startsNodes() bool {
	return inv.Replicas > len(inv.Places) || slices.ContainsFunc(inv.Places, func(p place) bool { return p.Local != nil })
}
