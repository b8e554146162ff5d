// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Error codes of the JetStream API that are told apart.
const (
	codePeerNotMember   = 10040
	codeServerNotMember = 10044
	codeMessageNotFound = 10037
	codeStreamNotFound  = 10059
	codePeerRemap       = 10075
)

// APIError is a refusal by JetStream.
type APIError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *APIError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

// refused says whether err is a refusal with the given code.
func refused(err error, code int) bool {
	var e *APIError
	return errors.As(err, &e) && e.Code == code
}

// request sends one JetStream API request and decodes its answer into out, unless out is nil.
func request(ctx context.Context, nc *nats.Conn, subject string, body, out any) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request %s: %w", subject, err)
		}
	}
	m, err := nc.RequestWithContext(ctx, subject, b)
	if err != nil {
		return fmt.Errorf("request %s: %w", subject, err)
	}
	var r struct {
		Error *APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	if r.Error != nil {
		return fmt.Errorf("request %s: %w", subject, r.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(m.Data, out); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	return nil
}

// ask repeats a question in short attempts until it is answered, refused for good, or Options.Timeout is spent.
func (a *Admin) ask(ctx context.Context, account, subject string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, a.opts.Timeout)
	defer cancel()
	for attempt := firstAttempt; ; attempt = min(2*attempt, lastAttempt) {
		err := a.askOnce(ctx, attempt, account, subject, body, out)
		if err == nil || !again(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond): // no responders comes at once
		}
	}
}

// askList asks for a list that the server puts together of what others answer: for those who don't, it waits four seconds, and then says
// whom it missed. A shorter attempt would never be answered while one of them is down.
func (a *Admin) askList(ctx context.Context, account, subject string, body, out any) error {
	err := a.askOnce(ctx, listAttempt, account, subject, body, out)
	if err != nil && again(err) {
		err = a.askOnce(ctx, listAttempt, account, subject, body, out)
	}
	return err
}

func (a *Admin) askOnce(ctx context.Context, limit time.Duration, account, subject string, body, out any) error {
	nc, err := a.on(ctx, account)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return request(ctx, nc, subject, body, out)
}

// again says whether a question that failed so may be answered later: 503 means that there is no leader right now.
func again(err error) bool {
	var e *APIError
	return !errors.As(err, &e) || e.Status == 503
}

// tell asks for a change, once.
func (a *Admin) tell(ctx context.Context, account, subject string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, a.opts.Timeout)
	defer cancel()
	nc, err := a.on(ctx, account)
	if err != nil {
		return err
	}
	return request(ctx, nc, subject, body, nil)
}

// on returns the connection to an account, SystemAccount included.
func (a *Admin) on(ctx context.Context, account string) (*nats.Conn, error) {
	if account == SystemAccount {
		return a.system(ctx)
	}
	return a.account(ctx, account)
}

// answer is one server's answer to a question to all servers.
type answer struct {
	Server struct {
		Name string `json:"name"`
	} `json:"server"`
	Data  json.RawMessage `json:"data"`
	Error *APIError       `json:"error"`
}

// verdict is what a gathering thinks of the answers it has.
type verdict int

const (
	// waiting: go on until the limit.
	waiting verdict = iota
	// enough: go on while answers come in.
	enough
	// complete: stop.
	complete
)

// gather puts a question to all servers and hands each answer to take, until take says complete, or enough and it is quiet, or
// limit has passed. It fails only when the question can't be put.
func (a *Admin) gather(ctx context.Context, subject string, body any, limit time.Duration, take func(answer) verdict) error {
	nc, err := a.system(ctx)
	if err != nil {
		return err
	}
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode request %s: %w", subject, err)
	}
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return fmt.Errorf("ask all servers %s: %w", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest(subject, sub.Subject, b); err != nil {
		return fmt.Errorf("ask all servers %s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v := waiting
	for v != complete {
		wait, done := ctx, context.CancelFunc(func() {})
		if v == enough {
			wait, done = context.WithTimeout(ctx, quiet)
		}
		m, err := sub.NextMsgWithContext(wait)
		done()
		if err != nil {
			return nil // silence is an answer too
		}
		var r answer
		if json.Unmarshal(m.Data, &r) == nil && r.Server.Name != "" {
			v = take(r)
		}
	}
	return nil
}
