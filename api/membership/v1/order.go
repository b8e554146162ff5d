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

// maxOrder is the size limit of an order in bytes.
const maxOrder = 64 << 10

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
	// Routes, in found and join, are URLs (nats://host:port) of all members, this node included. When empty the node uses
	// those of its configuration.
	Routes []string `json:"routes,omitempty"`
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

// Open checks the signature with verify and returns the order. It fails with ErrOrderSignature or ErrOrderMalformed.
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
	return o, nil
}
