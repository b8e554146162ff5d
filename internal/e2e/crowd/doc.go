// SPDX-License-Identifier: Apache-2.0

// Package crowd puts users into rooms of a cluster and judges what becomes of them: a director changes at random who is on the allowlist
// and in which room, and makes rooms anew, while the users talk, append, follow and read history, also where they may not.
//
// What is judged is what they were answered and given, against a model of who may do what when. A change is certain from its answer on, plus
// a bound; between its call and that nobody can say, and nothing is judged by it. No message may reach who may not have it, no
// request be granted to who may not make it or refused to who may, and each room's history has all that was answered for, once, for
// who reads it as for who follows it.
//
// It is for tests and the programs in hack only.
package crowd
