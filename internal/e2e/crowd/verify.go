// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// lookPause is between two looks at what is waited for.
const lookPause = 100 * time.Millisecond

// Calm judges also what holds only where nothing is done to the cluster, for as long as is said: changes take effect soon, and all that is
// said is heard by all who may. The cluster must have been calm for a while.
func (c *Crowd) Calm(ctx context.Context, length time.Duration) error {
	if err := c.still(ctx, func() error { return c.whole(ctx) }); err != nil {
		return err
	}
	c.mu.Lock()
	c.calm = nil
	c.mu.Unlock()
	for _, u := range c.everybody() {
		u.heed()
	}
	from := time.Now()
	end := c.Model.Calm(from)
	c.hurry.Store(true)
	slept := sleep(ctx, length)
	c.hurry.Store(false)
	to := time.Now()
	end(to)
	if !slept || !sleep(ctx, margin) { // for what is on its way
		return ctx.Err()
	}
	var all []*listener
	for _, u := range c.everybody() {
		all = append(all, u.listened())
	}
	c.mu.Lock()
	messages := c.calm
	c.mu.Unlock()
	lost, judged := missed(c.Model, span{from, to}, messages, all)
	c.count(&c.found.Lost, len(lost), "LOST in a calm time: %s", short(lost))
	c.say("    crowd: in a calm time of %v %d messages were sent and %d deliveries awaited, %d of them in vain", length, len(messages), judged, len(lost))
	return nil
}

// Verify judges the histories of all rooms, and waits before until all users are where they may be. It fails when that does not come about
// before the context ends.
func (c *Crowd) Verify(ctx context.Context) error {
	return c.still(ctx, func() error {
		if err := c.whole(ctx); err != nil {
			return err
		}
		return c.audit(ctx, false)
	})
}

// Finish ends all work, has everybody who may read what the histories have, judges all of it for the last time, and closes.
func (c *Crowd) Finish(ctx context.Context) error {
	defer c.Close()
	return c.still(ctx, func() error {
		if err := c.whole(ctx); err != nil {
			return err
		}
		for _, u := range c.everybody() {
			u.stop()
			u.done.Wait()
		}
		return c.audit(ctx, true)
	})
}

// still does something while nobody is put anywhere. It fails when a change does not come to its end.
func (c *Crowd) still(ctx context.Context, do func() error) error {
	if !c.hold(ctx) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("a change of membership is not answered: %s: %w", c.doing, ctx.Err())
	}
	defer c.release()
	return do()
}

// whole waits until everybody listens who may for sure, and something has been kept since.
func (c *Crowd) whole(ctx context.Context) error {
	kept := c.findings().Kept
	return until(ctx, "the users to be in", func() string {
		var out []string
		writers := 0
		c.mu.Lock()
		users, rooms := c.users, c.rooms
		c.mu.Unlock()
		now := time.Now()
		for _, u := range users {
			for _, r := range rooms {
				least, _ := c.May(Pair{u.key, r.id}, now, now)
				if least == Write && r.class != "" {
					writers++
				}
				if least >= Read && !u.stands(r.id) {
					out = append(out, fmt.Sprintf("%s does not listen in %s (%s at %q)", u.name, r.name, u.nc.Status(), u.nc.ConnectedUrl()))
				}
			}
		}
		found := c.findings()
		if writers > 0 && found.Kept == kept {
			out = append(out, "nothing was appended")
		}
		if found.Bad() {
			return "" // it is wrong anyway, and may be why somebody never comes in
		}
		return strings.Join(out, "; ")
	})
}

// audit has the auditor read the history of every room, and judges all that was answered for, and what followers have. At the last
// time followers read to the end before that.
func (c *Crowd) audit(ctx context.Context, last bool) error {
	for _, r := range c.rooms {
		if r.class == "" {
			continue
		}
		acks, known := c.answeredFor(r.id)
		chains := map[string]*chain{}
		for _, u := range c.users {
			now := time.Now()
			if least, _ := c.May(Pair{u.key, r.id}, now, now); last && least >= Read && u.copyChain(r.id) != nil {
				err := until(ctx, u.name+" to read what "+r.name+" has", func() string { return text(u.catchUp(r.id, known)) })
				if err != nil {
					return err
				}
			}
			if chain := u.copyChain(r.id); chain != nil {
				chains[u.name], known = chain, max(known, chain.last)
			}
		}
		history, err := c.read(ctx, r, known)
		if err != nil {
			return err
		}
		v := audit(acks, history)
		if len(v.lost) > 0 { // lost, or read where it was not yet?
			again, err := c.read(ctx, r, known)
			c.say("    crowd: of %d that %s lacked, another reading lacks %d (%v)", len(v.lost), r.name, len(audit(acks, again).lost), err)
		}
		c.audited(r.name, v)
		followed, filled := 0, 0
		for name, chain := range chains {
			followed, filled = followed+len(chain.have), filled+chain.filled
			c.audited(r.name+", followed by "+name, chain.compare(history))
		}
		c.say("    crowd: %s has %d messages, %d of them answered for; %d followers have %d, %d of them from the history",
			r.name, len(history), len(acks), len(chains), followed, filled)
	}
	return nil
}

// read has the auditor read a room's history.
func (c *Crowd) read(ctx context.Context, r room, known uint64) (history []entry, err error) {
	err = until(ctx, "the history of "+r.name, func() string {
		var err error
		history, err = c.users[0].history(r.id, known)
		return text(err)
	})
	return history, err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func until(ctx context.Context, what string, wrong func() string) error {
	for {
		w := wrong()
		if w == "" {
			return nil
		}
		if !sleep(ctx, lookPause) {
			return fmt.Errorf("waiting for %s: %s: %w", what, w, ctx.Err())
		}
	}
}
