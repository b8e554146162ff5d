// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package client

import "io/fs"

func groupMayRead(fs.FileInfo) bool { return false }
