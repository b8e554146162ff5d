// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"

	"github.com/nats-io/nkeys"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// Keys of Secrets and ConfigMaps.
const (
	keyOperator = "operator.nk"
	keyOrder    = "order.nk"
	// adminSeed and the next ones are what a person needs to enter.
	adminSeed = "seed"
	adminNATS = "nats"
	adminAPI  = "api"
	caKey     = "ca.crt"
)

// annotationAdmin, of the ConfigMap with the record, is the public key of the first admin.
const annotationAdmin = "unibus.dev/first-admin"

// makeKeys makes the Secrets that are made once. When the cluster was founded one that is gone is not made anew: nodes run with what it
// held.
func (p *pass) makeKeys(ctx context.Context) error {
	type secret struct {
		name     string
		generate func() (map[string][]byte, error)
		notes    map[string]string
	}
	first := replacement{generation: 1, taken: p.wish()}.notes()
	making := []secret{{p.c.KeysSecretName(), newKeys, first}, {p.c.RouteSecretName(), newPassword, first}}
	if len(p.c.Spec.Admins) == 0 && (p.hasAdmin() || p.notedAdmin() == "") {
		making = append(making, secret{p.c.AdminSecretName(), newAdmin, nil})
	}
	for _, m := range making {
		name := m.name
		if s := p.secrets[name]; s != nil {
			if !p.owns(s) {
				return notOwned("Secret", name)
			}
			continue
		}
		if p.c.Status.ClusterID != "" {
			otherwise := ""
			if name == p.c.AdminSecretName() { // the record has been restored, and was so without its annotations
				otherwise = ", or name the admins of the bus in spec.admins"
			}
			return &obstacle{reason: v1alpha1.ReasonSecretLost, stalled: true,
				message: fmt.Sprintf("The Secret %s was made once and is not there, and nodes run with what it held. Restore it from a backup%s.", name, otherwise)}
		}
		data, err := m.generate()
		if err != nil {
			return fmt.Errorf("make the Secret %s: %w", name, err)
		}
		if p.secrets[name], err = p.createSecret(ctx, name, data, m.notes); err != nil {
			return err
		}
	}
	p.password, p.keys = p.routePasswordOf(), p.keyringOf() // of what was made just now, too
	return nil
}

// hasAdmin says whether the Secret of the first admin has a seed.
func (p *pass) hasAdmin() bool {
	s := p.secrets[p.c.AdminSecretName()]
	return s != nil && len(s.Data[adminSeed]) > 0
}

// notedAdmin is the public key of the first admin as it was noted beside the record, "" when there is none. It stands in for the Secret, whose
// seed a person may keep elsewhere.
func (p *pass) notedAdmin() string {
	if p.identity == nil || !nkeys.IsValidPublicUserKey(p.identity.Annotations[annotationAdmin]) {
		return ""
	}
	return p.identity.Annotations[annotationAdmin]
}

// adminKey is the public key of the first admin.
func (p *pass) adminKey() (string, error) {
	if noted := p.notedAdmin(); noted != "" && !p.hasAdmin() {
		return noted, nil
	}
	s := p.secrets[p.c.AdminSecretName()]
	if s == nil {
		s = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: p.c.AdminSecretName()}}
	}
	return publicKey(s, adminSeed)
}

// noteAdmin notes the key of the first admin beside the record, which lives as long as the volumes do: nodes have that one entered already.
func (p *pass) noteAdmin(ctx context.Context) error {
	if p.record == nil || p.firstAdmin == "" || p.firstAdmin == p.notedAdmin() {
		return nil
	}
	next := p.identity.DeepCopy()
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, annotationAdmin, p.firstAdmin)
	if err := p.Client.Update(ctx, next, client.FieldOwner(v1alpha1.FieldOwner)); err != nil {
		return refusal("ConfigMap", next.Name, err)
	}
	p.identity = next
	return nil
}

func newKeys() (map[string][]byte, error) {
	data := map[string][]byte{}
	for key, create := range map[string]func() (nkeys.KeyPair, error){keyOperator: nkeys.CreateUser, keyOrder: nkeys.CreateOperator} {
		pair, err := create()
		if err != nil {
			return nil, err
		}
		if data[key], err = pair.Seed(); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func newPassword() (map[string][]byte, error) {
	b := make([]byte, 24)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	return map[string][]byte{manifests.RouteSecretKey: []byte(hex.EncodeToString(b))}, nil
}

func newAdmin() (map[string][]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	seed, err := pair.Seed()
	return map[string][]byte{adminSeed: seed}, err
}

// publicKey is the public half of a seed in a Secret.
func publicKey(s *corev1.Secret, key string) (string, error) {
	pair, err := nkeys.FromSeed(s.Data[key])
	if err != nil {
		return "", damaged(s.Name, key, err)
	}
	return pair.PublicKey()
}

// damaged is returned for a Secret that was made once and does not hold what it held.
func damaged(secret, key string, err error) *obstacle {
	return &obstacle{reason: v1alpha1.ReasonSecretLost, stalled: true,
		message: fmt.Sprintf("The Secret %s has no %s that is a seed (%v), and nodes run with what it held. Restore it from a backup.", secret, key, err)}
}

// owns says whether a Secret is the cluster's: it controls it, or nobody does and the labels are right, as of one that was restored from a backup.
func (p *pass) owns(s *corev1.Secret) bool {
	if metav1.GetControllerOf(s) != nil {
		return metav1.IsControlledBy(s, p.c)
	}
	return labels.SelectorFromSet(manifests.Labels(p.c)).Matches(labels.Set(s.Labels))
}

// meta is that of an object which ends with the cluster. The key of the first admin stays, as the volumes do: a cluster that is made anew around
// them has that admin already, and lets no other one in.
func (p *pass) meta(name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: p.c.Namespace, Name: name, Labels: manifests.Labels(p.c)}
	if name != p.c.AdminSecretName() {
		m.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(p.c, v1alpha1.GroupVersion.WithKind("UnibusCluster"))}
	}
	return m
}

func (p *pass) createSecret(ctx context.Context, name string, data map[string][]byte, notes map[string]string) (*corev1.Secret, error) {
	s := &corev1.Secret{ObjectMeta: p.meta(name), Data: data}
	s.Annotations = notes
	if err := p.Client.Create(ctx, s, client.FieldOwner(v1alpha1.FieldOwner)); err != nil {
		return nil, refusal("Secret", name, err)
	}
	return s, nil
}

// writeSecret has a Secret hold these values and annotations beside others, and writes only when it does not yet. A value that is nil is to go.
func (p *pass) writeSecret(ctx context.Context, name string, data map[string][]byte, notes map[string]string) error {
	now := p.secrets[name]
	if now == nil {
		s, err := p.createSecret(ctx, name, data, notes)
		p.secrets[name] = s
		return err
	}
	if !p.owns(now) {
		return notOwned("Secret", name)
	}
	next := now.DeepCopy()
	if next.Data == nil {
		next.Data = map[string][]byte{}
	}
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	for key, value := range data {
		if next.Data[key] = value; value == nil {
			delete(next.Data, key)
		}
	}
	maps.Copy(next.Annotations, notes)
	if maps.EqualFunc(now.Data, next.Data, bytes.Equal) && maps.Equal(now.Annotations, next.Annotations) {
		return nil
	}
	if err := p.Client.Update(ctx, next, client.FieldOwner(v1alpha1.FieldOwner)); err != nil {
		return refusal("Secret", name, err)
	}
	p.secrets[name] = next
	return nil
}
