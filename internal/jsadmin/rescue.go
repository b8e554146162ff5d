// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Rescued is one server's answer to Rescue.
type Rescued struct {
	Server string
	// Before and After are the server's quorum.
	Before, After int
	// Refusal says why the server did nothing, empty when it lowered its quorum.
	Refusal string
}

// Rescue lowers the quorum of the meta group on every server that answers, for a few minutes: a person's last resort when more
// members than a quorum can spare are gone for good. The lost ones have to be removed before that time is over. Each server
// decides for itself: one that knows a leader, or has an empty log, refuses. It fails when no server lowered its quorum.
func (a *Admin) Rescue(ctx context.Context, quorum int) ([]Rescued, error) {
	nc, err := a.system(ctx)
	if err != nil {
		return nil, fmt.Errorf("rescue: %w", err)
	}
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, fmt.Errorf("rescue: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	b, err := json.Marshal(object{"quorum_needed": quorum})
	if err != nil {
		return nil, fmt.Errorf("rescue: %w", err)
	}
	if err := nc.PublishRequest("$JS.API.META.RESCUE", sub.Subject, b); err != nil {
		return nil, fmt.Errorf("rescue: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*lastAttempt)
	defer cancel()
	var out []Rescued
	lowered := false
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			break // everyone who answers has answered
		}
		var said struct {
			Server string    `json:"server"`
			Before int       `json:"prev_quorum"`
			After  int       `json:"new_quorum"`
			Error  *APIError `json:"error"`
		}
		if json.Unmarshal(m.Data, &said) != nil {
			continue
		}
		r := Rescued{Server: said.Server, Before: said.Before, After: said.After}
		if said.Error != nil {
			r.Refusal = said.Error.Error()
		} else {
			lowered = true
		}
		out = append(out, r)
	}
	if !lowered {
		return out, fmt.Errorf("rescue: no server lowered its quorum: %s", refusals(out))
	}
	return out, nil
}

func refusals(all []Rescued) string {
	var said []string
	for _, r := range all {
		said = append(said, r.Server+": "+r.Refusal)
	}
	if len(said) == 0 {
		return "none answered"
	}
	return strings.Join(said, "; ")
}
