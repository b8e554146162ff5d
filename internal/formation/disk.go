// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// What a store folder holds.
const (
	lockFile     = "lock"
	diskIDFile   = "disk-id"
	identityFile = "identity.json"
	journalFile  = "wipe.json"
	// storeDir is made by nats-server within the folder it is given.
	storeDir = "jetstream"
	// helperDir is made and emptied by embeddednats.Found.
	helperDir = "helper"
	asideDir  = "aside"
)

// maxFile is the most that is read of one of these files, in bytes.
const maxFile = 1 << 20

// disk is a locked store folder, and what is durable on it. Its methods are not for concurrent use.
type disk struct {
	durable
	dir      string
	lock     *lock
	id       string
	identity *identity
	journal  *journal
}

// openDisk locks the folder, making it if need be, reads what it holds and refuses what does not fit together. A disk
// without an id gets one. A journal is left to finishWipe.
func openDisk(dir string, dur durable) (_ *disk, err error) {
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("make store folder: %w", err)
	}
	l, err := acquire(dir)
	if err != nil {
		return nil, err
	}
	d := &disk{durable: dur, dir: dir, lock: l}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	for _, name := range []string{diskIDFile, identityFile, journalFile} {
		if err := os.Remove(d.path(name + tempSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove what was not written to its end: %w", err)
		}
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.id == "" {
		return d, d.makeID()
	}
	return d, nil
}

// makeFolder makes a folder and those above it, so that they are still there after a loss of power.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if up := filepath.Dir(dir); up != dir {
		if err := makeFolder(up); err != nil {
			return err
		}
	}
	return durable{}.mkdir(dir)
}

func (d *disk) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

func (d *disk) close() error { return d.lock.release() }

// read returns a file of the folder, nil if it is not there.
func (d *disk) read(name string) ([]byte, error) {
	i, err := os.Lstat(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !i.Mode().IsRegular() || i.Size() > maxFile {
		return nil, refuse("restore it from a backup of this disk", "%s is not a plain file of at most %d bytes", d.path(name), maxFile)
	}
	b, err := os.ReadFile(d.path(name))
	if b == nil && err == nil {
		b = []byte{}
	}
	return b, err
}

// load reads what is durable. What is not there counts as never written.
func (d *disk) load() error {
	d.id, d.identity, d.journal = "", nil, nil
	b, err := d.read(diskIDFile)
	if err != nil {
		return fmt.Errorf("read disk id: %w", err)
	}
	if b != nil {
		id, ok := strings.CutSuffix(string(b), "\n")
		if raw, err := hex.DecodeString(id); !ok || err != nil || len(raw) != 16 {
			return refuse(remedyBroken, "%s is %w", d.path(diskIDFile), errGarbled)
		}
		d.id = id
	}
	if b, err = d.read(identityFile); err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	if b != nil {
		if d.identity, err = decodeIdentity(b); err != nil {
			return refuse(remedyBroken, "identity %s: %w", d.path(identityFile), err)
		}
	}
	if b, err = d.read(journalFile); err != nil {
		return fmt.Errorf("read wipe journal: %w", err)
	}
	if b != nil {
		if d.journal, err = decodeJournal(b); err != nil {
			return refuse(remedyBroken, "wipe journal %s: %w", d.path(journalFile), err)
		}
	}
	return nil
}

// makeID makes a new disk id durable. It tells disks apart, so it is random, and never changes.
func (d *disk) makeID() error {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	id := hex.EncodeToString(raw[:])
	if err := d.write(d.path(diskIDFile), []byte(id+"\n")); err != nil {
		return fmt.Errorf("make disk id (the volume must be writable, with space left): %w", err)
	}
	d.id = id
	return nil
}

func (d *disk) putIdentity(i identity) error {
	b, err := i.encode()
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	if err := d.write(d.path(identityFile), b); err != nil {
		return fmt.Errorf("make identity durable: %w", err)
	}
	i.Version, i.Sum = identityVersion, ""
	d.identity = &i
	return nil
}

func (d *disk) putJournal(j journal) error {
	b, err := j.encode()
	if err != nil {
		return fmt.Errorf("encode wipe journal: %w", err)
	}
	if err := d.write(d.path(journalFile), b); err != nil {
		return fmt.Errorf("make wipe journal durable: %w", err)
	}
	j.Version, j.Sum = identityVersion, ""
	d.journal = &j
	return nil
}

// mark sets or clears the mark.
func (d *disk) mark(m string) error {
	i := *d.identity
	i.Mark = m
	return d.putIdentity(i)
}

// aside says whether a store was set aside.
func (d *disk) aside() bool { return d.filled(asideDir) }

// retired says whether the disk's server was removed for good.
func (d *disk) retired() bool { return d.identity != nil && d.identity.Mark == v1.MarkRetired }
