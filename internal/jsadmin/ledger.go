// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// LedgerEntry is what one stream held at one moment, read from its leader.
type LedgerEntry struct {
	Account string `json:"account"`
	Stream  string `json:"stream"`
	// Messages, First and Last are of the moment at which the reading began. With no messages First is Last + 1.
	Messages uint64 `json:"messages"`
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	// Digest is over sequence, subject, headers and data of every message up to Last, in hexadecimal. Empty when messages were
	// not read.
	Digest string `json:"digest,omitempty"`
	// Consumers are the durable consumers with the stream sequence up to which everything is acknowledged.
	Consumers map[string]uint64 `json:"consumers,omitempty"`

	limits limits
	marks  []mark
	// oldest is the first sequence at the end of the reading: what lies before it may have gone under the reading.
	oldest uint64
	// later are subjects that had messages at the end of the reading, if any was written since it began: one that no mark has got its
	// newest message meanwhile. Filled where a new message takes the place of an old one.
	later [][8]byte
}

// limits are the settings by which a stream may drop a message that it had.
type limits struct {
	Retention   string        `json:"retention"`
	PerSubject  int64         `json:"max_msgs_per_subject"`
	MaxMessages int64         `json:"max_msgs"`
	MaxBytes    int64         `json:"max_bytes"`
	MaxAge      time.Duration `json:"max_age"`
	TTL         bool          `json:"allow_msg_ttl"`
}

// mark is one message in 32 bytes: sequence, hashes of its subject and of all of it, and whether it is a key-value bucket's marker of a
// removal.
type mark struct {
	seq     uint64
	subject [8]byte
	sum     [15]byte
	marker  bool
}

// LedgerOptions say how much is read.
type LedgerOptions struct {
	// Quick leaves the messages unread: counts and sequences only.
	Quick bool
	// Progress, unless nil, is called now and then with the stream that is read and how many messages of it have been.
	Progress func(account, stream string, read, of uint64)
}

// Ledger reads every stream of every account from its leader, in short attempts. It keeps 32 bytes in memory for each message, so that two
// ledgers can be compared message by message (Compare). Streams may be written to meanwhile: each is read up to the last sequence
// that it had when its reading began. It fails with ErrMoved when a stream changes its leader under the reading; reading again helps.
func (a *Admin) Ledger(ctx context.Context, opts LedgerOptions) ([]LedgerEntry, error) {
	var out []LedgerEntry
	for _, account := range a.opts.Accounts {
		names, err := a.streamNames(ctx, account)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			e, err := a.entry(ctx, account, name, opts)
			if refused(err, codeStreamNotFound) {
				continue // deleted since the names were read
			}
			if err != nil {
				return nil, fmt.Errorf("read stream %s of account %s: %w", name, account, err)
			}
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(x, y LedgerEntry) int {
		return cmp.Or(cmp.Compare(x.Account, y.Account), cmp.Compare(x.Stream, y.Stream))
	})
	return out, nil
}

func (a *Admin) entry(ctx context.Context, account, name string, opts LedgerOptions) (LedgerEntry, error) {
	for try := 1; ; try++ {
		e, err := a.entryOnce(ctx, account, name, opts)
		if err == nil || try == 3 || !errors.Is(err, ErrMoved) {
			return e, err
		}
	}
}

func (a *Admin) entryOnce(ctx context.Context, account, name string, opts LedgerOptions) (LedgerEntry, error) {
	var i streamInfo
	if err := a.ask(ctx, account, "$JS.API.STREAM.INFO."+name, nil, &i); err != nil {
		return LedgerEntry{}, err
	}
	e := LedgerEntry{Account: account, Stream: name, Messages: i.State.Messages, First: i.State.First, Last: i.State.Last}
	if err := json.Unmarshal(i.Config, &e.limits); err != nil {
		return e, fmt.Errorf("read its configuration: %w", err)
	}
	var err error
	if e.Consumers, err = a.durables(ctx, account, name); err != nil {
		return e, err
	}
	e.oldest = e.First
	if opts.Quick {
		return e, nil
	}
	progress := func(read uint64) {
		if opts.Progress != nil {
			opts.Progress(account, name, read, e.Messages)
		}
	}
	if e.marks, err = a.read(ctx, account, name, e.First, e.Last, progress); err != nil {
		return e, err
	}
	e.Digest = digest(e.marks, e.Last)
	var after streamInfo
	if err := a.ask(ctx, account, "$JS.API.STREAM.INFO."+name, nil, &after); err != nil {
		return e, err
	}
	if after.Cluster.Leader != i.Cluster.Leader {
		return e, fmt.Errorf("%w: from %q to %q", ErrMoved, i.Cluster.Leader, after.Cluster.Leader)
	}
	e.oldest = after.State.First
	if e.limits.PerSubject > 0 && after.State.Last > e.Last {
		e.later, err = a.subjects(ctx, account, name)
	}
	return e, err
}

// subjects returns the hashes of all subjects that a stream has messages of.
func (a *Admin) subjects(ctx context.Context, account, stream string) ([][8]byte, error) {
	var out [][8]byte
	for {
		var r struct {
			Total int `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		if err := a.ask(ctx, account, "$JS.API.STREAM.INFO."+stream, object{"subjects_filter": ">", "offset": len(out)}, &r); err != nil {
			return nil, fmt.Errorf("list its subjects: %w", err)
		}
		for s := range r.State.Subjects {
			out = append(out, subjectSum(s))
		}
		if len(r.State.Subjects) == 0 || len(out) >= r.Total {
			return out, nil
		}
	}
}

// durables returns the ack floors of the durable consumers, those that nobody answers for left out: nodes have ephemeral ones, and one that
// is down can't say so. A durable one that was there before and is left out now is told as gone.
func (a *Admin) durables(ctx context.Context, account, stream string) (map[string]uint64, error) {
	var out map[string]uint64
	for seen := 0; ; {
		var r struct {
			Total     int `json:"total"`
			Limit     int `json:"limit"`
			Consumers []struct {
				Name   string `json:"name"`
				Config struct {
					Durable string `json:"durable_name"`
				} `json:"config"`
				AckFloor struct {
					Stream uint64 `json:"stream_seq"`
				} `json:"ack_floor"`
			} `json:"consumers"`
		}
		if err := a.askList(ctx, account, "$JS.API.CONSUMER.LIST."+stream, map[string]int{"offset": seen}, &r); err != nil {
			return nil, fmt.Errorf("list its consumers: %w", err)
		}
		for _, c := range r.Consumers {
			if c.Config.Durable == "" {
				continue
			}
			if out == nil {
				out = map[string]uint64{}
			}
			out[c.Name] = c.AckFloor.Stream
		}
		if seen += r.Limit; r.Limit == 0 || seen >= r.Total {
			return out, nil
		}
	}
}

// digest is over all marks up to and including sequence last.
func digest(marks []mark, last uint64) string {
	h := sha256.New()
	for _, m := range marks {
		if m.seq > last {
			break
		}
		h.Write(m.sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
