// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

const (
	// span is how many sequences one reader takes at a time.
	span = 512
	// readers is how many requests are under way at once.
	readers = 16
)

// read reads all messages with a sequence in [first, last] from the stream's leader. It goes by STREAM.MSG.GET, which the leader alone answers:
// a consumer or a direct get may sit on a member that lags and show an old picture without an error, and a consumer would hold
// back what a work queue drops.
func (a *Admin) read(ctx context.Context, account, stream string, first, last uint64, progress func(uint64)) ([]mark, error) {
	if first == 0 || first > last {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := (last-first)/span + 1
	var (
		next, count atomic.Uint64
		mu          sync.Mutex
		failed      error
		all         []mark
		wg          sync.WaitGroup
	)
	for range min(readers, chunks) {
		wg.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= chunks {
					return
				}
				from := first + n*span
				got, err := a.readSpan(ctx, account, stream, from, min(from+span-1, last))
				mu.Lock()
				if err != nil && failed == nil {
					failed = err
					cancel()
				}
				all = append(all, got...)
				mu.Unlock()
				if err != nil {
					return
				}
				progress(count.Add(uint64(len(got))))
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	slices.SortFunc(all, func(x, y mark) int {
		if x.seq < y.seq {
			return -1
		}
		return 1
	})
	return all, nil
}

// storedMessage is one message as STREAM.MSG.GET tells it.
type storedMessage struct {
	Message struct {
		Subject string `json:"subject"`
		Seq     uint64 `json:"seq"`
		Header  []byte `json:"hdrs"`
		Data    []byte `json:"data"`
	} `json:"message"`
}

// readSpan reads the messages of [from, to], jumping over what was deleted.
func (a *Admin) readSpan(ctx context.Context, account, stream string, from, to uint64) ([]mark, error) {
	var out []mark
	for seq := from; seq <= to; {
		var r storedMessage
		err := a.ask(ctx, account, "$JS.API.STREAM.MSG.GET."+stream, object{"seq": seq, "next_by_subj": ">"}, &r)
		if refused(err, codeMessageNotFound) {
			break // nothing from here to the end
		}
		if err != nil {
			return nil, err
		}
		if r.Message.Seq > to {
			break
		}
		if r.Message.Seq < seq {
			return nil, fmt.Errorf("asked for message %d or a later one, the leader answers with %d", seq, r.Message.Seq)
		}
		out = append(out, r.mark())
		seq = r.Message.Seq + 1
	}
	return out, nil
}

// mark hashes the message; each part goes with its length, so that no two messages look alike.
func (r storedMessage) mark() mark {
	m := mark{seq: r.Message.Seq}
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], m.seq)
	h.Write(n[:])
	for _, part := range [][]byte{[]byte(r.Message.Subject), r.Message.Header, r.Message.Data} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	copy(m.sum[:], h.Sum(nil))
	m.subject = subjectSum(r.Message.Subject)
	m.marker = isMarker(r.Message.Subject, r.Message.Header)
	return m
}

// isMarker says whether a message is one by which a key of a bucket is removed.
func isMarker(subject string, header []byte) bool {
	if !strings.HasPrefix(subject, "$KV.") || len(header) == 0 {
		return false
	}
	h, err := nats.DecodeHeadersMsg(header)
	op := h.Get("KV-Operation")
	return err == nil && (op == "DEL" || op == "PURGE")
}

func subjectSum(subject string) [8]byte {
	s := sha256.Sum256([]byte(subject))
	return [8]byte(s[:8])
}
