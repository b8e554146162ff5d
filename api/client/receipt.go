// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// readReceipt reads what the append service answered.
func readReceipt(m *nats.Msg) (Receipt, error) {
	if first(m, headerStatus) == statusNobody {
		return Receipt{}, fmt.Errorf("%w: no node appends to histories now", ErrUnavailable)
	}
	if sequence, ok := plainReceipt(m.Data); ok {
		return Receipt{Sequence: sequence}, nil
	}
	var a v1.AppendAnswer
	switch err := json.Unmarshal(m.Data, &a); {
	case err != nil, a.Error == nil && a.Sequence == 0:
		return Receipt{}, fmt.Errorf("%w: its answer to a message can't be read", ErrBadServer)
	case a.Error != nil:
		return Receipt{}, answered(a.Error)
	}
	return Receipt{Sequence: a.Sequence, Duplicate: a.Duplicate}, nil
}

// plainReceipt reads the answer that nearly all messages get, {"stream":"...","seq":1}, for a small part of what reading JSON costs. ok is false
// for whatever looks otherwise.
func plainReceipt(data []byte) (sequence uint64, ok bool) {
	rest, begins := bytes.CutPrefix(data, []byte(`{"stream":"`))
	name, rest, middle := bytes.Cut(rest, []byte(`","seq":`))
	digits, ends := bytes.CutSuffix(rest, []byte("}"))
	odd := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }
	if !begins || !middle || !ends || bytes.ContainsFunc(name, odd) || bytes.HasPrefix(digits, []byte("0")) {
		return 0, false
	}
	sequence, err := strconv.ParseUint(string(digits), 10, 64)
	return sequence, err == nil
}
