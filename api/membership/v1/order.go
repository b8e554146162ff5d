// SPDX-License-Identifier: Apache-2.0

// Package v1 is the wire contract of a UniBus node: what is sent to its control endpoint and what it answers. It has
// no dependencies, so that anything may import it.
package v1

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
)

// OrderKind says what an order asks of a node.
type OrderKind string

const (
	// OrderFound makes an empty, waiting node a cluster of one.
	OrderFound OrderKind = "found"
	// OrderJoin makes an empty, waiting node a member of a running cluster.
	OrderJoin OrderKind = "join"
	// OrderWipeAndJoin sets aside the store of a waiting node that was removed (Order.Old) and joins under a new name.
	OrderWipeAndJoin OrderKind = "wipe-and-join"
	// OrderResume starts NATS on a waiting node that has an identity.
	OrderResume OrderKind = "resume"
	// OrderLeave marks a running or waiting node as leaving: after its next start it waits instead of starting NATS.
	OrderLeave OrderKind = "leave"
	// OrderRetire marks a node as removed for good, and stops NATS on it.
	OrderRetire OrderKind = "retire"
)

// signedPrefix is in front of every signed order. A NATS client signs any nonce a server sends it, and no nonce can begin so: an
// order can't be had by posing as a server.
const signedPrefix = "unibus-order-v1\n"

const (
	// maxOrder is the size limit of an order in bytes.
	maxOrder = 64 << 10
	// MaxBody is the size limit of a SignedOrder as JSON, in bytes.
	MaxBody = 2 * maxOrder
	// maxRoutes is how many routes an order may have.
	maxRoutes = 64
)

// Order is one instruction to one disk in one boot. A late, repeated or misdirected order matches nothing.
type Order struct {
	Kind OrderKind `json:"kind"`
	// ClusterID is the random id of the cluster.
	ClusterID string `json:"clusterID"`
	// ServerName is the NATS server name that the disk has or is to have.
	ServerName string `json:"serverName"`
	// DiskID is the disk that the order is for.
	DiskID string `json:"diskID"`
	// Nonce is what the node showed in this boot (NodeStatus.Nonce); each is good for one order.
	Nonce string `json:"nonce"`
	// Old, in wipe-and-join, is the server name that the disk has now.
	Old string `json:"old,omitempty"`
	// Routes, in found, join and wipe-and-join, are URLs (nats://host:port) of all members, this node included. When empty
	// the node uses those of its configuration.
	Routes []string `json:"routes,omitempty"`
	// RaftTimers, in join and wipe-and-join, are those of the cluster (NodeStatus.RaftTimers of a member); a node that is
	// configured for others refuses the order. When empty they are not compared.
	RaftTimers string `json:"raftTimers,omitempty"`
	// KeepMark, in resume, leaves the disk marked as leaving.
	KeepMark bool `json:"keepMark,omitempty"`
}

// SignedOrder is an order as it travels: the exact bytes that were signed, and the signature in raw URL base64.
type SignedOrder struct {
	Order     []byte `json:"order"`
	Signature string `json:"signature"`
}

var (
	// ErrOrderSignature is returned for an order whose signature is missing, malformed or not of the cluster's order key.
	ErrOrderSignature = errors.New("order is not signed by the cluster's order key")
	// ErrOrderMalformed is returned for an order that is not valid JSON of the known fields.
	ErrOrderMalformed = errors.New("order is malformed")
)

// Sign returns the order signed by sign, which gets the bytes to sign and returns a raw signature.
func (o Order) Sign(sign func(message []byte) ([]byte, error)) (SignedOrder, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return SignedOrder{}, fmt.Errorf("encode order: %w", err)
	}
	sig, err := sign(append([]byte(signedPrefix), b...))
	if err != nil {
		return SignedOrder{}, fmt.Errorf("sign order: %w", err)
	}
	return SignedOrder{Order: b, Signature: base64.RawURLEncoding.EncodeToString(sig)}, nil
}

