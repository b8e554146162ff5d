// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/unibus/unibus/internal/scaling"
)

const (
	recordFile = "record.json"
	lockFile   = ".lock"
)

// errConflict is returned when another run has written since this one read. Observing again helps.
var errConflict = errors.New("another run has changed it meanwhile")

// versioned is the record as it is stored.
type versioned struct {
	// Version counts the writes; 0 means that there is no record.
	Version uint64          `json:"version"`
	Record  *scaling.Record `json:"record"`
}

// record reads the identity record; version 0 and nil when there is none.
func (f folder) record() (versioned, error) {
	b, err := os.ReadFile(f.path(recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return versioned{}, nil
	}
	if err != nil {
		return versioned{}, fmt.Errorf("read the record: %w", err)
	}
	var v versioned
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return versioned{}, fmt.Errorf("the record %s is damaged: %w; restore it from a backup", f.path(recordFile), err)
	}
	if v.Version == 0 || v.Record == nil || v.Record.ClusterID == "" {
		return versioned{}, fmt.Errorf("the record %s is incomplete; restore it from a backup", f.path(recordFile))
	}
	return v, nil
}

// writeRecord writes the record if its version is still the one that was read, and fails with errConflict otherwise. With
// version 0 it creates the record, never overwrites one, and makes the cluster id unless the record brings one.
func (f folder) writeRecord(ctx context.Context, r *scaling.Record, read uint64) error {
	return f.locked(ctx, lockFile, func() error {
		now, err := f.record()
		if err != nil {
			return err
		}
		if now.Version != read {
			return fmt.Errorf("write the record: %w (version %d, read was %d)", errConflict, now.Version, read)
		}
		next := versioned{Version: read + 1, Record: r}
		if r.ClusterID == "" {
			if read != 0 {
				return errors.New("write the record: it has lost its cluster id")
			}
			id := make([]byte, 16)
			if _, err := rand.Read(id); err != nil {
				return fmt.Errorf("make a cluster id: %w", err)
			}
			c := *r
			c.ClusterID = hex.EncodeToString(id)
			next.Record = &c
		}
		b, err := json.MarshalIndent(next, "", "  ")
		if err != nil {
			return fmt.Errorf("encode the record: %w", err)
		}
		return f.write(recordFile, append(b, '\n'), 0o600)
	})
}
