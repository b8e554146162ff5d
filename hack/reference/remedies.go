// SPDX-License-Identifier: Apache-2.0

package main

// remedies says what to do about each code of an answer, each error of the client library that stands for no code, and each exit code. An
// entry too few or too many fails the run.
var remedies = map[string]string{
	"malformed": "send what is taken there; the message says what is wrong with the request",
	"internal":  "try again; if it stays, look into the log of the node that answered",
	"forbidden": "have an admin of the room take you in, or give you another role; what only admins of the bus may, have one of them do",
	"not-kept":  "publish instead, to those who are listening; or make a room with a history class: that of a room can't be changed",
	"too-large": "send a smaller one; or have an admin let the class take it (`unibus class set --message-bytes`)",
	"header":    "leave the header out, or let its name begin with `App-`",
	"rate": "wait (over HTTP as long as `Retry-After` says) and go on more slowly; what classes allow an admin changes " +
		"(`unibus class set --user-rate --room-rate`)",
	"full":        "wait until messages expire, or have an admin make the class larger or let it roll (`unibus class set`)",
	"unavailable": "try again, a message that may be kept with the same message id; `/healthz` of the node says what is wrong with it",
	"token":       "make a new token; if that is refused, `unibus doctor` tells a key that is not listed, a wrong clock and another cluster apart",
	"not-found":   "look at the spelling; or ask an admin whether you are in that room",
	"exists":      "choose another name, or use what is there; the name of a room that is being deleted is free once its history is gone",
	"conflict":    "read it again, and change what it is now",
	"in-use":      "delete the class's rooms first",
	"last-admin":  "make somebody else an admin first (`unibus user admin USER on`)",
	"limit":       "remove what is not needed any more, ask for less, or give the node's store more (`--store-max-bytes`); the message says which",
	"slow":        "follow again, and read faster; give a room of which nothing may be missed a history class",
	"invalid":     "correct the field",

	"unsigned": "give the node the public half of the cluster's order key (`--order-key`), and sign with that key; `unibus cluster init` prints it",
	"nonce":    "read the node's status again and sign a new order; `unibus cluster` does that by itself",
	"cluster":  "see that the URL is that of the right node, and what `--cluster-name` and `--cluster-id` it is given",
	"disk":     "read the node's status again: another disk is mounted there than before",
	"name":     "see that the URL is that of the right node; a name that was removed never comes back, so give a new one",
	"state":    "wait if the message says so, or send the kind of order that it names; `unibus cluster` looks again and goes on",

	"ErrInternal":  "try again; if it stays, look into the log of the node that answered; a newer library may know the code",
	"ErrRemoved":   "have an admin put the key on the allowlist (`unibus user add`); `unibus doctor` says whether it is there",
	"ErrBadKey":    "name a file that has a user's seed and mode 0600; `unibus key new` makes one",
	"ErrBadServer": "see that the URL is that of a node of UniBus, and that the CA is that of its nodes; `unibus doctor` looks at both",
	"ErrInsecure":  "use `https` and `tls` URLs, and nodes that have `--tls-cert`; without TLS nodes are used on loopback only",
	"ErrSlow":      "take messages faster, or subscribe in a room that keeps history, where none is lost",
	"ErrNoAnswer":  "see that who answers is there, a member of the room, and waits for requests",
	"ErrAnswer":    "read the text: it is that of who answered",
	"ErrClosed":    "connect, or subscribe, anew",

	"unibus 0":   "nothing",
	"unibus 1":   "do what the message says; `unibus doctor` says more if it is about a connection",
	"unibus 2":   "`unibus COMMAND --help`",
	"unibus 3":   "do what the message says ([all of them](refusals.md#scaling-needs-a-person)), and run the same command again",
	"unibus 4":   "run the same command again",
	"unibus 5":   "run it again and answer `yes`, or give `--yes`",
	"unibus 6":   "stop writing, keep all disks and ledgers; see which node has what is missing before anything is changed",
	"unibus 130": "run the same command again",

	"membershipd 0": "nothing",
	"membershipd 1": "start it again; if it fails again, its log says why",
	"membershipd 2": "do what the message says ([all of them](refusals.md)); started again as it is, it says the same",
	"membershipd 3": "start it again; give it more time to stop",
}