// Open checks the signature with verify and returns the order, which is valid (Validate). It fails with ErrOrderSignature
// or ErrOrderMalformed.
func (s SignedOrder) Open(verify func(message, signature []byte) error) (Order, error) {
	var o Order
	if len(s.Order) > maxOrder {
		return o, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrOrderMalformed, len(s.Order), maxOrder)
	}
	sig, err := base64.RawURLEncoding.DecodeString(s.Signature)
	if err != nil {
		return o, fmt.Errorf("%w: %w", ErrOrderSignature, err)
	}
	if err := verify(append([]byte(signedPrefix), s.Order...), sig); err != nil {
		return o, fmt.Errorf("%w: %w", ErrOrderSignature, err)
	}
	d := json.NewDecoder(bytes.NewReader(s.Order))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrOrderMalformed, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Order{}, fmt.Errorf("%w: more than one value", ErrOrderMalformed)
	}
	if err := o.Validate(); err != nil {
		return Order{}, err
	}
	return o, nil
}

// Validate says whether the order is complete and has nothing that its kind does not take. It fails with
// ErrOrderMalformed.
func (o Order) Validate() error {
	forms := o.Kind == OrderFound || o.Kind == OrderJoin || o.Kind == OrderWipeAndJoin
	switch {
	case !forms && o.Kind != OrderResume && o.Kind != OrderLeave && o.Kind != OrderRetire:
		return fmt.Errorf("%w: unknown kind %q", ErrOrderMalformed, o.Kind)
	case !ValidName(o.ClusterID) || !ValidName(o.DiskID) || !ValidName(o.Nonce):
		return fmt.Errorf("%w: clusterID, diskID and nonce must be set, of letters, digits, '.', '_' and '-'", ErrOrderMalformed)
	case !ValidName(o.ServerName):
		return fmt.Errorf("%w: server name %q is not a name of letters, digits, '.', '_' and '-'", ErrOrderMalformed, o.ServerName)
	case (o.Kind == OrderWipeAndJoin) != (o.Old != ""):
		return fmt.Errorf("%w: old is for wipe-and-join, which needs it", ErrOrderMalformed)
	case o.Old != "" && (!ValidName(o.Old) || o.Old == o.ServerName):
		return fmt.Errorf("%w: old name %q must be a name other than the new one", ErrOrderMalformed, o.Old)
	case o.KeepMark && o.Kind != OrderResume:
		return fmt.Errorf("%w: keepMark is for resume", ErrOrderMalformed)
	case o.RaftTimers != "" && o.Kind != OrderJoin && o.Kind != OrderWipeAndJoin:
		return fmt.Errorf("%w: raftTimers are for join and wipe-and-join", ErrOrderMalformed)
	case len(o.Routes) > 0 && !forms:
		return fmt.Errorf("%w: routes are for found, join and wipe-and-join", ErrOrderMalformed)
	}
	return ValidateRoutes(o.Routes)
}

// ValidName says whether s may be a server name, an id or a nonce: 1 to 128 letters, digits, '.', '_' and '-', the first
// one a letter or a digit. Server names become parts of paths.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 128 {
		return false
	}
	for i, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// ValidateRoutes says whether all routes are URLs nats://host:port without credentials. It fails with ErrOrderMalformed.
func ValidateRoutes(routes []string) error {
	if len(routes) > maxRoutes {
		return fmt.Errorf("%w: %d routes, at most %d are allowed", ErrOrderMalformed, len(routes), maxRoutes)
	}
	for _, r := range routes {
		u, err := url.Parse(r)
		if err != nil || u.Scheme != "nats" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("%w: a route is not of the form nats://host:port", ErrOrderMalformed) // it is not repeated: it may hold a password
		}
		if p, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || p == 0 {
			return fmt.Errorf("%w: route %q has no port", ErrOrderMalformed, r)
		}
	}
	return nil
}
