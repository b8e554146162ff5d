// SPDX-License-Identifier: Apache-2.0

//go:build unix

package client

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// groupMayRead says whether a file with a secret may be open to its group. What is the caller's own it can close; another's it can't, and a
// container gets its secrets so: they are root's, and open to a group that the pod is in. Root owns them itself there.
func groupMayRead(info fs.FileInfo) bool {
	of, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	groups, err := os.Getgroups()
	if err != nil {
		return false
	}
	return shared(of.Uid, of.Gid, os.Geteuid(), append(groups, os.Getegid()))
}

func shared(owner, group uint32, user int, groups []int) bool {
	return int(owner) != user || user == 0 && slices.Contains(groups, int(group))
}
