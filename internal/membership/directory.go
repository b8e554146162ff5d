// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Defaults of Config.
const (
	DefaultHeartbeat   = 2 * time.Second
	DefaultPatience    = 3 * time.Second
	DefaultRefuseAfter = 10 * time.Second
)

// Config says how a Directory keeps itself.
type Config struct {
	// Changed is told the Ed25519 keys, as hexadecimal digits, of users whose authorization or grants have changed, after the
	// directory has the change. It is called from one goroutine at a time, and holds up what comes next. The knowledge is as old as what
	// was told to the end. Nil tells nobody.
	Changed func(users []string)
	// Heartbeat is the time between two proofs that the node is not cut off, DefaultHeartbeat if 0.
	Heartbeat time.Duration
	// Patience is how long a watch may take to show a heartbeat that was acknowledged, before it is made anew: DefaultPatience if 0, at
	// least 400 ms. RefuseAfter should be more than Heartbeat and Patience together.
	Patience time.Duration
	// RefuseAfter is the age of knowledge from which on nobody is authorized any more; 0 means never.
	RefuseAfter time.Duration
	// Logger is slog.Default if nil.
	Logger *slog.Logger
	// Now is the clock, time.Now by default.
	Now func() time.Time
}

// Directory is what the node knows of users, rooms, members and classes. Its questions are answered from memory, may be asked from
// many goroutines at once, and never wait for the network.
type Directory struct {
	c   Config
	log *slog.Logger
	// clock is both of the machine's clocks, but in tests.
	clock func() instant
	// life is how long a watch may be without a proof, watchLife but in tests.
	life time.Duration

	tell    sync.Mutex // one call of Changed at a time
	mu      sync.RWMutex
	index   *index
	buckets []*bucket
	nc      *nats.Conn         // while it runs
	name    string             // of the server that nc is connected to
	asked   []asked            // that wait for an answer, the oldest first
	alive   map[string]instant // when a heartbeat of a node was last seen, by its name
}

// NewDirectory returns a directory that knows nothing until it runs.
func NewDirectory(c Config) *Directory {
	if c.Heartbeat <= 0 {
		c.Heartbeat = DefaultHeartbeat
	}
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	c.Patience = max(c.Patience, 4*shortestIdle)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	began := c.Now()
	clock := func() instant {
		now := c.Now()
		return instant{now.Round(0), now.Sub(began)}
	}
	d := &Directory{c: c, log: c.Logger, clock: clock, life: watchLife, index: newIndex(), alive: map[string]instant{}}
	for _, name := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		d.buckets = append(d.buckets, &bucket{d: d, name: name, keys: map[string]*known{}, proven: d.clock()})
	}
	return d
}

// Run watches the buckets through a connection to the membership account, made to this node's own server by whose name others know it, until the context ends, and then returns nil, or until the
// connection is closed for good, which is an error. It may be run again, with another connection, after it has returned: what was
// known is kept, and what has changed or vanished meanwhile is told once it is seen. Until then nobody is authorized.
func (d *Directory) Run(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("watch membership: %w", err)
	}
	return d.run(ctx, js)
}

