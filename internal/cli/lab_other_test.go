// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cli

import "golang.org/x/sys/unix"

func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setpgid: true} }
