// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// ErrNoSpace is returned when the servers have no space for what a class reserves.
var ErrNoSpace = errors.New("no space for the class")

// Error codes of JetStream.
const (
	codeAccountResources = 10002
	codeNoPeers          = 10005 // it tells why in words
	codeInsufficient     = 10023
	codeStorageExceeded  = 10047
)

// attempts is how often Ensure looks again when somebody else made or changed the stream at the same time.
const attempts = 3

// ErrResizing is returned when a stream has not the replicas that it should have: whoever changes them is at it, or has not come yet.
var ErrResizing = errors.New("the stream's replicas are being changed")

// Ensure makes the stream of a class, under the name of its history, with that many replicas, or changes the limits of the one that is there. It never touches the
// replicas and the placement of one that is there, and writes nothing when nothing differs. js is the history account's. It fails with
// ErrNoSpace when the servers refuse to reserve the class's bytes, with ErrResizing when limits differ and replicas as well, and with
// the context's error when the servers do not answer.
func Ensure(ctx context.Context, js jetstream.JetStream, class v1.Class, replicas int) error {
	var err error
	for range attempts {
		if err = ensure(ctx, js, class, replicas); !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("stream of history class %s: %w", class.Name, err)
	}
	return nil
}

func ensure(ctx context.Context, js jetstream.JetStream, class v1.Class, replicas int) error {
	stream, err := js.Stream(ctx, v1.HistoryStream(class.Name))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		cfg := limited(jetstream.StreamConfig{Replicas: replicas}, class)
		_, err = js.CreateStream(ctx, cfg)
		return spaceError(class, err)
	}
	if err != nil {
		return err
	}
	is := stream.CachedInfo().Config
	want := limited(is, class)
	if reflect.DeepEqual(is, want) {
		return nil
	}
	// An update says all of a stream's configuration, replicas included: it would undo a change of those that was made since the look.
	if is.Replicas != replicas {
		return fmt.Errorf("%w: %d are there and %d are to be; the class's limits follow", ErrResizing, is.Replicas, replicas)
	}
	_, err = js.UpdateStream(ctx, want)
	return spaceError(class, err)
}

// limited returns the configuration with all that the class decides.
func limited(cfg jetstream.StreamConfig, class v1.Class) jetstream.StreamConfig {
	kept := v1.HistoryKept(class.Name, "*")
	cfg.Name, cfg.Subjects = v1.HistoryStream(class.Name), []string{kept}
	cfg.Storage, cfg.Retention = jetstream.FileStorage, jetstream.LimitsPolicy
	cfg.MaxMsgs, cfg.MaxConsumers = -1, -1
	cfg.MaxBytes, cfg.MaxAge = class.MaxBytes, class.MaxAge
	cfg.MaxMsgsPerSubject, cfg.MaxMsgSize = class.MaxMessagesPerRoom, class.MaxMessageBytes
	cfg.Discard, cfg.DiscardNewPerSubject = jetstream.DiscardOld, false
	if class.Full == v1.FullRefuses {
		cfg.Discard, cfg.DiscardNewPerSubject = jetstream.DiscardNew, true
	}
	if cfg.Duplicates = v1.DuplicateWindow; class.MaxAge > 0 {
		cfg.Duplicates = min(cfg.Duplicates, class.MaxAge) // the server takes no longer one
	}
	// Messages leave from the oldest on and in no other way: what History says of sequences rests on that.
	cfg.DenyDelete = true
	cfg.AllowDirect = true
	// The room is the kept subject's only wildcard.
	cfg.RePublish = &jetstream.RePublish{Source: kept, Destination: v1.LogSubject("{{wildcard(1)}}")}
	return cfg
}

// spaceError adds ErrNoSpace to what the servers say when they have none.
func spaceError(class v1.Class, err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode {
	case codeAccountResources, codeInsufficient, codeStorageExceeded:
	case codeNoPeers:
		if !strings.Contains(api.Description, "insufficient storage") {
			return err
		}
	default:
		return err
	}
	return fmt.Errorf("%w: %d bytes; make this class or others smaller: %w", ErrNoSpace, class.MaxBytes, err)
}

// ErrHolds is returned for a stream that is to be removed and holds messages.
var ErrHolds = errors.New("the stream holds messages")

// Retire removes the stream of a class, by the name of its history, that gone says is gone for good, if it holds nothing. One that is not there
// is no error. The server removes streams by name, however late that comes: that takes nothing from the next class of the same name, since it has
// another history. Retire fails with ErrHolds, as records of classes or rooms may have been lost, which a person can tell; and with what gone
// fails with.
func Retire(ctx context.Context, js jetstream.JetStream, history string, gone func(context.Context) (bool, error)) error {
	err := retire(ctx, js, history, gone)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("remove stream %s of a history class that was deleted: %w", v1.HistoryStream(history), err)
	}
	return nil
}

func retire(ctx context.Context, js jetstream.JetStream, history string, gone func(context.Context) (bool, error)) error {
	stream, err := js.Stream(ctx, v1.HistoryStream(history))
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	if info.Cluster != nil && info.Cluster.Leader == "" {
		return errors.New("it has no leader, who would know what it holds")
	}
	if n := info.State.Msgs; n > 0 {
		return fmt.Errorf("%w, %d: look whether they are needed, and remove it by hand", ErrHolds, n)
	}
	if yes, err := gone(ctx); !yes || err != nil {
		return err
	}
	return js.DeleteStream(ctx, v1.HistoryStream(history))
}

// Purge removes all that a room has in its class's stream. A stream that is not there is no error. It fails on what is no room's id,
// since a wildcard would purge every room.
func Purge(ctx context.Context, js jetstream.JetStream, class, room string) error {
	if !v1.IsRoomID(room) {
		return fmt.Errorf("purge of room %q: not a room's id", room)
	}
	stream, err := js.Stream(ctx, v1.HistoryStream(class))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(v1.HistoryKept(class, room)))
	}
	if err != nil {
		return fmt.Errorf("purge room %s of history class %s: %w", room, class, err)
	}
	return nil
}
