// SPDX-License-Identifier: Apache-2.0

// Package chat is a full-screen program in which people talk in their rooms.
package chat
