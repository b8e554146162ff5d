// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

func TestRecordIsCreatedOnce(t *testing.T) {
	f := folder{t.TempDir()}
	first := &scaling.Record{Names: map[string]scaling.Name{"a-0-0": {Phase: scaling.Ordered, Kind: scaling.Found}}}
	must(t, f.writeRecord(t.Context(), first, 0))
	v, err := f.record()
	must(t, err)
	if v.Version != 1 || len(v.Record.ClusterID) != 32 {
		t.Fatalf("the first record is %+v", v)
	}
	if err := f.writeRecord(t.Context(), first, 0); !errors.Is(err, errConflict) {
		t.Fatalf("a record was created over another one: %v", err)
	}
	if again, err := f.record(); err != nil || again.Record.ClusterID != v.Record.ClusterID {
		t.Fatalf("the cluster id changed: %+v, %v", again, err)
	}
	lost := &scaling.Record{Names: v.Record.Names}
	if err := f.writeRecord(t.Context(), lost, 1); err == nil {
		t.Fatal("a record without its cluster id was written")
	}
}

// Of writers that have read the same version, one wins; the others read again.
func TestRecordWriters(t *testing.T) {
	f := folder{t.TempDir()}
	must(t, f.writeRecord(t.Context(), &scaling.Record{Names: map[string]scaling.Name{}}, 0))
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; i < each; {
				v, err := f.record()
				if err == nil {
					v.Record.Names[fmt.Sprintf("w%d-%d", w, i)] = scaling.Name{Phase: scaling.Member}
					err = f.writeRecord(t.Context(), v.Record, v.Version)
				}
				switch {
				case err == nil:
					i++
				case !errors.Is(err, errConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	v, err := f.record()
	must(t, err)
	if len(v.Record.Names) != writers*each || v.Version != writers*each+1 {
		t.Fatalf("%d names in version %d: a writer undid another one's work", len(v.Record.Names), v.Version)
	}
}

// A writer that dies between the temporary file and the rename leaves the old record, and is in nobody's way.
func TestRecordAfterACrash(t *testing.T) {
	f := folder{t.TempDir()}
	must(t, f.writeRecord(t.Context(), &scaling.Record{Names: map[string]scaling.Name{}}, 0))
	must(t, os.WriteFile(f.path(recordFile+".new"), []byte(`{"version": 2, "rec`), 0o600))
	v, err := f.record()
	must(t, err)
	if v.Version != 1 {
		t.Fatalf("version %d after the crash", v.Version)
	}
	must(t, f.writeRecord(t.Context(), v.Record, 1))
	if v, err = f.record(); err != nil || v.Version != 2 {
		t.Fatalf("version %d, %v", v.Version, err)
	}
}

func TestRecordOfKilledWriters(t *testing.T) {
	f := folder{t.TempDir()}
	last := uint64(0)
	for range 8 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), writerEnv+"="+f.dir)
		var said strings.Builder
		c.Stderr = &said
		must(t, c.Start())
		natstest.Until(limit, func() bool { v, err := f.record(); return err == nil && v.Version >= last+3 })
		must(t, c.Process.Kill())
		_ = c.Wait() // it was killed
		v, err := f.record()
		if err != nil || v.Version < last+3 {
			t.Fatalf("record after the kill: version %d, before it at least %d: %v; the writer said %q", v.Version, last+3, err, said.String())
		}
		last = v.Version
	}
}

func TestDamagedRecordIsRefused(t *testing.T) {
	f := folder{t.TempDir()}
	for _, content := range []string{"", "{", `{"version":1}`, `{"version":1,"record":{"names":{}}}`, `{"version":1,"record":{"clusterID":"x","names":{}},"more":1}`} {
		must(t, os.WriteFile(f.path(recordFile), []byte(content), 0o600))
		if _, err := f.record(); err == nil {
			t.Errorf("%q was taken for a record", content)
		}
		if err := f.writeRecord(t.Context(), &scaling.Record{Names: map[string]scaling.Name{}}, 0); err == nil {
			t.Errorf("%q was written over", content)
		}
	}
}

func TestInventoryUpdates(t *testing.T) {
	f := folder{t.TempDir()}
	if _, err := f.inventory(); err == nil || !strings.Contains(err.Error(), "unibus cluster create") {
		t.Fatalf("no inventory: %v", err)
	}
	must(t, f.createInventory(t.Context(), inventory{Name: "a", Replicas: 1}))
	if err := f.createInventory(t.Context(), inventory{Name: "b"}); err == nil {
		t.Fatal("a second inventory was created")
	}
	inv, err := f.update(t.Context(), func(inv *inventory) error {
		inv.Places = append(inv.Places, place{Control: "http://x", Local: &local{PID: 1}})
		return nil
	})
	must(t, err)
	same, err := f.update(t.Context(), func(*inventory) error { return nil })
	must(t, err)
	if inv.Version != 2 || same.Version != 2 {
		t.Fatalf("versions %d and %d: a change counts, no change does not", inv.Version, same.Version)
	}
	if _, err := f.update(t.Context(), func(inv *inventory) error { inv.Name = "x"; return errConflict }); !errors.Is(err, errConflict) {
		t.Fatal(err)
	}
	if now, err := f.inventory(); err != nil || now.Name != "a" || now.Places[0].Local.PID != 1 {
		t.Fatalf("%+v, %v", now, err)
	}
}
