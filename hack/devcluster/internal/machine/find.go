// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Find returns the pid, as the caller sees it, of the init of the machine in dir; 0 if it does not run.
func Find(dir string) int {
	for pid := range pids() {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && isInit(line, dir) && !isZombie(pid) {
			return pid
		}
	}
	return 0
}

// Members returns the pids of all processes in a cgroup or below it, in any hierarchy. What has ended is none of them,
// even if nobody reaps it.
func Members(cgroup string) []int {
	var found []int
	for pid := range pids() {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
		if err == nil && inCgroup(string(text), cgroup) && !isZombie(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// inCgroup reads lines like "4:memory:/devcluster.a/node1".
func inCgroup(text, cgroup string) bool {
	for line := range strings.Lines(text) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":/")
		if path == cgroup || strings.HasPrefix(path, cgroup+"/") {
			return true
		}
	}
	return false
}

func pids() iter.Seq[int] {
	return func(yield func(int) bool) {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return
		}
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil && !yield(pid) {
				return
			}
		}
	}
}

// stat returns a process's parent, and its state as /proc has it: Z and X have ended, T was stopped by a signal.
func stat(pid int) (ppid int, state string) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, "X"
	}
	// The name, in brackets, may hold anything.
	_, rest, _ := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 2 {
		return 0, "X"
	}
	ppid, _ = strconv.Atoi(fields[1])
	return ppid, fields[0]
}

// isZombie tells whether a process has ended, and waits to be reaped if it is there at all.
func isZombie(pid int) bool {
	_, state := stat(pid)
	return state == "Z" || state == "X"
}

func splitZero(text []byte) iter.Seq[string] {
	return strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00")
}
