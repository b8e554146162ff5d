// SPDX-License-Identifier: Apache-2.0

package cli

import "golang.org/x/sys/unix"

// attributes keep a command from outliving the test: the system kills it should the test program die.
func attributes() *unix.SysProcAttr {
	return &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
}
