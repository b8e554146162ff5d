// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/unibus/unibus/internal/file"
)

// ledger is what one writer was told that a room has kept. In its file it is a line of JSON, followed by one for each record.
type ledger struct {
	path    string
	head    ledgerHead
	records []ledgerRecord
	w       *os.File // open for the writer
}

// ledgerHead says whose ledger it is.
type ledgerHead struct {
	Writer  string    `json:"writer"` // at random: ids of messages begin with it
	Room    string    `json:"room"`
	RoomID  string    `json:"roomID"`
	User    string    `json:"user"`
	Started time.Time `json:"started"`
}

// ledgerRecord is one message that was acknowledged. Numbers begin with 1 and leave none out.
type ledgerRecord struct {
	Number   uint64    `json:"number"`
	ID       string    `json:"id"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
}

func (h ledgerHead) id(number uint64) string { return h.Writer + "-" + strconv.FormatUint(number, 10) }

// number is the reverse of id; 0 for an id of somebody else.
func (h ledgerHead) number(id string) uint64 {
	digits, ok := strings.CutPrefix(id, h.Writer+"-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || h.id(n) != id {
		return 0
	}
	return n
}

// body is what a message of that number says: its id, and enough after it to have the size.
func (h ledgerHead) body(number uint64, size int) []byte {
	b := []byte(h.id(number) + " ")
	return append(b, bytes.Repeat([]byte{'.'}, max(size-len(b), 0))...)
}

// says reports whether that is the body of a message of that number.
func (h ledgerHead) says(number uint64, body []byte) bool {
	return bytes.Equal(body, h.body(number, len(body)))
}

// last is the number and the sequence of the newest record, zero for none.
func (l *ledger) last() (number, sequence uint64) {
	if len(l.records) == 0 {
		return 0, 0
	}
	r := l.records[len(l.records)-1]
	return r.Number, r.Sequence
}

var errNoLedger = errors.New("no ledger")

// parseLedger reads a ledger. whole is how many bytes of it count: what a writer that was killed left half written at the end does not.
func parseLedger(content []byte) (l ledger, whole int, err error) {
	line := 0
	for text := range bytes.Lines(content) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break
		}
		line++
		if line == 1 {
			err = strict(text, &l.head)
			if err == nil && (l.head.Writer == "" || l.head.RoomID == "" || l.head.User == "") {
				err = errors.New("it does not say whose it is")
			}
		} else {
			var r ledgerRecord
			number, sequence := l.last()
			err = strict(text, &r)
			if err == nil && (r.Number != number+1 || r.ID != l.head.id(r.Number) || r.Sequence <= sequence) {
				err = fmt.Errorf("number %d at sequence %d after number %d at sequence %d", r.Number, r.Sequence, number, sequence)
			}
			l.records = append(l.records, r)
		}
		if err != nil {
			return ledger{}, 0, fmt.Errorf("%w: line %d: %w", errNoLedger, line, err)
		}
		whole += len(text)
	}
	if line == 0 {
		return ledger{}, 0, fmt.Errorf("%w: it is empty", errNoLedger)
	}
	return l, whole, nil
}

func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows on the line")
	}
	return nil
}

// readLedger reads the ledger of a writer, who may be at work.
func readLedger(path string) (ledger, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return ledger{}, fmt.Errorf("read the ledger: %w", err)
	}
	l, _, err := parseLedger(content)
	if err != nil {
		return l, fmt.Errorf("%s is no ledger of unibus writer, or is damaged: %w", path, err)
	}
	l.path = path
	return l, nil
}

// openLedger opens a ledger to write on, or begins one. No other process may write on it.
func openLedger(path string, begin ledgerHead) (*ledger, error) {
	w, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	fresh := err == nil
	if errors.Is(err, fs.ErrExist) {
		w, err = os.OpenFile(path, os.O_RDWR, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	l, err := resumeLedger(w, path, begin)
	if err == nil && fresh {
		err = file.Sync(filepath.Dir(path))
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return l, nil
}

func resumeLedger(w *os.File, path string, begin ledgerHead) (*ledger, error) {
	if held, err := file.Hold(w); err != nil || !held {
		return nil, errors.Join(err, fmt.Errorf("another writer is at work on %s: wait for its end, or take another file", path))
	}
	content, err := io.ReadAll(w)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	if !bytes.ContainsRune(content, '\n') { // new, or killed before the first line was whole
		if len(content) > 0 && content[0] != '{' {
			return nil, fmt.Errorf("%s is no ledger of unibus writer: take another file", path)
		}
		begin.Writer = strings.ToLower(rand.Text())
		l := &ledger{path: path, head: begin, w: w}
		return l, l.write(0, begin)
	}
	l, whole, err := parseLedger(content)
	if err != nil {
		return nil, fmt.Errorf("%s is no ledger of unibus writer, or is damaged: %w; take another file", path, err)
	}
	if l.head.RoomID != begin.RoomID || l.head.User != begin.User {
		return nil, fmt.Errorf("%s is the ledger of %s in room %s (%s): go on with that key and room, or take another file", path, l.head.User, l.head.Room, l.head.RoomID)
	}
	l.path, l.w = path, w
	if err := w.Truncate(int64(whole)); err != nil {
		return nil, fmt.Errorf("take a half written line off the ledger: %w", err)
	}
	_, err = w.Seek(int64(whole), io.SeekStart)
	return &l, err
}

// add writes down a message. When it returns, the record outlives the machine.
func (l *ledger) add(r ledgerRecord) error {
	l.records = append(l.records, r)
	return l.write(-1, r)
}

// write appends a line; from 0 it writes the file anew.
func (l *ledger) write(from int64, v any) error {
	b, err := json.Marshal(v)
	if err == nil && from == 0 {
		_, err = l.w.Seek(0, io.SeekStart)
		err = errors.Join(err, l.w.Truncate(0))
	}
	if err == nil {
		_, err = l.w.Write(append(b, '\n'))
	}
	if err == nil {
		err = l.w.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the ledger %s: %w", l.path, err)
	}
	return nil
}

func (l *ledger) close() { l.w.Close() }
