// SPDX-License-Identifier: Apache-2.0

// Package httpapi is the HTTP API of a node: handlers over users, rooms, members, history classes and messages, described by the OpenAPI
// document that they themselves give.
//
// It has no rules of its own. Who may do what is said by package membership, and messages go by the same services as those of NATS
// clients, in the caller's name. What it adds is what HTTP needs: tokens, limits, preconditions, problems.
package httpapi
