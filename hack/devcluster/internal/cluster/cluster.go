// SPDX-License-Identifier: Apache-2.0

// Package cluster brings clusters up and down: what runs on which machine, with which keys and files.
package cluster

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/unibus/unibus/hack/devcluster/internal/build"
	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
	"github.com/unibus/unibus/hack/devcluster/internal/progress"
)

var (
	// ErrNotUp is returned by what needs a cluster that is up.
	ErrNotUp = errors.New("the cluster is not up")
	// ErrNothing is returned by what looks at a cluster, even one that did not come up, if there is none.
	ErrNothing = errors.New("there is no such cluster")
)

// Cluster is one cluster: all that it has on disk is in its folder, and all that it runs is in its cgroup.
type Cluster struct {
	Name string
	// Dir is gone when the cluster is down.
	Dir      string
	Tools    build.Tools
	Progress *progress.Reporter
	Config   Config

	lock string
}

// Config is what a cluster was brought up with, kept in its folder.
type Config struct {
	Nodes       int           `json:"nodes"`
	Port        int           `json:"port"` // of the API server, on the loopback of the host
	CertManager bool          `json:"certManager"`
	Tools       build.Tools   `json:"tools"` // what it was brought up with last
	Cuts        []network.Cut `json:"cuts,omitempty"`
	// Complete is set when the cluster has been up: what comes before it may be of any state.
	Complete bool `json:"complete"`
}

var names = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// Open returns the cluster of a name, up or not, below the folder of the cache.
func Open(cache, name string) (*Cluster, error) {
	if !names.MatchString(name) {
		return nil, fmt.Errorf("name %q: use 1 to 20 of a-z, 0-9 and -", name)
	}
	// Machines have these to themselves: a cluster that is in one of them would hide from its own nodes.
	for _, hidden := range []string{"/run/", "/var/lib/", "/var/log/", "/var/run/"} {
		if strings.HasPrefix(cache+"/", hidden) {
			return nil, fmt.Errorf("the cache %s is below %s: set XDG_CACHE_HOME to a folder elsewhere", cache, hidden)
		}
	}
	c := &Cluster{Name: name, Dir: filepath.Join(cache, "run", name), lock: filepath.Join(cache, name+".lock")}
	text, err := os.ReadFile(c.path("config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	// A file that was not written to its end is that of a cluster that is not complete.
	_ = json.Unmarshal(text, &c.Config)
	c.Tools = c.Config.Tools
	return c, nil
}

// List returns the names of all clusters that have a folder.
func List(cache string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(cache, "run"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all, nil
}

// NeedUp returns ErrNotUp, with the remedy, for a cluster that has not been brought up, or whose machine has died.
func (c *Cluster) NeedUp() error {
	if c.Config.Complete && len(c.Tools) > 0 && machine.Find(c.path(room)) != 0 && machine.Find(c.path(control)) != 0 {
		return nil
	}
	return fmt.Errorf("cluster %q: %w: run devcluster up --name %s", c.Name, ErrNotUp, c.Name)
}

// NeedAny returns ErrNothing, with the remedy, unless there is something to look at, such as what an Up that failed left.
func (c *Cluster) NeedAny() error {
	if c.Config.Nodes > 0 && len(c.Tools) > 0 {
		return nil
	}
	return fmt.Errorf("cluster %q: %w: run devcluster up --name %s", c.Name, ErrNothing, c.Name)
}

// Kubeconfig is the file by which its owner reaches the cluster.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// Front is the socket by which faults of the API server are set.
func (c *Cluster) Front() string { return c.path("front.sock") }

func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

// cgroup is that of the whole cluster; its machines are below it. It is named after the folder too: what is in it is killed
// by down, and another cache may have a cluster of the same name.
func (c *Cluster) cgroup() string {
	sum := sha256.Sum256([]byte(c.Dir))
	return fmt.Sprintf("devcluster.%s.%x", c.Name, sum[:4])
}

func (c *Cluster) save() error {
	c.Config.Tools = c.Tools
	text, err := json.MarshalIndent(c.Config, "", "  ")
	if err != nil {
		return err
	}
	return write(c.path("config.json"), string(text))
}

// write writes a file whole or not at all.
func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (c *Cluster) cache() string { return filepath.Dir(c.lock) }
