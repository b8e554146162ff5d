// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// tempSuffix marks files that were not written to their end. Nothing ever reads them.
const tempSuffix = ".new"

// durable changes files so that each step has happened, or has not, whenever the process or the machine dies.
type durable struct {
	// step is called before and after everything that lasts, with the name of the point. Tests die there.
	step func(point string) error
}

func (d durable) at(point string) error {
	if d.step == nil {
		return nil
	}
	return d.step(point)
}

// write replaces a file whole.
func (d durable) write(path string, data []byte) error {
	name := filepath.Base(path)
	if err := d.at(name + ": before writing"); err != nil {
		return err
	}
	temp := path + tempSuffix
	if err := writeSynced(temp, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := d.at(name + ": written aside"); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := d.at(name + ": renamed"); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return d.at(name + ": durable")
}

func writeSynced(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// mkdir makes a folder, if it is not there, and makes its entry durable.
func (d durable) mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return d.at(filepath.Base(path) + ": folder made")
}

// move renames a file or folder within the volume. When there is nothing to move, an earlier attempt may have moved it
// and died before that was durable.
func (d durable) move(from, to string) error {
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return syncDir(filepath.Dir(to))
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("move %s to %s: both are there", from, to)
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := d.at(filepath.Base(from) + ": moved"); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(from)); err != nil {
		return err
	}
	return d.at(filepath.Base(from) + ": move durable")
}

// remove deletes one file.
func (d durable) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.at(filepath.Base(path) + ": removed"); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return d.at(filepath.Base(path) + ": removal durable")
}

func syncDir(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", path, err)
	}
	return nil
}
