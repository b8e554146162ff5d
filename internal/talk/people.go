// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// people are the names of who is in a room. Messages bear keys.
type people struct {
	s     *session
	room  string
	byKey map[string]string
	asked time.Time
}

const (
	// nameLimit is how long messages wait for names, nameEvery how often somebody unknown is asked for.
	nameLimit = 2 * time.Second
	nameEvery = 30 * time.Second
)

// name is who has a key, empty when that can't be known now.
func (p *people) name(key string) string {
	if p.byKey[key] == "" && time.Since(p.asked) > nameEvery {
		p.ask()
	}
	return p.byKey[key]
}

func (p *people) ask() {
	p.asked = time.Now()
	if p.s.bus.API == "" {
		return
	}
	api, err := p.s.api()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(p.s.ctx, nameLimit)
	defer cancel()
	found := map[string]string{}
	for m, err := range api.Members(ctx, p.room) {
		if err != nil {
			return
		}
		found[m.User] = m.Name
	}
	p.byKey = found
}

// key is the key of somebody who is named by it or by a name.
func (p *people) key(user string) (string, error) {
	if user == "" || v1.IsUserKey(user) {
		return user, nil
	}
	p.ask()
	for key, name := range p.byKey {
		if name == user {
			return key, nil
		}
	}
	return "", fmt.Errorf("nobody in room %s is known by the name %q: give the public key (U...), or see unibus member list %s", p.room, user, p.room)
}

// brief is enough of a key to tell people apart.
func brief(key string) string {
	if v1.IsUserKey(key) {
		return key[:10] + "…"
	}
	return key
}
