// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unibus/unibus/api/client"
)

// optionsOf are those of two users, ann and bob, on a bus that runs in this process. They have Servers and Key; a bus elsewhere takes a CAFile, too.
func optionsOf(user string) client.Options { return client.OptionsOf(user) }

// Two users meet in a room that keeps history.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ann, err := client.Connect(ctx, optionsOf("ann"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ann.Close()
	bob, err := client.Connect(ctx, optionsOf("bob"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bob.Close()

	_, messages, err := bob.Join(ctx, "kitchen", client.StartNow())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer messages.Close()
	kitchen, err := ann.Room(ctx, "kitchen")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"tea is ready", "and cake"} {
		if _, err := kitchen.Publish(ctx, client.Message{Data: []byte(text)}); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 2 {
		m, err := messages.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, from ann: %v\n", m.Data, m.Sender == ann.User())
	}
	// Output:
	// tea is ready, from ann: true
	// and cake, from ann: true
}

// Whoever comes later reads what was said, and goes on from there.
func ExampleRoom_Subscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Connect(ctx, optionsOf("ann"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	room, err := c.Room(ctx, "kitchen")
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := room.Publish(ctx, client.Message{Data: []byte("first")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := room.Publish(ctx, client.Message{Data: []byte("second")}); err != nil {
		fmt.Println(err)
		return
	}
	messages, err := room.Subscribe(ctx, client.FromSequence(receipt.Sequence))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer messages.Close()
	for m, err := range messages.Messages(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", m.Data)
		if string(m.Data) == "second" {
			break
		}
	}
	// Output:
	// first
	// second
}

// Many messages are on their way at a time; Flush waits for all.
func ExampleRoom_PublishAsync() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Connect(ctx, optionsOf("ann"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	room, err := c.Room(ctx, "kitchen")
	if err != nil {
		fmt.Println(err)
		return
	}
	kept := make(chan error, 100)
	for i := range cap(kept) {
		m := client.Message{Data: fmt.Append(nil, "number ", i)}
		if err := room.PublishAsync(ctx, m, func(_ client.Receipt, err error) { kept <- err }); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := c.Flush(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for range cap(kept) {
		err = errors.Join(err, <-kept)
	}
	fmt.Println(cap(kept), "messages, error:", err)
	// Output: 100 messages, error: <nil>
}

// Bob answers what ann asks in a room.
func ExampleRoom_Respond() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ann, err := client.Connect(ctx, optionsOf("ann"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ann.Close()
	bob, err := client.Connect(ctx, optionsOf("bob"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bob.Close()

	answers, err := bob.Room(ctx, "radio")
	if err != nil {
		fmt.Println(err)
		return
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- answers.Respond(serving, "", func(_ context.Context, request client.Message) (client.Message, error) {
			return client.Message{Data: append([]byte("you asked: "), request.Data...)}, nil
		})
	}()

	radio, err := ann.Room(ctx, "radio")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := radio.Request(ctx, bob.User(), client.Message{Data: []byte("what time is it?")})
	for errors.Is(err, client.ErrNoAnswer) && ctx.Err() == nil { // he is about to listen
		answer, err = radio.Request(ctx, bob.User(), client.Message{Data: []byte("what time is it?")})
	}
	fmt.Printf("%s, error: %v\n", answer.Data, err)
	stop()
	fmt.Println(errors.Is(<-done, context.Canceled))
	// Output:
	// you asked: what time is it?, error: <nil>
	// true
}

// A program uses the context that somebody made with `unibus context add home ...`, and need not know where the bus is.
func ExampleLoadContext() {
	defer client.Remember("home", "ann")()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o, err := client.LoadContext("home")
	if err != nil {
		fmt.Println(err)
		return
	}
	o.Name = "greeter"
	c, err := client.Connect(ctx, o)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	room, err := c.Room(ctx, "kitchen")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(room.Name, room.Role)
	// Output: kitchen member
}

// Errors are told apart by errors.Is.
func ExampleClient_Room() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Connect(ctx, optionsOf("ann"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_, err = c.Room(ctx, "cellar")
	fmt.Println(errors.Is(err, client.ErrNotFound))
	radio, err := c.Room(ctx, "radio")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = radio.Subscribe(ctx, client.LastN(10))
	fmt.Println(errors.Is(err, client.ErrNotKept))
	// Output:
	// true
	// true
}
