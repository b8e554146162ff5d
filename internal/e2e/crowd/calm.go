// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"fmt"
	"time"
)

// margin is how long before and after a message, in a calm time, who was to get it must have been able to.
const margin = time.Second

// sent is a message that was spoken in a room, or that its history took. It goes to who subscribes to the subject.
type sent struct {
	subject, room, id string
	// speaker is who spoke, of whom nobody knows whether the message has left; empty where it was answered for.
	speaker string
	at      time.Time
}

// listener is what a user had while the cluster was calm: times with a connection, at "", and with each subscription, and messages, by
// subject and id.
type listener struct {
	user  string
	stood map[string][]span
	got   map[string]bool
}

func (l *listener) stands(subject string, from, to time.Time) bool {
	for _, s := range l.stood[subject] {
		if s.covers(from, to) {
			return true
		}
	}
	return false
}

// missed judges a calm time: what was sent reaches everybody who may have it and listens.
func missed(m *Model, calm span, messages []sent, listeners []*listener) (lost []string, judged int) {
	by := map[string]*listener{}
	for _, l := range listeners {
		by[l.user] = l
	}
	for _, s := range messages {
		from, to := s.at.Add(-margin), s.at.Add(margin)
		if !calm.covers(from, to) {
			continue
		}
		if s.speaker != "" {
			least, _ := m.May(Pair{s.speaker, s.room}, from, to)
			if l := by[s.speaker]; least < Write || l == nil || !l.stands("", from, to) {
				continue
			}
		}
		for _, l := range listeners {
			if least, _ := m.May(Pair{l.user, s.room}, from, to); least < Read || !l.stands(s.subject, from, to) {
				continue
			}
			judged++
			if !l.got[s.subject+" "+s.id] {
				lost = append(lost, fmt.Sprintf("%s of %s, sent %s, did not reach %s", s.id, s.subject, clock(s.at), l.user))
			}
		}
	}
	return lost, judged
}