func (d *Directory) run(ctx context.Context, js jetstream.JetStream) error {
	name := js.Conn().ConnectedServerName()
	if name == "" {
		return fmt.Errorf("watch membership: %w", nats.ErrDisconnected)
	}
	sub, err := js.Conn().Subscribe(toldSubject, d.hearAsked)
	if err != nil {
		return fmt.Errorf("watch membership: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails on a closed connection only
	d.mu.Lock()
	if d.nc != nil {
		d.mu.Unlock()
		return errors.New("watch membership: it is being watched already")
	}
	d.nc, d.name = js.Conn(), name
	for _, b := range d.buckets {
		b.reason = "it is being loaded"
	}
	d.mu.Unlock()
	var wg sync.WaitGroup
	for _, b := range d.buckets {
		wg.Go(func() { b.run(ctx, js) })
	}
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nc, d.asked = nil, nil
	for _, b := range d.buckets {
		b.loaded, b.reason = false, "it is not being watched"
	}
	if ctx.Err() == nil {
		return fmt.Errorf("watch membership: %w", nats.ErrConnectionClosed)
	}
	return nil
}

// changed tells what has changed, outside of the lock.
func (d *Directory) changed(c changes) {
	if len(c) == 0 || d.c.Changed == nil {
		return
	}
	d.tell.Lock()
	defer d.tell.Unlock()
	d.c.Changed(slices.Collect(maps.Keys(c)))
}

// IsAuthorized says whether a user, by its Ed25519 key as 64 lower-case hexadecimal digits, may connect. It is false for everybody
// unless State says Ready.
func (d *Directory) IsAuthorized(ed25519Hex string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, ok := d.index.users[ed25519Hex]
	return ok && d.why() == ""
}

// IsListed says whether a user is on the allowlist, by what is known, however old: Age says.
func (d *Directory) IsListed(ed25519Hex string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, ok := d.index.users[ed25519Hex]
	return ok
}

// Grants are the subjects that a user's connections may publish and subscribe to now; none for who is not on the allowlist. They
// come from what is known, however old: Age says.
func (d *Directory) Grants(ed25519Hex string) (publish, subscribe []string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	u, ok := d.index.users[ed25519Hex]
	if !ok {
		return nil, nil
	}
	roles := make(map[string]v1.Role, len(d.index.of[ed25519Hex]))
	for id, role := range d.index.of[ed25519Hex] {
		if d.index.open(id) {
			roles[id] = role
		}
	}
	return v1.Grants(u.Key, roles)
}

// Role is what a user, by its public nkey, is in a room, by its id; false unless it is there, the room as well, and not being deleted.
func (d *Directory) Role(user, room string) (v1.Role, v1.Room, bool) {
	hex, err := v1.UserHex(user)
	if err != nil {
		return "", v1.Room{}, false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, there := d.index.users[hex]
	role, ok := d.index.of[hex][room]
	if !there || !ok || !d.index.open(room) {
		return "", v1.Room{}, false
	}
	return role, d.index.rooms[room], true
}

// RoomsOf lists the rooms that a user, by its public nkey, is in, sorted by name: the first limit (1,000 if less than 1 or more) of
// those after a name. next is what the following page comes after, empty on the last.
func (d *Directory) RoomsOf(user, after string, limit int) (rooms []v1.RoomOf, next string) {
	if limit < 1 || limit > v1.MaxPage {
		limit = v1.MaxPage
	}
	hex, err := v1.UserHex(user)
	if err != nil {
		return nil, ""
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, ok := d.index.users[hex]; !ok {
		return nil, ""
	}
	for id, role := range d.index.of[hex] {
		if r := d.index.rooms[id]; d.index.open(id) && r.Name > after {
			rooms = append(rooms, v1.RoomOf{ID: id, Name: r.Name, Role: role, Class: r.Class})
		}
	}
	slices.SortFunc(rooms, func(a, b v1.RoomOf) int { return strings.Compare(a.Name, b.Name) })
	if len(rooms) > limit {
		return rooms[:limit:limit], rooms[limit-1].Name
	}
	return rooms, ""
}

// Class is a history class.
func (d *Directory) Class(name string) (v1.Class, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.index.classes[name]
	return c.class, ok
}

// Classes are all history classes, sorted by name.
func (d *Directory) Classes() []v1.Class {
	d.mu.RLock()
	defer d.mu.RUnlock()
	list := make([]v1.Class, 0, len(d.index.classes))
	for _, name := range slices.Sorted(maps.Keys(d.index.classes)) {
		list = append(list, d.index.classes[name].class)
	}
	return list
}

// Deleting are the rooms whose deletion has begun and is not finished, in no order.
func (d *Directory) Deleting() []v1.Room {
	d.mu.RLock()
	defer d.mu.RUnlock()
	rooms := make([]v1.Room, 0, len(d.index.deleting))
	for id := range d.index.deleting {
		rooms = append(rooms, d.index.rooms[id])
	}
	return rooms
}

// State is what the directory says of itself.
type State struct {
	// Ready is true when all buckets were seen whole, and Age is below Config.RefuseAfter. Otherwise Reason says what is missing.
	Ready  bool
	Reason string
	// Age is how old the knowledge is at most, see Directory.Age.
	Age time.Duration
	// Users, Rooms (those being deleted included), Members (of all rooms) and Classes are how many are known. Bad is the number of
	// records that can't be believed, and are ignored.
	Users, Rooms, Members, Classes, Bad int
}

// State says whether the directory is ready, and what it has.
func (d *Directory) State() State {
	d.mu.RLock()
	defer d.mu.RUnlock()
	why, x := d.why(), d.index
	return State{
		Ready: why == "", Reason: why, Age: d.age(), Users: len(x.users), Rooms: len(x.rooms), Members: x.count, Classes: len(x.classes),
		Bad: len(x.bad),
	}
}

// Ready says whether the directory is, as State does.
func (d *Directory) Ready() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.why() == ""
}

// Age is the time since which the directory may have missed something: that since the oldest of the buckets' newest heartbeats was
// sent which were proven to be seen, with all before them. Without any it counts from NewDirectory. It goes by whichever clock has gone
// further: the one that is never set stands still while the machine sleeps, and the one on the wall may be set back.
func (d *Directory) Age() time.Duration {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.age()
}

func (d *Directory) age() (oldest time.Duration) {
	now := d.clock()
	for _, b := range d.buckets {
		oldest = max(oldest, now.since(b.proven))
	}
	return oldest
}

// instant is a moment by two clocks.
type instant struct {
	wall   time.Time     // without the reading of the other
	steady time.Duration // since the directory was made
}

func (i instant) since(then instant) time.Duration {
	return max(i.wall.Sub(then.wall), i.steady-then.steady)
}

// why says in words why nobody is authorized, empty if users are.
func (d *Directory) why() string {
	now := d.clock()
	for _, b := range d.buckets {
		if !b.loaded {
			return fmt.Sprintf("bucket %s: %s", b.name, b.reason)
		}
		if age := now.since(b.proven); d.c.RefuseAfter > 0 && age > d.c.RefuseAfter {
			return fmt.Sprintf("cut off: what happened in the last %v may be missing of bucket %s; %s", age.Round(time.Second), b.name, b.reason)
		}
	}
	return ""
}

// CountUsers implements Counter, as do the other counts.
func (d *Directory) CountUsers() int { return d.State().Users }

// CountRooms counts rooms, those being deleted included.
func (d *Directory) CountRooms() int { return d.State().Rooms }

// CountRoomsOf counts the rooms that a user is in.
func (d *Directory) CountRoomsOf(ed25519Hex string) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.index.of[ed25519Hex])
}

// CountMembers counts the users in a room.
func (d *Directory) CountMembers(room string) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.index.members[room])
}
