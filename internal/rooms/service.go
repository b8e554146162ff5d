// SPDX-License-Identifier: Apache-2.0

// Package rooms is what rooms remember: the streams of history classes, and the services that append to them, read them and list a
// user's rooms.
//
// Users can't reach the streams. A node does what they ask after a look at the live directory of members, and answers into the
// caller's own inbox only: whatever else a caller could name as reply subject would carry what it may not see, or may not write.
package rooms

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Directory is who is in which room now. Its methods are called by several goroutines and must not block. Users are public nkeys
// ("U..."), rooms are ids.
type Directory interface {
	// Ready is false while the directory may not know all that it should.
	Ready() bool
	// Role is false for a user who is not in the room, and for a room that is not there or is being deleted.
	Role(user, room string) (v1.Role, v1.Room, bool)
	// RoomsOf lists the rooms of a user, sorted by name, that come after a name; next is the name to go on after, empty at the end.
	RoomsOf(user, after string, limit int) (rooms []v1.RoomOf, next string)
	// Kept returns the class that keeps the history of a room, named as that history is; false for a room that keeps nothing, and as long as
	// it is not known.
	Kept(room string) (v1.Class, bool)
}

// Config is what the services need. Clients, Pages, History and Directory are required.
type Config struct {
	// Clients, Pages and History are the node's own connections, the first two to the clients' account, History to that of the streams.
	// They stay the caller's. Pages is for the history service: nats-server holds up who sends to a client that reads slowly, for 10 ms
	// at a time, and the other services are to be spared that.
	Clients, Pages, History *nats.Conn
	// Node is a name of this node that is one token of a subject. Map sends on what this node's clients publish, to another subject, and
	// no longer when the destination is empty: nats-server would spread their requests over all nodes. Without Map it does. Alone says that
	// there is no other node now, so that nothing needs to be mapped, which costs a twelfth of an append's time; false without it.
	Node      string
	Map       func(subject, destination string) error
	Alone     func() bool
	Directory Directory
	// Logger discards by default.
	Logger *slog.Logger
	// Now is time.Now by default.
	Now func() time.Time
	// AppendRate is how many messages a second one user may ask to append, 100,000 by default, and RequestRate how many pages of history,
	// and how many lists of rooms, 1000 by default; ten rooms of a list count as one list more. They keep a user from taking the node's time from others, whatever classes allow.
	AppendRate, RequestRate float64
	// MaxAppends is how many appends may wait for their acknowledgement, 8192 by default. Of one user, half of MaxAppendsOfUser (2048 by
	// default) are never too many, and once and a half of it are. They are known by every 32nd of a user, later than the user knows, and one
	// by one once MaxAppendsOfUser of them wait.
	MaxAppends, MaxAppendsOfUser int
	// AppendTimeout is how long an append counts as waiting, 5 s by default.
	AppendTimeout time.Duration
	// Readers is how many pages of history of one class are read at a time, 4 by default. One reader is the class's own, and all classes share
	// the others, so that however many can't be read, the next one is. Each may take 5 MiB of memory: 15 MiB for all, and 5 for each class.
	Readers int
	// MaxReads is how many requests for history of one class may wait, 256 by default, and MaxReadsOfUser how many of one user, of any class, may
	// wait or be read, 16 by default.
	MaxReads, MaxReadsOfUser int
	// ReadTimeout is how long a request for a page may wait, and how long reading it may take, 3 s by default.
	ReadTimeout time.Duration
}

// Service answers requests of users. Make it with New.
type Service struct {
	cfg     Config
	counts  counters
	limits  [len(services)]*limits
	rates   [len(services)]float64 // of one user
	most    [len(services)]int     // in flight of one user
	pending *pending
	acks    string // acknowledgements of probes come to this prefix and a number

	// Run sets them: whether there was no other node at its last tick, and whether requests are mapped.
	alone, mapped atomic.Bool

	turn     [len(services)]sync.Mutex // a service has two subscriptions, and does one request at a time
	appender appender
	reads    *reads
}

const (
	// tick is how often the services look whether the directory is ready and whether appends have waited too long.
	tick = 100 * time.Millisecond
	// mostName is the longest name that a request for rooms may go on after, in bytes.
	mostName = 256
	// roomsPage is how many rooms an answer lists, and roomsPerRequest how many of them cost as much as a request: the list is sorted and written
	// by the one goroutine that makes all lists.
	roomsPage, roomsPerRequest = 500, 10
	// mostWaiting is how many requests to a service wait before more are lost, in messages and in bytes: what takes a moment to work off.
	mostWaiting, mostWaitingBytes = 1 << 15, 64 << 20
)

