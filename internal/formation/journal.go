// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// journal is a wipe-and-join that was ordered and is not done. From the moment it is durable the disk will have the new
// name, whatever happens; until it is cleared, no NATS starts.
type journal struct {
	Version   int    `json:"version"`
	DiskID    string `json:"diskID"`
	ClusterID string `json:"clusterID"`
	// Old and ServerName are the names before and after.
	Old        string   `json:"old"`
	ServerName string   `json:"serverName"`
	Routes     []string `json:"routes"`
	// Aside is the name of the folder in asideDir that gets the old store. It is fixed here, so that every attempt to
	// finish moves to the same one.
	Aside string `json:"aside"`
	Sum   string `json:"sum"`
}

// asideName says whose store is set aside and since when, to the second and with the rest, so that two never meet.
func asideName(old string, at time.Time) string {
	return old + "-" + at.UTC().Format("20060102T150405.000000000Z")
}

func (j journal) encode() ([]byte, error) {
	j.Version, j.Sum = identityVersion, ""
	if err := j.validate(); err != nil {
		return nil, err
	}
	return seal(j, func(sum string) any { j.Sum = sum; return j })
}

func decodeJournal(b []byte) (*journal, error) {
	var j journal
	if err := strict(b, &j); err != nil {
		return nil, err
	}
	sum := j.Sum
	j.Sum = ""
	if err := unseal(j, sum); err != nil {
		return nil, err
	}
	if err := j.validate(); err != nil {
		return nil, err
	}
	return &j, nil
}

func (j journal) validate() error {
	switch {
	case j.Version != identityVersion:
		return fmt.Errorf("version %d, this program knows %d", j.Version, identityVersion)
	case !v1.ValidName(j.DiskID) || !v1.ValidName(j.ClusterID) || !v1.ValidName(j.Old) || !v1.ValidName(j.ServerName):
		return fmt.Errorf("%w: an id or a name is missing", errGarbled)
	case j.Old == j.ServerName:
		return fmt.Errorf("%w: %q is the old and the new name", errGarbled, j.Old)
	case j.Aside == "" || j.Aside != filepath.Base(j.Aside):
		return fmt.Errorf("%w: set aside as %q", errGarbled, j.Aside)
	}
	if err := v1.ValidateRoutes(j.Routes); err != nil {
		return fmt.Errorf("%w: routes: %w", errGarbled, err)
	}
	return nil
}

// finishWipe carries a journal out. It may have been begun any number of times, and died anywhere.
func (d *disk) finishWipe() error {
	j := d.journal
	if j == nil {
		return nil
	}
	if d.identity == nil {
		return errors.New("finish wipe-and-join: the disk has no identity")
	}
	if d.identity.ServerName == j.Old {
		if err := d.setAside(j); err != nil {
			return fmt.Errorf("set the store of %s aside in %s: %w", j.Old, d.path(asideDir, j.Aside), err)
		}
		next := identity{ClusterID: j.ClusterID, ClusterName: d.identity.ClusterName, ServerName: j.ServerName,
			DiskID: j.DiskID, Formed: formedWipe, State: stateNew, Routes: j.Routes}
		if err := d.putIdentity(next); err != nil {
			return err
		}
	}
	// The identity is the new one: nothing is moved any more, or a store that the new name has begun would go as well.
	if err := d.remove(d.path(journalFile)); err != nil {
		return fmt.Errorf("clear %s: %w", d.path(journalFile), err)
	}
	d.journal = nil
	return nil
}

// setAside moves the store away, with a copy of the identity that it belongs to. Nothing is deleted: who ordered the wipe
// may have been wrong.
func (d *disk) setAside(j *journal) error {
	if err := d.mkdir(d.path(asideDir)); err != nil {
		return err
	}
	to := d.path(asideDir, j.Aside)
	if err := d.mkdir(to); err != nil {
		return err
	}
	old, err := d.identity.encode()
	if err != nil {
		return err
	}
	if err := d.write(filepath.Join(to, identityFile), old); err != nil {
		return err
	}
	for _, name := range []string{storeDir, helperDir} {
		if err := d.move(d.path(name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}
