// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

type object = map[string]any

// RemovePeer takes a server out of the meta group for good: its name must never be used again. It does nothing when the server is
// not listed. A running server is refused with ErrHoldsReplicas as long as it has a replica of a stream that is not complete on all
// others, or is the only one, since removing throws that replica away; a server that does not answer is refused with ErrWouldLose unless
// each stream that it belongs to has a leader and a quorum of complete replicas without it. Not so one that is retired, which is to say that
// its disk is marked never to start again: whatever it held is gone for the others, and a stream that lost its leader may get one by the
// removal. It fails with ErrNoLeader, and with a refusal while another change of members is under way.
func (a *Admin) RemovePeer(ctx context.Context, name string, retired bool) error {
	return a.remove(ctx, name, func(p Member) error {
		if retired && !p.Answered {
			return nil
		}
		streams, err := a.Streams(ctx)
		if err != nil {
			return err
		}
		return mayRemove(name, p.Answered, streams)
	})
}

// RemoveLost takes a server out of the meta group that a person declares lost together with its disk, whatever it held: what no other
// member has of a stream is lost with it. It does nothing when the server is not listed, and refuses with ErrHoldsReplicas when the
// server answers.
func (a *Admin) RemoveLost(ctx context.Context, name string) error {
	return a.remove(ctx, name, func(p Member) error {
		if p.Answered {
			return fmt.Errorf("%w: it is not lost, it answers", ErrHoldsReplicas)
		}
		return nil
	})
}

func (a *Admin) remove(ctx context.Context, name string, allowed func(Member) error) error {
	m, err := a.Meta(ctx)
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	p, ok := m.Has(name)
	if !ok {
		return nil
	}
	if err := allowed(p); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	// By id: the leader may not know the name of a server that it has not met since it was started.
	err = a.tell(ctx, SystemAccount, "$JS.API.SERVER.REMOVE", object{"peer": name, "peer_id": p.ID})
	if err != nil && !refused(err, codeServerNotMember) {
		return fmt.Errorf("remove %s from the meta group: %w", name, err)
	}
	return nil
}

// mayRemove says why a server must not be removed.
func mayRemove(name string, running bool, streams []Stream) error {
	var held, lost []string
	for _, s := range streams {
		if _, ok := s.Has(name); !ok {
			continue
		}
		others := 0
		for _, r := range s.Members {
			if r.Name != name && r.Current() {
				others++
			}
		}
		id := s.Account + "/" + s.Name
		switch {
		case running && (others == 0 || others < len(s.Members)-1):
			held = append(held, id)
		case !running && (s.Leader == "" || s.Leader == name || others < len(s.Members)/2+1):
			lost = append(lost, id)
		}
	}
	switch {
	case len(held) > 0:
		return fmt.Errorf("%w that the others don't have in full: %s; move them to other members first", ErrHoldsReplicas, strings.Join(held, ", "))
	case len(lost) > 0:
		return fmt.Errorf("%w: %s; bring the server back, or restore the stream from a backup", ErrWouldLose, strings.Join(lost, ", "))
	}
	return nil
}

// MoveReplica begins to move a stream's replica, and its consumers', from a server to another one, which JetStream chooses among the
// members that have none. The old replica goes only when the new one is complete. It fails with ErrNoPlace when there is no such
// member, and then changes nothing; that also happens while the same move is under way. It returns nil when there is nothing to move.
//
// Per stream and not by $JS.API.SERVER.EVACUATE, which takes the replica away even where nobody can take it over.
func (a *Admin) MoveReplica(ctx context.Context, account, stream, from string) error {
	err := a.tell(ctx, account, "$JS.API.STREAM.PEER.EVACUATE."+stream, object{"peer": from})
	switch {
	case refused(err, codePeerNotMember):
		return nil
	case refused(err, codePeerRemap):
		return fmt.Errorf("move the replica of %s/%s off %s: %w: %w", account, stream, from, ErrNoPlace, err)
	case err != nil:
		return fmt.Errorf("move the replica of %s/%s off %s: %w", account, stream, from, err)
	}
	return nil
}

// SetReplicas asks for another number of replicas and changes nothing else of the stream's configuration, fields that this
// program does not know included. It returns nil when the stream has that number already. When the number is lowered the leader keeps its
// replica, whoever it is. The new replicas are complete only when Stream.InSync says so.
func (a *Admin) SetReplicas(ctx context.Context, account, stream string, replicas int) error {
	var i streamInfo
	if err := a.ask(ctx, account, "$JS.API.STREAM.INFO."+stream, nil, &i); err != nil {
		return fmt.Errorf("read the configuration of %s/%s: %w", account, stream, err)
	}
	var cfg map[string]json.RawMessage
	if err := json.Unmarshal(i.Config, &cfg); err != nil {
		return fmt.Errorf("read the configuration of %s/%s: %w", account, stream, err)
	}
	want := json.RawMessage(fmt.Sprint(replicas))
	if string(cfg["num_replicas"]) == string(want) {
		return nil
	}
	cfg["num_replicas"] = want
	if err := a.tell(ctx, account, "$JS.API.STREAM.UPDATE."+stream, cfg); err != nil {
		return fmt.Errorf("set the replicas of %s/%s to %d: %w", account, stream, replicas, err)
	}
	return nil
}

// MoveMetaLeader asks the meta leader to hand over to another member. It fails with ErrNotMember and, when that one is not
// current, with ErrNotInSync.
func (a *Admin) MoveMetaLeader(ctx context.Context, to string) error {
	m, err := a.Meta(ctx)
	if err != nil {
		return fmt.Errorf("move the meta leader to %s: %w", to, err)
	}
	p, ok := m.Has(to)
	switch {
	case !ok:
		return fmt.Errorf("move the meta leader to %s: %w", to, ErrNotMember)
	case m.Leader == to:
		return nil
	case !p.Current:
		return fmt.Errorf("move the meta leader to %s: %w", to, ErrNotInSync)
	}
	err = a.tell(ctx, SystemAccount, "$JS.API.META.LEADER.STEPDOWN", object{"placement": object{"preferred": to}})
	if err != nil {
		return fmt.Errorf("move the meta leader to %s: %w", to, err)
	}
	return nil
}

// MoveStreamLeader asks a stream's leader to hand over to another member of the stream. It fails with ErrNotInSync unless two
// witnesses call that one complete: the leader's word alone comes too early, and the stream then takes no writes for seconds.
func (a *Admin) MoveStreamLeader(ctx context.Context, account, stream, to string) error {
	s, err := a.Stream(ctx, account, stream)
	if err != nil {
		return fmt.Errorf("move the leader of %s/%s to %s: %w", account, stream, to, err)
	}
	r, ok := s.Has(to)
	switch {
	case s.Leader == to:
		return nil
	case !ok || !r.Current():
		return fmt.Errorf("move the leader of %s/%s to %s: %w", account, stream, to, ErrNotInSync)
	}
	err = a.tell(ctx, account, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, object{"placement": object{"preferred": to}})
	if err != nil {
		return fmt.Errorf("move the leader of %s/%s to %s: %w", account, stream, to, err)
	}
	return nil
}
