// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// Class is the history class of the rooms that keep something.
const Class = "crowd"

// members is how many users there are. The first stays what it is, a reader of every room: the auditor.
const members = 6

// roomNames are the rooms; the last keeps nothing, the first is never deleted.
var roomNames = []string{"hall", "attic", "cellar", "porch"}

// Config is what a crowd needs.
type Config struct {
	// Operator connects to the membership account, User to the clients' with a user's key; number says where it is to begin.
	Operator func() (*nats.Conn, error)
	User     func(pair nkeys.KeyPair, number int, opts ...nats.Option) (*nats.Conn, error)
	// Seed is what changes and doings are drawn from.
	Seed uint64
	// Pause is about the time between two doings of a user.
	Pause  time.Duration
	Bounds Bounds
	// Say is told what happens, by several goroutines.
	Say func(format string, a ...any)
}

type room struct{ name, class, id, dead string } // dead is the id before

// Crowd is users at work. Start makes one.
type Crowd struct {
	cfg   Config
	began time.Time
	*judge
	op    *nats.Conn
	js    jetstream.JetStream
	store *membership.Store
	stop  context.CancelFunc
	done  sync.WaitGroup
	turn  chan struct{} // held by who changes something, or wants nothing to be changed
	hurry atomic.Bool
	draws *rand.Rand // of who holds the turn

	mu    sync.Mutex
	rooms []room
	users []*user
	ghost *user                        // who was removed last, and goes on trying
	acks  map[string]map[string]uint64 // of each room, what was answered for, by id
	calm  []sent                       // what was sent in the latest calm time
	doing string
}

// Start makes the class, the rooms and the users, within the context, and sets them to work until Finish or Close.
func Start(ctx context.Context, c Config) (*Crowd, error) {
	op, err := c.Operator()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(op)
	if err != nil {
		return nil, err
	}
	store, err := membership.NewStore(js, membership.StoreConfig{})
	if err != nil {
		return nil, err
	}
	m := NewModel(c.Bounds)
	w := &Crowd{cfg: c, began: time.Now(), judge: &judge{Model: m, say: c.Say}, op: op, js: js, store: store, turn: make(chan struct{}, 1),
		draws: rand.New(rand.NewPCG(c.Seed, 0x63726f7764)), acks: map[string]map[string]uint64{}}
	directing, stop := context.WithCancel(context.Background())
	w.stop = stop
	for _, name := range roomNames {
		w.rooms = append(w.rooms, room{name: name, class: Class})
	}
	w.rooms[len(w.rooms)-1].class = ""
	if err := w.furnish(ctx); err != nil {
		w.Close()
		return nil, fmt.Errorf("crowd: %w", err)
	}
	w.turn <- struct{}{}
	w.done.Go(func() { w.direct(directing) })
	return w, nil
}

// furnish makes everything.
func (c *Crowd) furnish(ctx context.Context) error {
	class := membership.DefaultClass(Class)
	// Nothing may be dropped: what is missing shall be a loss.
	class.MaxBytes, class.MaxMessagesPerRoom, class.MaxAge, class.Full, class.PublisherRate, class.RoomRate = 64<<20, 1<<20, 0, v1.FullRefuses, 0, 0
	if err := c.putClass(ctx, class); err != nil {
		return err
	}
	for i := range members {
		if err := c.admit(ctx, i); err != nil {
			return err
		}
	}
	for k := range roomNames {
		if err := c.build(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything at once and judges nothing more.
func (c *Crowd) Close() {
	c.stop()
	c.done.Wait()
	all := c.everybody()
	for _, u := range all {
		u.stop()
	}
	for _, u := range all {
		u.close()
	}
	c.op.Close()
}

// Spread has some of the users connect anew, elsewhere.
func (c *Crowd) Spread() {
	for _, u := range c.everybody() {
		if rand.IntN(2) == 0 {
			_ = u.nc.ForceReconnect() // failing, it goes on trying
		}
	}
}

// Findings are what was wrong so far, and how much was judged.
func (c *Crowd) Findings() Findings { return c.findings() }

// everybody are the users, and the ghost last.
func (c *Crowd) everybody() []*user {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append([]*user(nil), c.users...)
	if c.ghost != nil {
		all = append(all, c.ghost)
	}
	return all
}

// targets are the ids of all rooms and of some that are gone.
func (c *Crowd) targets() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rooms {
		for _, id := range []string{r.id, r.dead} {
			if id != "" {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// target draws the id of a room, now and then of one that is gone; empty while the room is not made yet.
func (c *Crowd) target(r *rand.Rand) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	drawn := c.rooms[r.IntN(len(c.rooms))]
	if drawn.dead != "" && r.IntN(5) == 0 {
		return drawn.dead
	}
	return drawn.id
}

// kept notes that a message was answered for.
func (c *Crowd) kept(room, id string, sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acks[room] == nil {
		c.acks[room] = map[string]uint64{}
	}
	c.acks[room][id] = sequence
	c.judge.mu.Lock()
	c.found.Kept++
	c.judge.mu.Unlock()
}

// answeredFor is a copy of what a room's appends were answered with, and the highest sequence.
func (c *Crowd) answeredFor(room string) (acks map[string]uint64, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sequence := range c.acks[room] {
		last = max(last, sequence)
	}
	return maps.Clone(c.acks[room]), last
}

func (c *Crowd) sent(s sent) {
	if !c.isCalm(s.at) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calm = append(c.calm, s)
}
