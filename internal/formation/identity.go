// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// identityVersion is the only layout of identity.json and wipe.json that this program reads.
const identityVersion = 1

// How a disk got its identity.
const (
	formedFound     = "found"
	formedBootstrap = "bootstrap"
	formedJoin      = "join"
	formedWipe      = "wipe-and-join"
)

// How far a disk with an identity has come.
const (
	// stateNew: the store may be untouched, so it may be empty.
	stateNew = "new"
	// stateBegun: the store was made, so it must not be empty; the cluster is not complete yet.
	stateBegun = "begun"
	// stateComplete: the node starts with what its store holds, from now on.
	stateComplete = "complete"
)

// identity is what a disk is: whose store it holds, and what may be done with it.
type identity struct {
	Version int `json:"version"`
	// ClusterID is empty only until the nodes of a bootstrap have agreed on one.
	ClusterID   string `json:"clusterID"`
	ClusterName string `json:"clusterName"`
	ServerName  string `json:"serverName"`
	// DiskID is that of the disk-id file beside it; another one means that files of two disks were mixed.
	DiskID string `json:"diskID"`
	Formed string `json:"formed"`
	State  string `json:"state"`
	// Mark is empty, v1.MarkLeaving or v1.MarkRetired.
	Mark string `json:"mark"`
	// Routes are those of the order, empty when the node's configuration has them.
	Routes []string `json:"routes"`
	// Timers are the Raft timers of the cluster, as text, empty until the first start.
	Timers string `json:"timers,omitempty"`
	// Sum is over all of the above.
	Sum string `json:"sum"`
}

// errGarbled means that a file is not whole, or was changed by something else than this program.
var errGarbled = errors.New("garbled or half-written")

func (i identity) encode() ([]byte, error) {
	i.Version, i.Sum = identityVersion, ""
	if err := i.validate(); err != nil {
		return nil, err
	}
	return seal(i, func(sum string) any { i.Sum = sum; return i })
}

func decodeIdentity(b []byte) (*identity, error) {
	var i identity
	if err := strict(b, &i); err != nil {
		return nil, err
	}
	sum := i.Sum
	i.Sum = ""
	if err := unseal(i, sum); err != nil {
		return nil, err
	}
	if err := i.validate(); err != nil {
		return nil, err
	}
	return &i, nil
}

func (i identity) validate() error {
	agreed := i.Formed != formedBootstrap || i.State == stateComplete
	switch {
	case i.Version != identityVersion:
		return fmt.Errorf("version %d, this program knows %d", i.Version, identityVersion)
	case i.ClusterID == "" && agreed, i.ClusterID != "" && !v1.ValidName(i.ClusterID):
		return fmt.Errorf("%w: cluster id %q", errGarbled, i.ClusterID)
	case i.ClusterName == "":
		return fmt.Errorf("%w: no cluster name", errGarbled)
	case !v1.ValidName(i.ServerName):
		return fmt.Errorf("%w: server name %q", errGarbled, i.ServerName)
	case !v1.ValidName(i.DiskID):
		return fmt.Errorf("%w: disk id %q", errGarbled, i.DiskID)
	case i.Formed != formedFound && i.Formed != formedBootstrap && i.Formed != formedJoin && i.Formed != formedWipe:
		return fmt.Errorf("%w: formed by %q", errGarbled, i.Formed)
	case i.State != stateNew && i.State != stateBegun && i.State != stateComplete:
		return fmt.Errorf("%w: state %q", errGarbled, i.State)
	case i.Mark != "" && i.Mark != v1.MarkLeaving && i.Mark != v1.MarkRetired:
		return fmt.Errorf("%w: mark %q", errGarbled, i.Mark)
	}
	if err := v1.ValidateRoutes(i.Routes); err != nil {
		return fmt.Errorf("%w: routes: %w", errGarbled, err)
	}
	if i.Timers == "" {
		return nil
	}
	if _, err := embeddednats.ParseRaftTimers(i.Timers); err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	return nil
}

// founding says whether the cluster of one is not complete yet.
func (i *identity) founding() bool {
	return i != nil && i.Formed == formedFound && i.State != stateComplete
}

// strict decodes one JSON value of known fields, and nothing after it.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", errGarbled)
	}
	return nil
}

// seal encodes a value with a checksum over itself without one.
func seal(v any, with func(sum string) any) ([]byte, error) {
	sum, err := checksum(v)
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(with(sum), "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

func unseal(v any, sum string) error {
	want, err := checksum(v)
	if err != nil {
		return err
	}
	if sum != want {
		return fmt.Errorf("%w: the checksum does not match", errGarbled)
	}
	return nil
}

func checksum(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:]), nil
}
