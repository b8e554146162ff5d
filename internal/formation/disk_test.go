// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func TestEmptyDiskWaitsWithADurableID(t *testing.T) {
	cfg := testConfig(filepath.Join(t.TempDir(), "deep", "store"))
	f := MustOpen(t, cfg)
	s := f.Status()
	if s.Phase != v1.NodeWaiting || s.DiskID == "" || s.Nonce == "" || s.ServerName != "" {
		t.Errorf("status of an empty disk: %+v", s)
	}
	if b, err := os.ReadFile(filepath.Join(cfg.StoreDir, diskIDFile)); err != nil || string(b) != s.DiskID+"\n" {
		t.Errorf("disk-id %q %v, want %s", b, err, s.DiskID)
	}
	MustClose(t, f)
	again := MustOpen(t, cfg).Status()
	if again.DiskID != s.DiskID || again.Nonce == s.Nonce {
		t.Errorf("next boot: disk %s nonce %s, before: disk %s nonce %s", again.DiskID, again.Nonce, s.DiskID, s.Nonce)
	}
}

func TestLockHeldByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=hold:0:"+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	f, err := Open(testConfig(dir))
	if err == nil {
		MustClose(t, f)
	}
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "--store-dir") || !strings.Contains(err.Error(), "pid ") {
		t.Errorf("%v, want %v with the holder and a remedy", err, ErrLocked)
	}
	_ = in.Close()
	_ = cmd.Wait()
	MustClose(t, MustOpen(t, testConfig(dir)))
}

