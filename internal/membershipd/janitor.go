// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/rooms"
)

const (
	// janitorPause is between two rounds, janitorLimit what a round may take, but for the last room that it deletes.
	janitorPause = time.Second
	janitorLimit = 10 * time.Second
	// markersPause is between two purges of markers, and markersLimit what one may take: as long as markers go, no directory comes to a
	// proof, and afterwards each reads all anew. That has to end well before nodes refuse users.
	markersPause = 10 * time.Minute
	markersLimit = 2 * time.Second
	// purgeAgain is after which time a room that was deleted is purged again: by then every node has heard, or has dropped its users.
	purgeAgain = time.Minute
)

// janitor does what a change of membership only writes down: the streams of history classes get what their records say, rooms that
// are being deleted are purged, and what is left of their records goes. All of it may be done twice, by two nodes at once, or half:
// the next round goes on. One node does it at a time, the one that leads the bucket of rooms, to spare the others the work.
type janitor struct {
	log       *slog.Logger
	directory *membership.Directory
	server    *embeddednats.Server
	store     *membership.Store
	history   jetstream.JetStream
	said      string // the latest trouble, to tell each only once
	limit     time.Duration
	now       func() time.Time
	markers   time.Time // of the latest purge of markers
	deleted   []deleted // in the order of time
}

// deleted is a room that was deleted, where its history was, and when.
type deleted struct {
	history, room string
	at            time.Time
}

func newJanitor(log *slog.Logger, d *membership.Directory, server *embeddednats.Server, members, history *nats.Conn) (*janitor, error) {
	js, err := jetstream.New(members)
	if err != nil {
		return nil, fmt.Errorf("JetStream of account %s: %w", embeddednats.AccountMembership, err)
	}
	h, err := jetstream.New(history)
	if err != nil {
		return nil, fmt.Errorf("JetStream of account %s: %w", embeddednats.AccountHistory, err)
	}
	store, err := membership.NewStore(js, membership.StoreConfig{})
	if err != nil {
		return nil, err
	}
	return &janitor{log: log, directory: d, server: server, store: store, history: h, limit: janitorLimit, now: time.Now}, nil
}

