// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"log/slog"
	"syscall"
)

// openFiles is how many files and connections the process may have open at a time; 0 when the system does not tell.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}

// clients is how many clients may connect at a time: at most three quarters of what may be open. The rest is for streams, other nodes, and the API by
// which whoever takes too many is removed.
func clients(wanted int, open uint64, log *slog.Logger) int {
	most := open / 4 * 3
	if most == 0 || uint64(wanted) <= most {
		return wanted
	}
	log.Info("clients are bounded by the files that the process may have open", "max-connections", wanted, "open-files", open, "clients", most)
	return int(most)
}

// ofOne is how many of the clients may be one user's: an eighth, so that it takes eight users to keep all others out. Where few may connect at all
// it is sixteen, enough for the programs of a person.
func ofOne(clients int) int { return max(clients/8, 16) }