func TestDiskThatDoesNotFitIsRefused(t *testing.T) {
	rm := func(t *testing.T, dir string, name string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(t *testing.T, dir, name string, change func([]byte) []byte) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		MustWriteFile(t, string(change(b)), dir, name)
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		word  string
	}{
		"standalone or foreign store": {func(t *testing.T, dir string) { rm(t, dir, identityFile) }, "standalone or foreign"},
		"identity half-written":       {func(t *testing.T, dir string) { edit(t, dir, identityFile, half) }, "half-written"},
		"identity empty":              {func(t *testing.T, dir string) { MustWriteFile(t, "", dir, identityFile) }, "half-written"},
		"identity edited": {func(t *testing.T, dir string) {
			edit(t, dir, identityFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`"a-1"`), []byte(`"a-2"`), 1) })
		}, "checksum"},
		"identity of a newer program": {func(t *testing.T, dir string) {
			edit(t, dir, identityFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 2`), 1) })
		}, "identity"},
		"identity is a folder":    {func(t *testing.T, dir string) { rm(t, dir, identityFile); MustWriteFile(t, "", dir, identityFile, "x") }, "plain file"},
		"store lost":              {func(t *testing.T, dir string) { rm(t, dir, storeDir) }, "store was lost"},
		"store emptied":           {func(t *testing.T, dir string) { rm(t, dir, filepath.Join(storeDir, "SYS")) }, "store was lost"},
		"disk id lost":            {func(t *testing.T, dir string) { rm(t, dir, diskIDFile) }, "restored in part"},
		"disk id half-written":    {func(t *testing.T, dir string) { edit(t, dir, diskIDFile, half) }, diskIDFile},
		"disk id of another disk": {func(t *testing.T, dir string) { MustWriteFile(t, strings.Repeat("ab", 16)+"\n", dir, diskIDFile) }, "two disks"},
		"journal garbled":         {func(t *testing.T, dir string) { MustWriteFile(t, "{}", dir, journalFile) }, journalFile},
		"only what was set aside": {func(t *testing.T, dir string) {
			rm(t, dir, identityFile)
			rm(t, dir, storeDir)
			MustWriteFile(t, "x", dir, asideDir, "a")
		}, "restored in part"},
		"only a founding's helper": {func(t *testing.T, dir string) {
			rm(t, dir, identityFile)
			rm(t, dir, storeDir)
			MustWriteFile(t, "x", dir, helperDir, "a")
		}, "restored in part"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			f := MustMember(t, cfg)
			MustClose(t, f)
			c.spoil(t, cfg.StoreDir)
			ExpectOpenRefused(t, cfg, c.word)
		})
	}
}

// A server deletes its part of the meta group when it learns of its removal: the disk still has to take a wipe-and-join.
func TestMarkedDiskMayHaveLostTheMetaGroup(t *testing.T) {
	for _, kind := range []v1.OrderKind{v1.OrderLeave, v1.OrderRetire} {
		cfg := testConfig(t.TempDir())
		f := MustMember(t, cfg)
		MustTake(t, f, order(f, kind, "a-1"))
		MustClose(t, f)
		if err := os.RemoveAll(filepath.Join(cfg.StoreDir, storeDir, "SYS")); err != nil {
			t.Fatal(err)
		}
		if s := MustOpen(t, cfg).Status(); s.Mark == "" || s.Phase != v1.NodeWaiting {
			t.Errorf("after %s: %+v", kind, s)
		}
	}
}

func TestJournalOfAnotherDiskIsRefused(t *testing.T) {
	cfg := testConfig(t.TempDir())
	f := MustMember(t, cfg)
	j := journal{DiskID: strings.Repeat("ab", 16), ClusterID: "c1", Old: "a-1", ServerName: "a-2", Aside: "a-1-x"}
	if err := f.disk.putJournal(j); err != nil {
		t.Fatal(err)
	}
	MustClose(t, f)
	ExpectOpenRefused(t, cfg, "two disks")
}

func TestDiskOfAnotherConfigurationIsRefused(t *testing.T) {
	cfg := testConfig(t.TempDir())
	MustClose(t, MustMember(t, cfg))
	for name, c := range map[string]struct {
		change func(*Config)
		words  []string
	}{
		"cluster name": {func(c *Config) { c.ClusterName = "other" }, []string{"bus", "--cluster-name"}},
		"server name":  {func(c *Config) { c.ServerName = "b-1" }, []string{"a-1", "--server-name"}},
		"cluster id":   {func(c *Config) { c.ClusterID = "c2" }, []string{"c1", "c2"}},
	} {
		t.Run(name, func(t *testing.T) {
			other := cfg
			c.change(&other)
			ExpectOpenRefused(t, other, c.words...)
		})
	}
	cfg.ServerName, cfg.ClusterID = "a-1", "c1"
	MustClose(t, MustOpen(t, cfg))
}

func TestWhatWasNotWrittenToItsEndIsIgnored(t *testing.T) {
	cfg := testConfig(t.TempDir())
	MustClose(t, MustMember(t, cfg))
	for _, name := range []string{diskIDFile, identityFile, journalFile} {
		MustWriteFile(t, "{", cfg.StoreDir, name+tempSuffix)
	}
	if s := MustOpen(t, cfg).Status(); s.ServerName != "a-1" || s.Journal {
		t.Errorf("status: %+v", s)
	}
	if left, _ := filepath.Glob(filepath.Join(cfg.StoreDir, "*"+tempSuffix)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestStoreFolderThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	MustWriteFile(t, "", file)
	_, err := Open(testConfig(file))
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as store folder: %v", err)
	}
	if os.Getuid() == 0 {
		return // root writes anywhere
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(dir)); err == nil || !strings.Contains(err.Error(), "writable") {
		t.Errorf("a folder that is not writable: %v", err)
	}
}

// TestMarkedDiskWithoutItsStore: a server that learns of its removal deletes the cluster's state. Its disk can be told what
// to do, but it never starts without.
func TestMarkedDiskWithoutItsStore(t *testing.T) {
	cfg := testConfig(t.TempDir())
	f := MustMember(t, cfg)
	MustTake(t, f, order(f, v1.OrderLeave, "a-1"))
	MustClose(t, f)
	if err := os.RemoveAll(filepath.Join(cfg.StoreDir, storeDir, "SYS")); err != nil {
		t.Fatal(err)
	}
	f = MustOpen(t, cfg)
	ExpectCode(t, f, order(f, v1.OrderResume, "a-1"), v1.CodeState)
	if s := f.Status(); s.Phase != v1.NodeWaiting || s.Mark != v1.MarkLeaving {
		t.Errorf("status: %+v", s)
	}
	MustTake(t, f, order(f, v1.OrderWipeAndJoin, "a-2"))
}

// TestStoreThatGoesWhileTheNodeIsUp: an attempt to start, be it the second, looks at the disk again.
func TestStoreThatGoesWhileTheNodeIsUp(t *testing.T) {
	cfg := testConfig(t.TempDir())
	f := MustMember(t, cfg)
	if err := os.RemoveAll(filepath.Join(cfg.StoreDir, storeDir)); err != nil {
		t.Fatal(err)
	}
	MustRun(t, f)
	ExpectSoon(t, "it waits", func() bool { s := f.Status(); return s.Phase == v1.NodeWaiting && contains(s.Reason, "gone") })
}
