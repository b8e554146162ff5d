// SPDX-License-Identifier: Apache-2.0

// Package contexts remembers where buses are and who the caller is on each, in one file, and lets flags and the environment say otherwise.
// The file names files with keys; it has no secret itself.
package contexts
