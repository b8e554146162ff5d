// SPDX-License-Identifier: Apache-2.0

package cut

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner finds the node whose process has the other end of a loopback connection; empty when none has.
func owner(c net.Conn, pids map[string]int) string {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !ok2 {
		return ""
	}
	inode := socket(remote.Port, local.Port)
	if inode == "" {
		return ""
	}
	for name, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is valid
		for _, f := range files {
			if to, err := os.Readlink(f); err == nil && to == "socket:["+inode+"]" {
				return name
			}
		}
	}
	return ""
}

// socket returns the inode of the connection from one port to another.
func socket(from, to int) string {
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", from)) && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", to)) {
				return f[9]
			}
		}
	}
	return ""
}

// listens says whether anybody listens at the address.
func listens(addr string) bool {
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return false
	}
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return true // whoever dials will see
	}
	own := fmt.Sprintf("0100007F:%04X", port)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == own && f[3] == "0A" {
			return true
		}
	}
	return false
}