func (j *janitor) run(ctx context.Context) {
	tick := time.NewTicker(janitorPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !j.directory.Ready() || !j.server.Unwrap().JetStreamIsStreamLeader(embeddednats.AccountMembership, "KV_"+v1.BucketRooms) {
			continue
		}
		err := j.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := errorText(err); text != j.said {
			if j.said = text; err != nil {
				j.log.Warn("what a change of rooms or classes left to do can't be done yet, trying on", "error", err)
			}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// round does all that there is to do, or what fits into its limit. The deletion of a room that was begun may take longer: one of very
// many members would never end otherwise.
func (j *janitor) round(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	all := []error{j.followClasses(limited), j.settle(limited), j.tidy(limited)}
	for i, room := range j.directory.Deleting() {
		if i == 0 || limited.Err() == nil {
			all = append(all, j.delete(ctx, room))
		}
	}
	return errors.Join(all...)
}

// followClasses makes, changes and removes the streams of history classes.
func (j *janitor) followClasses(ctx context.Context) error {
	_, size, _, ok := j.server.Meta()
	if !ok {
		return errors.New("the meta group's size is not known")
	}
	space, err := spaceOf(j.server)
	if err != nil {
		return err
	}
	var all []error
	there := map[string]bool{}
	for _, class := range j.directory.Classes() {
		// The directory may be behind, by much if this node was held up: what it has is not written over what another janitor has written.
		class, err := j.store.GetKept(ctx, class.Name)
		if errors.Is(err, membership.ErrNotFound) {
			continue
		}
		if err != nil {
			all = append(all, err)
			continue
		}
		there[class.Name] = true
		// What streams have taken is theirs: a class that was made smaller, and refuses, holds all the same what it held before.
		if class.MaxBytes > space.classes[class.Name] {
			if err := space.fits(class, class.Name); err != nil {
				all = append(all, err)
				continue
			}
			space.classes[class.Name] = class.MaxBytes
		}
		all = append(all, rooms.Ensure(ctx, j.history, class, min(size, mostReplicas)))
	}
	for history := range space.classes {
		if !there[history] {
			all = append(all, rooms.Retire(ctx, j.history, history, func(ctx context.Context) (bool, error) { return j.store.Gone(ctx, history) }))
		}
	}
	return errors.Join(all...)
}

// settle ends what whoever made a room began, and did not end.
func (j *janitor) settle(ctx context.Context) error {
	var all []error
	for _, room := range j.directory.Unsettled() {
		if err := j.store.Settle(ctx, room); !errors.Is(err, membership.ErrNotFound) { // it, or its class, is gone meanwhile
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// tidy removes what is left behind: markers of removals, and what was appended to rooms after their deletion.
func (j *janitor) tidy(ctx context.Context) error {
	for len(j.deleted) > 0 && j.now().Sub(j.deleted[0].at) >= purgeAgain {
		if err := rooms.Purge(ctx, j.history, j.deleted[0].history, j.deleted[0].room); err != nil {
			return err
		}
		j.deleted = j.deleted[1:]
	}
	if j.now().Sub(j.markers) < markersPause {
		return nil
	}
	j.markers = j.now()
	ctx, cancel := context.WithTimeout(ctx, markersLimit)
	defer cancel()
	n, err := j.store.PurgeMarkers(ctx, j.directory)
	if n > 0 {
		j.log.Info("markers of removals were purged", "markers", n)
	}
	return err
}

// storeSpace is how much the store of a node may hold, and what its streams do. Every stream has a replica on every node.
type storeSpace struct {
	limit   int64
	other   int64            // what the streams hold or reserve that are no history class's
	classes map[string]int64 // what those of history classes do, by history
}

// fits is membership.Fits for a class beside all streams but that of its own history, as far as it has one.
func (s storeSpace) fits(class v1.Class, history string) error {
	var others []v1.Class
	for other, size := range s.classes {
		if other != history {
			others = append(others, v1.Class{Name: v1.HistoryStream(other), MaxBytes: size})
		}
	}
	return membership.Fits(others, s.other, s.limit, class)
}

func spaceOf(server *embeddednats.Server) (storeSpace, error) {
	info, err := server.Unwrap().Jsz(&natsserver.JSzOptions{Accounts: true, Streams: true, Config: true})
	if err != nil {
		return storeSpace{}, fmt.Errorf("list the streams of %s: %w", server.Name(), err)
	}
	space := storeSpace{limit: info.Config.MaxStore, classes: map[string]int64{}}
	for _, account := range info.AccountDetails {
		for _, s := range account.Streams {
			size := int64(s.State.Bytes)
			if s.Config != nil {
				size = max(size, s.Config.MaxBytes)
			}
			if history, ok := v1.ParseHistoryStream(s.Name); ok && account.Name == embeddednats.AccountHistory {
				space.classes[history] = size
			} else {
				space.other += size
			}
		}
	}
	return space, nil
}

// delete ends the deletion of a room. Nobody has been in it since its record says so. What a node that has not heard of that yet may
// still append is never read, since nobody is ever in a room of that id again. It is purged by this janitor later, if it is there still;
// otherwise it goes as its class rolls or by age, and stays in a class that refuses and keeps for ever.
func (j *janitor) delete(ctx context.Context, room v1.Room) error {
	history := ""
	if room.Class != "" {
		class, err := j.store.GetKept(ctx, room.Class)
		if err != nil && !errors.Is(err, membership.ErrNotFound) {
			return err
		}
		history = class.Name // empty if the class is gone: then nobody was in the room
	}
	if history != "" {
		if err := rooms.Purge(ctx, j.history, history, room.ID); err != nil {
			return err
		}
	}
	if err := j.store.FinishDeletion(ctx, room); err != nil {
		return err
	}
	if history != "" {
		j.deleted = append(j.deleted, deleted{history, room.ID, j.now()})
	}
	j.log.Info("a room was deleted", "room", room.Name, "id", room.ID)
	return nil
}
