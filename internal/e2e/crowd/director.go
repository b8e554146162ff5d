// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

const (
	// changePause is about the time between two changes, hurriedPause that in a calm time.
	changePause, hurriedPause = 800 * time.Millisecond, 500 * time.Millisecond
	// changeAttempt is how long an answer to a change is waited for.
	changeAttempt = 2 * time.Second
)

// direct makes one change after the other.
func (c *Crowd) direct(ctx context.Context) {
	for {
		pause := changePause
		if c.hurry.Load() {
			pause = hurriedPause
		}
		if !sleep(ctx, pause) || !c.hold(ctx) {
			return
		}
		c.change(ctx)
		c.release()
	}
}

// hold waits until nobody changes anything, and keeps it so until release.
func (c *Crowd) hold(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-c.turn:
		return true
	}
}

func (c *Crowd) release() { c.turn <- struct{}{} }

// change makes one change that is drawn. If it fails, the context has ended, and whether it was made is never known.
func (c *Crowd) change(ctx context.Context) {
	i, k := 1+c.draws.IntN(members-1), c.draws.IntN(len(roomNames))
	var err error
	switch n := c.draws.IntN(30); {
	case n == 0:
		if err = c.expel(ctx, i); err == nil {
			err = c.admit(ctx, i)
		}
	case n == 1 && k > 0:
		if err = c.demolish(ctx, k); err == nil {
			err = c.build(ctx, k)
		}
	default:
		err = c.shift(ctx, c.users[i], c.rooms[k])
	}
	if err != nil && ctx.Err() == nil {
		c.wrong("a change failed: %v", err)
	}
}

// shift puts a user into a room, or out of it, or gives it another role there.
func (c *Crowd) shift(ctx context.Context, u *user, r room) error {
	is := c.Now(Pair{u.key, r.id})
	if is != None && c.draws.IntN(2) == 0 {
		return c.made(ctx, None, "removal of "+u.name+" from "+r.name, []Pair{{u.key, r.id}}, func(ctx context.Context) error {
			return c.settle(ctx, membership.ErrNotFound, func() error { return c.store.RemoveMember(ctx, r.name, u.key, 0) })
		})
	}
	level, role := Write, []v1.Role{v1.RoleMember, v1.RoleAdmin}[c.draws.IntN(2)]
	if is == Write || is == None && c.draws.IntN(3) == 0 {
		level, role = Read, v1.RoleReader
	}
	return c.grant(ctx, u, r, is != None, level, role)
}

func (c *Crowd) grant(ctx context.Context, u *user, r room, in bool, level Level, role v1.Role) error {
	what := fmt.Sprintf("role of %s in %s: %s", u.name, r.name, role)
	return c.made(ctx, level, what, []Pair{{u.key, r.id}}, func(ctx context.Context) error {
		if !in { // that it is there can only be by an attempt before, which was not answered
			return c.settle(ctx, membership.ErrExists, func() error {
				_, err := c.store.PutMember(ctx, r.name, u.key, role, 0)
				return err
			})
		}
		return c.settle(ctx, errSame, func() error {
			is, err := c.store.GetMember(ctx, r.name, u.key)
			if err == nil && is.Value.Role == role {
				return errSame
			}
			if err == nil {
				_, err = c.store.PutMember(ctx, r.name, u.key, role, is.Revision)
			}
			return err
		})
	})
}

// expel removes a user, who goes on trying for a while.
func (c *Crowd) expel(ctx context.Context, i int) error {
	u := c.users[i]
	pairs := []Pair{{User: u.key}}
	for _, r := range c.rooms {
		pairs = append(pairs, Pair{u.key, r.id})
	}
	err := c.made(ctx, None, "removal of "+u.name, pairs, func(ctx context.Context) error { return c.store.RemoveUser(ctx, u.key, 0) })
	if err != nil {
		return err
	}
	c.mu.Lock()
	before := c.ghost
	c.ghost = u
	c.mu.Unlock()
	if before != nil {
		before.close()
	}
	return nil
}

