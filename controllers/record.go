// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
)

// recordOf reads the record of server names. A field that is not known may be one that a newer operator relies on.
func recordOf(identity *corev1.ConfigMap) (*scaling.Record, error) {
	text, ok := identity.Data[manifests.IdentityKey]
	if !ok {
		return nil, fmt.Errorf("the ConfigMap %s has no %s", identity.Name, manifests.IdentityKey)
	}
	r := new(scaling.Record)
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("the ConfigMap %s is damaged: %w", identity.Name, err)
	}
	if r.ClusterID == "" || r.Names == nil {
		return nil, fmt.Errorf("the ConfigMap %s is incomplete: it has no cluster id, or no names", identity.Name)
	}
	return r, nil
}

// writeRecord creates the record, never over another one, or updates it against the version that was read. It has no owner: it lives as
// long as the volumes do.
func (p *pass) writeRecord(ctx context.Context, r *scaling.Record) error {
	next := *r
	if next.ClusterID == "" {
		if p.identity != nil {
			return errors.New("write the record: it has lost its cluster id")
		}
		id := make([]byte, 16)
		if _, err := rand.Read(id); err != nil {
			return fmt.Errorf("make a cluster id: %w", err)
		}
		next.ClusterID = hex.EncodeToString(id)
	}
	b, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record: %w", err)
	}
	data := map[string]string{manifests.IdentityKey: string(b) + "\n"}
	if p.identity == nil {
		return p.Client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.c.Namespace, Name: p.c.IdentityName(), Labels: manifests.Labels(p.c)}, Data: data,
		}, client.FieldOwner(v1alpha1.FieldOwner))
	}
	updated := p.identity.DeepCopy() // with its resourceVersion
	updated.Data = data
	return p.Client.Update(ctx, updated, client.FieldOwner(v1alpha1.FieldOwner))
}