// New returns services that do nothing before Run. It fails when a required field is missing.
func New(cfg Config) (*Service, error) {
	if cfg.Clients == nil || cfg.Pages == nil || cfg.History == nil || cfg.Directory == nil {
		return nil, errors.New("rooms: Config needs Clients, Pages, History and Directory")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Alone == nil {
		cfg.Alone = func() bool { return false }
	}
	cfg.AppendRate, cfg.RequestRate = cmp.Or(cfg.AppendRate, 100_000), cmp.Or(cfg.RequestRate, 1000)
	cfg.MaxAppends, cfg.MaxAppendsOfUser = cmp.Or(cfg.MaxAppends, 8192), cmp.Or(cfg.MaxAppendsOfUser, 2048)
	cfg.AppendTimeout = cmp.Or(cfg.AppendTimeout, 5*time.Second)
	cfg.Readers, cfg.ReadTimeout = cmp.Or(cfg.Readers, 4), cmp.Or(cfg.ReadTimeout, 3*time.Second)
	cfg.MaxReads, cfg.MaxReadsOfUser = cmp.Or(cfg.MaxReads, 256), cmp.Or(cfg.MaxReadsOfUser, 16)
	s := &Service{cfg: cfg, pending: newPending(cfg.MaxAppends), acks: cfg.History.NewInbox() + ".",
		limits:   [...]*limits{newLimits(), newLimits(), newLimits()},
		rates:    [...]float64{serviceAppend: cfg.AppendRate, serviceHistory: cfg.RequestRate, serviceRooms: cfg.RequestRate},
		most:     [...]int{serviceAppend: cfg.MaxAppendsOfUser + cfg.MaxAppendsOfUser/2 + probeEvery, serviceHistory: cfg.MaxReadsOfUser, serviceRooms: 1},
		appender: appender{header: nats.Header{}}}
	s.reads = newReads(cfg.MaxReads, cfg.Readers, s.answerHistory)
	return s, nil
}

// Run serves until the context ends, and is called once. It takes requests only while the directory is ready: those go to other nodes
// meanwhile. At the end it answers what it has taken before it returns. It fails when a connection is closed.
func (s *Service) Run(ctx context.Context) error {
	acks, err := s.cfg.History.Subscribe(s.acks+"*", s.acknowledged)
	if err != nil {
		return fmt.Errorf("subscribe to acknowledgements of history: %w", err)
	}
	defer acks.Unsubscribe()
	defer s.reads.close()
	var subs []*subscription
	defer func() { s.leave(subs) }()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		s.alone.Store(s.cfg.Alone())
		if ready := s.cfg.Directory.Ready(); ready && subs == nil {
			if subs, err = s.enter(); err != nil {
				return err
			}
		} else if !ready && subs != nil {
			s.leave(subs)
			subs = nil
		}
		if subs != nil {
			if err := s.near(!s.alone.Load()); err != nil {
				return err
			}
		}
		s.expire(s.cfg.Now())
		s.countLost(subs)
		if s.cfg.Clients.IsClosed() || s.cfg.Pages.IsClosed() || s.cfg.History.IsClosed() {
			return fmt.Errorf("serve rooms: %w", nats.ErrConnectionClosed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// caller is who asks, in which room, and when.
type caller struct {
	user, room string
	local      bool // it is connected to this node; for a tick after another node has come, one of that node may count as such
	at         time.Time
	budget     *budget
}

// admit comes before all else in every request. ok is false for one that gets no answer.
func (s *Service) admit(service int, m *nats.Msg) (c caller, refused *v1.Error, ok bool) {
	c.user, _, c.room, ok = v1.ParseService(m.Subject)
	if !ok || !v1.IsInbox(m.Reply, c.user) {
		s.counts.add(service, OutcomeDropped)
		return c, nil, false
	}
	c.local = s.alone.Load() || s.cfg.Map != nil && strings.HasSuffix(m.Subject, s.cfg.Node)
	c.at = s.cfg.Now()
	c.budget = s.limits[service].of(limitKey{id: c.user}, s.rates[service], c.at)
	if !c.budget.AllowN(c.at, 1) {
		refused = errUserRate
	} else if int(c.budget.inFlight.Load()) >= s.most[service] {
		refused = errInFlight
	}
	return c, refused, true
}

// worthAnAnswer is false for who was refused too often lately, and asks on: answers to that would cost the others more than its requests.
func (s *Service) worthAnAnswer(service int, c caller) bool {
	if c.budget.refuse(c.at) {
		return true
	}
	s.counts.add(service, OutcomeLost)
	return false
}

// allowed asks the live directory. The class is empty for a room that keeps nothing. That there is no such room, and that the caller
// is not in it, are told in the same words.
func (s *Service) allowed(user, room string) (v1.Role, v1.Class, *v1.Error) {
	if !s.cfg.Directory.Ready() {
		return "", v1.Class{}, errNotReady
	}
	role, r, ok := s.cfg.Directory.Role(user, room)
	if !ok || r.Deleting {
		return "", v1.Class{}, errForbidden
	}
	if r.Class == "" {
		return role, v1.Class{}, nil
	}
	class, ok := s.cfg.Directory.Kept(room)
	if !ok {
		return "", v1.Class{}, errNotReady
	}
	return role, class, nil
}

// rooms lists the caller's rooms.
func (s *Service) rooms(m *nats.Msg) {
	c, refused, ok := s.admit(serviceRooms, m)
	if !ok {
		return
	}
	var answer v1.RoomsAnswer
	switch {
	case refused != nil:
		answer.Error = refused
	case len(m.Data) > mostName:
		answer.Error = errMalformedName
	case !s.cfg.Directory.Ready():
		answer.Error = errNotReady
	default:
		answer.Rooms, answer.Next = s.cfg.Directory.RoomsOf(c.user, string(m.Data), roomsPage)
		c.budget.ReserveN(c.at, len(answer.Rooms)/roomsPerRequest) // which may leave less than nothing
	}
	if answer.Error != nil && !s.worthAnAnswer(serviceRooms, c) {
		return
	}
	s.counts.add(serviceRooms, outcomeOf(answer.Error))
	s.answerJSON(m.Reply, answer)
}

func outcomeOf(e *v1.Error) string {
	if e == nil {
		return OutcomeOK
	}
	return e.Code
}

func (s *Service) answerJSON(reply string, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		s.cfg.Logger.Error("an answer can't be encoded", "error", err)
		return
	}
	s.publish(reply, body)
}

// publish sends an answer. It fails only when the connection is closed, or has been away for so long that its buffer is full: then the
// caller, who had no answer, asks again.
func (s *Service) publish(reply string, body []byte) {
	if err := s.cfg.Clients.Publish(reply, body); err != nil {
		s.cfg.Logger.Debug("an answer was not sent", "error", err)
	}
}
