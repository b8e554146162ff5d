// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
)

// Line is what Status says of one process.
type Line struct {
	Machine, Process string
	State            string // "well", "runs", or what is wrong
	Since            time.Time
	Log              string
}

// Status returns what runs on every machine of the cluster, and whether it is well.
func (c *Cluster) Status(ctx context.Context) []Line {
	health := map[string]part{}
	for _, p := range slices.Concat(c.rest(""), c.certManager(), []part{c.store(), c.api()}) {
		health[control+"/"+p.Name] = p
	}
	for n := 1; n <= c.Config.Nodes; n++ {
		for _, p := range c.node(n) {
			health[network.NodeName(n)+"/"+p.Name] = p
		}
	}
	from := machine.Find(c.path(control))
	var all []Line
	for _, name := range c.machines() {
		states, err := machine.List(c.path(name))
		if err != nil {
			all = append(all, Line{Machine: name, Process: "-", State: "is not running"})
			continue
		}
		for _, s := range states {
			if s.Machine {
				continue
			}
			line := Line{Machine: name, Process: s.Name, State: "runs", Since: s.Started, Log: machine.Log(c.path(name), s.Name)}
			if p, ok := health[name+"/"+s.Name]; s.Ended != "" {
				line.State = s.Ended
			} else if s.Paused {
				line.State = "is paused"
			} else if ok && p.health != "" {
				line.State = "well"
				limited, cancel := context.WithTimeout(ctx, 2*time.Second)
				if err := well(limited, from, p); err != nil {
					line.State = "does not answer: " + err.Error()
				}
				cancel()
			}
			all = append(all, line)
		}
	}
	return all
}

func (c *Cluster) machines() []string {
	all := []string{room, control}
	for n := 1; n <= c.Config.Nodes; n++ {
		all = append(all, network.NodeName(n))
	}
	return all
}

// Memory returns how much memory the processes of the cluster have, in bytes; what several share is counted once.
func (c *Cluster) Memory() int64 {
	var sum int64
	for _, pid := range machine.Members(c.cgroup()) {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				kib, _ := strconv.ParseInt(f[1], 10, 64)
				sum += kib << 10
			}
		}
	}
	return sum
}

// ErrNoLog is returned for a component that has no log.
var ErrNoLog = errors.New("no such log")

// Log returns the file of a component's log. A component is a process, or MACHINE/PROCESS if several machines have one
// of that name.
func (c *Cluster) Log(component string) (string, error) {
	if err := c.NeedAny(); err != nil {
		return "", err
	}
	var found, all []string
	for _, name := range c.machines() {
		logs, err := filepath.Glob(c.path(name, "log", "*.log"))
		if err != nil {
			return "", err
		}
		for _, log := range logs {
			process := strings.TrimSuffix(filepath.Base(log), ".log")
			all = append(all, name+"/"+process)
			if component == process || component == name+"/"+process {
				found = append(found, log)
			}
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", fmt.Errorf("component %q: %w, or there are several: name one of %s", component, ErrNoLog, strings.Join(all, ", "))
}

// NodeDir returns the folder of a node's machine, or of that of the control plane for 0.
func (c *Cluster) NodeDir(n int) (string, error) {
	if n < 0 || n > c.Config.Nodes {
		return "", c.noNode(n)
	}
	return c.path(c.machines()[n+1]), nil
}

func (c *Cluster) noNode(n int) error {
	return fmt.Errorf("node %d: cluster %q has nodes 1 to %d", n, c.Name, c.Config.Nodes)
}
