// SPDX-License-Identifier: Apache-2.0

// Package client is the way into a bus of UniBus for programs in Go.
//
//	c, err := client.Connect(ctx, client.Options{
//		Servers: []string{"nats://bus.example:4222"},
//		CAFile:  "ca.crt",
//		Key:     client.SeedFile("ann.nk"),
//	})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	room, messages, err := c.Join(ctx, "kitchen", client.LastN(10))
//	if err != nil {
//		return err
//	}
//	if _, err := room.Publish(ctx, client.Message{Data: []byte("hello")}); err != nil {
//		return err
//	}
//	for m, err := range messages.Messages(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Printf("%s: %s\n", m.Sender, m.Data)
//	}
//
// Where somebody has used `unibus context add`, [LoadContext] gives the options. A key is a file that nobody but its owner reads ([SeedFile]),
// in a pod a mounted secret, or whatever a [Signer] says.
//
// # Rooms
//
// A user is in rooms. Of a room that keeps history, a message that Publish has returned for is there, and a [Subscription] gives each
// message once and in order, from wherever one likes. What a room that keeps none is told reaches those who listen at that moment. In
// either, Request asks whoever is there, and Respond answers.
//
// # When nodes go
//
// The client stays connected by itself, to any of Options.Servers. When its node is stopped as planned, it goes to another between
// two messages. When its node is killed, there is a pause: calls wait, and what was on its way is sent again where that can do no harm.
// So is what no node answers, after 0.2 to 2 seconds, by what answers take: nodes that hand over to each other lose a message now and then.
// A call ends with an error when its context does; with one that has no deadline it waits until it is possible again.
//
// # One key for one bus
//
// A client proves who it is by a signature over what the server sends. So a server that poses as a node could have anything signed, if
// the client signed anything: this one signs nothing but what has the form of a nonce, which no token and no order of a cluster has. A nonce,
// though, is as good on one bus as on another: whoever runs a bus that a key is used on can, while its user connects, enter another bus as that
// user. Use one key for one bus, and give the CA of its nodes.
//
// # The HTTP API
//
// [API] changes who is a user, which rooms there are and who is in them. It works without a connection to the bus (NewAPI), too. Given the URLs
// of several nodes it goes on when one of them is gone.
package client
