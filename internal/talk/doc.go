// SPDX-License-Identifier: Apache-2.0

// Package talk is the commands of unibus for those who use a bus: keys and contexts, users and rooms by the HTTP API, messages by the client
// library.
package talk
