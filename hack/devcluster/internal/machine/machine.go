// SPDX-License-Identifier: Apache-2.0

// Package machine makes things that act like machines: an init with its own processes, mounts, network, hostname and
// cgroup. All that such a machine does ends with its init, whoever kills it: the kernel kills the processes, and with
// the last of them its mounts, its links and its firewall are gone.
//
// The outermost machine of a cluster, the room, shares the network of its host; the others are started within it.
package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Command is the argument that makes this program an init; the folder of the machine follows it.
const Command = "internal-machine"

// Spec says what a machine is. It is kept in the machine's folder, as spec.json.
type Spec struct {
	// Name is the hostname.
	Name string `json:"name"`
	// Dir holds what the machine has on disk: its spec, socket, logs, temporary files, and /var/lib and /var/log if it has its own.
	Dir string `json:"dir"`
	// Cgroup is the cgroup of the machine below the root of each hierarchy.
	Cgroup string `json:"cgroup"`
	// Outer is set for a machine that keeps the network and the folders of its host.
	Outer bool `json:"outer,omitempty"`
}

// Save writes the spec to where the init looks for it.
func (s Spec) Save() error {
	for _, dir := range []string{filepath.Join(s.Dir, "log"), s.temporary()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.Dir, "spec.json"), text, 0o644)
}

// temporary is where its processes have their temporary files: what is killed leaves some.
func (s Spec) temporary() string { return filepath.Join(s.Dir, "tmp") }

func load(dir string) (Spec, error) {
	var s Spec
	text, err := os.ReadFile(filepath.Join(dir, "spec.json"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s/spec.json: %w", dir, err)
	}
	return s, nil
}

// Process is a program that a machine runs.
type Process struct {
	Name string
	// Args are the program's absolute path and its arguments.
	Args []string
	// Env is added to the PATH that every process has.
	Env []string
	// Machine is set for the init of another machine.
	Machine bool
}

// State is what became of a process.
type State struct {
	Process
	// Pid is as the machine sees it.
	Pid     int
	Started time.Time
	// Ended is empty while the process runs, else how it ended.
	Ended string
	// Paused is set while a process that runs is stopped by a signal. Only List tells.
	Paused bool
}

// Log returns the file that has the output of a process of the machine in dir.
func Log(dir, process string) string { return filepath.Join(dir, "log", process+".log") }

func socket(dir string) string { return filepath.Join(dir, "init.sock") }

// args are what the init of a machine is started with; Find knows it by them.
func args(dir string) []string { return []string{Command, dir} }

// isInit tells whether a command line, as /proc has it, is that of the init of the machine in dir.
func isInit(cmdline []byte, dir string) bool {
	fields := slices.Collect(splitZero(cmdline))
	return len(fields) == 3 && slices.Equal(fields[1:], args(dir))
}
