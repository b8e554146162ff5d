// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
)

// record is the cluster's identity record, as far as a node reads it: by itself, or as "record" beside a version.
type record struct {
	Names map[string]struct {
		Phase string `json:"phase"`
	} `json:"names"`
	Record *record `json:"record"`
}

// recorded returns a function that reads, anew at each call, the names that the record at path has in any of some phases.
// The record only denies: one that is not there, or can't be read, has no names, and what the disk says counts.
func recorded(path string, log *slog.Logger) func(phases ...string) []string {
	var told atomic.Bool
	return func(phases ...string) []string {
		if path == "" {
			return nil
		}
		var r record
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if r.Record != nil {
			r = *r.Record
		}
		if err == nil && r.Names == nil {
			err = errors.New("it has no names: it is another file, or damaged")
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !told.Swap(true) {
				log.Warn("the identity record can't be read and denies nothing", "file", path, "error", err)
			}
			return nil
		}
		told.Store(false)
		var names []string
		for name, n := range r.Names {
			if slices.Contains(phases, n.Phase) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
}
