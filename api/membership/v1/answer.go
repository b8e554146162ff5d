// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// What JetStream says of a message that it does not keep.
const (
	streamStoreFailed    = 10077 // the words tell why
	streamMessageTooLong = 10054
	streamHeaderTooLong  = 10097
	streamInProcess      = 10158
)

// UnmarshalJSON implements json.Unmarshaler. It fails on an answer that says neither that the message is kept nor why not.
func (a *AppendAnswer) UnmarshalJSON(data []byte) error {
	var w struct {
		Sequence, Seq uint64
		Duplicate     bool
		Error         *struct {
			Code        any
			Message     string
			ErrCode     int `json:"err_code"`
			Description string
		}
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("answer to an append: %w", err)
	}
	*a = AppendAnswer{Sequence: max(w.Sequence, w.Seq), Duplicate: w.Duplicate}
	if w.Error == nil && a.Sequence > 0 {
		return nil
	}
	*a = AppendAnswer{}
	if w.Error == nil {
		return errors.New("answer to an append: it has neither a sequence nor an error")
	}
	if code, ok := w.Error.Code.(string); ok { // a stream's is a number
		a.Error = &Error{Code: code, Message: w.Error.Message}
	} else {
		a.Error = streamError(w.Error.ErrCode, w.Error.Description)
	}
	return nil
}

// AppendInProcess is the error of an append whose message id is that of another, which is on its way into the history still. What becomes of that
// is answered to that one.
var AppendInProcess = &Error{Code: CodeUnavailable, Message: "a message of the same id is on its way: repeat it with the same message id"}

var appendUnclear = &Error{Code: CodeUnavailable, Message: "the message may or may not be kept: repeat it with the same message id"}

// streamError says in this contract's words why a stream did not keep a message.
func streamError(code int, words string) *Error {
	switch {
	case code == streamMessageTooLong, code == streamHeaderTooLong, code == streamStoreFailed && strings.Contains(words, "too large"):
		return &Error{Code: CodeTooLarge, Message: "the message or its headers are too large: send a smaller one"}
	case code == streamStoreFailed && strings.Contains(words, "exceeded"):
		return &Error{Code: CodeFull, Message: "the room, or its history class, is full: wait until messages expire, or ask for a larger class"}
	case code == streamInProcess:
		return AppendInProcess
	}
	return appendUnclear
}