// admit puts a new user on the allowlist, and the first, who stays, into all rooms that there are.
func (c *Crowd) admit(ctx context.Context, i int) error {
	name := fmt.Sprintf("user-%d-%d", i, c.findings().Changes)
	u, err := c.newUser(i, name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if i < len(c.users) {
		c.users[i] = u
	} else {
		c.users = append(c.users, u)
	}
	c.mu.Unlock()
	return c.made(ctx, Read, "creation of "+name, []Pair{{User: u.key}}, func(ctx context.Context) error {
		return c.settle(ctx, membership.ErrExists, func() error {
			_, err := c.store.CreateUser(ctx, v1.User{Name: name, Key: u.key})
			return err
		})
	})
}

// demolish deletes a room.
func (c *Crowd) demolish(ctx context.Context, k int) error {
	r := c.rooms[k]
	var pairs []Pair
	for _, u := range c.users {
		pairs = append(pairs, Pair{u.key, r.id})
	}
	return c.made(ctx, None, "deletion of "+r.name, pairs, func(ctx context.Context) error {
		return c.settle(ctx, membership.ErrNotFound, func() error {
			_, err := c.store.MarkDeleting(ctx, r.name, 0)
			return err
		})
	})
}

// build makes a room, as soon as the one of that name is gone, lets the auditor in, who must find it empty, and some others.
func (c *Crowd) build(ctx context.Context, k int) error {
	r := c.rooms[k]
	r.dead = r.id
	err := c.insist(ctx, "creation of "+r.name, func(ctx context.Context) error {
		made, err := c.store.CreateRoom(ctx, r.name, r.class)
		if errors.Is(err, membership.ErrExists) { // by an attempt before, or it is being deleted
			made, err = c.store.GetRoom(ctx, r.name)
			if err == nil && (made.Value.Deleting || made.Value.ID == r.dead) {
				err = errors.New("the room before is not gone yet")
			}
		}
		r.id = made.Value.ID
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.rooms[k] = r
	delete(c.acks, r.dead)
	c.mu.Unlock()
	if err := c.grant(ctx, c.users[0], r, false, Read, v1.RoleReader); err != nil {
		return err
	}
	for _, u := range c.users[1:] {
		if c.draws.IntN(2) == 0 {
			if err := c.shift(ctx, u, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Crowd) putClass(ctx context.Context, class v1.Class) error {
	return c.insist(ctx, "history class", func(ctx context.Context) error {
		return c.settle(ctx, membership.ErrExists, func() error {
			_, err := c.store.PutClass(ctx, class, 0)
			return err
		})
	})
}

// made makes a change that gives pairs a level, as often as it takes.
func (c *Crowd) made(ctx context.Context, level Level, what string, pairs []Pair, do func(context.Context) error) error {
	answered := c.Call(time.Now(), level, pairs...)
	if err := c.insist(ctx, what, do); err != nil {
		return err
	}
	answered(time.Now())
	c.judge.mu.Lock()
	c.found.Changes++
	c.judge.mu.Unlock()
	return nil
}

// insist does something until it is answered, or the context ends.
func (c *Crowd) insist(ctx context.Context, what string, do func(context.Context) error) error {
	began := time.Now()
	defer c.note("")
	for failed := 1; ; failed++ {
		attempt, cancel := context.WithTimeout(ctx, changeAttempt)
		err := do(attempt)
		cancel()
		if err == nil {
			return nil
		}
		c.note(fmt.Sprintf("%s, tried since %s: %v", what, clock(began), err))
		if failed%patience == 0 {
			_ = c.op.ForceReconnect() // failing, it goes on trying
		}
		if !sleep(ctx, retryPause) {
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		}
	}
}

// note remembers what is being changed and does not come about.
func (c *Crowd) note(doing string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doing = doing
}

// errSame says that there is nothing to change.
var errSame = errors.New("it is so already")

// settle does something, and takes an error for none that says that all is as it was wished, by an attempt before. Who holds itself for a
// bucket's leader, and is cut off, says that of what is long past; so the same is asked again after a quorum has been heard.
func (c *Crowd) settle(ctx context.Context, fine error, do func() error) error {
	err := do()
	if !errors.Is(err, fine) {
		return err
	}
	if _, lone := c.js.Publish(ctx, "$KV."+v1.BucketMembers+"."+v1.HeartbeatKey, nil); lone != nil {
		return fmt.Errorf("%w, says somebody without a quorum: %w", err, lone)
	}
	if err = do(); errors.Is(err, fine) {
		return nil
	}
	return err
}
