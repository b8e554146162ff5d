// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// patience is how long a question to all servers waits for one that has a route but does not answer.
const patience = time.Second

// ServerInfo is what a server tells of itself.
type ServerInfo struct {
	Name      string   `json:"name"`
	ID        string   `json:"id"` // of this run of the server
	Cluster   string   `json:"cluster"`
	Version   string   `json:"ver"`
	Tags      []string `json:"tags"`
	JetStream bool     `json:"jetstream"`
}

// Tag returns what follows the prefix in the first tag that has it.
func (i ServerInfo) Tag(prefix string) (string, bool) {
	for _, t := range i.Tags {
		if v, ok := strings.CutPrefix(t, prefix); ok {
			return v, true
		}
	}
	return "", false
}

// answer is one server's answer to a question to all.
type answer struct {
	Server ServerInfo       `json:"server"`
	Data   json.RawMessage  `json:"data"`
	Error  *server.ApiError `json:"error"`
}

// Servers asks all servers that this one has routes to, itself included, and returns those that
// answered, when all have or after a second.
func (s *Server) Servers(ctx context.Context) ([]ServerInfo, error) {
	var all []ServerInfo
	err := s.ask(ctx, "HEALTHZ", map[string]any{"js-server-only": true}, func(a answer) bool {
		all = append(all, a.Server)
		return false
	})
	return all, err
}

// ask puts a question of the system account to all servers, and gives each answer to the function
// until that says it has enough, all have answered, or patience ends.
func (s *Server) ask(ctx context.Context, question string, body any, got func(answer) (enough bool)) error {
	nc, err := s.own(AccountSystem)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask all servers for %s: %w", question, err)
	}
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("ask all servers for %s: %w", question, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails only with the connection
	if err := nc.PublishRequest("$SYS.REQ.SERVER.PING."+question, inbox, payload); err != nil {
		return fmt.Errorf("ask all servers for %s: %w", question, err)
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	missing := s.reachable()
	for len(missing) > 0 {
		m, err := sub.NextMsgWithContext(wait)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("ask all servers for %s: %w", question, context.Cause(ctx))
		case err != nil && wait.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("ask all servers for %s: %w", question, err)
		}
		var a answer
		if err := json.Unmarshal(m.Data, &a); err != nil {
			continue // not an answer: nobody else knows the inbox, so it is a newer server's, and foreign to us
		}
		delete(missing, a.Server.ID)
		if got(a) {
			return nil
		}
	}
	return nil
}

// reachable returns the ids of all servers that can answer: routes are a full mesh.
func (s *Server) reachable() map[string]bool {
	ids := map[string]bool{s.ns.ID(): true}
	if r, err := s.ns.Routez(nil); err == nil {
		for _, route := range r.Routes {
			ids[route.RemoteID] = true
		}
	}
	return ids
}
