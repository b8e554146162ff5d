// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nkeys"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
)

// Annotations of the StatefulSet.
const (
	// annotationWish is the number of members that is wished, beside the size that follows from it: both are written against one version,
	// so that nobody who is late stops pods that have been wished anew.
	annotationWish = "unibus.dev/replicas"
	// annotationTemplate is the hash of what pods were to be made of when the template was last applied, annotationRolled that of the template
	// of which all pods were made last, and annotationNote what of the cluster the template comes from; see rollout.
	annotationTemplate = "unibus.dev/template"
	annotationRolled   = "unibus.dev/rolled"
	annotationNote     = "unibus.dev/spec"
)

// Kinds of APIs that are installed beside Kubernetes, and may be uninstalled again.
var (
	certificates = schema.GroupKind{Group: "cert-manager.io", Kind: "Certificate"}
	podMonitors  = schema.GroupKind{Group: "monitoring.coreos.com", Kind: "PodMonitor"}
)

// cacheLimit is how long a read waits for a cache to be filled. That of an API which has just been uninstalled never is.
const cacheLimit = 10 * time.Second

// findCertManager stops a pass before anything is made where cert-manager is not installed.
func (p *pass) findCertManager(context.Context) error {
	_, err := p.Client.RESTMapper().RESTMapping(certificates, "v1")
	if meta.IsNoMatchError(err) {
		return noCertManager()
	}
	if err != nil {
		return fmt.Errorf("look for cert-manager: %w", err)
	}
	return p.watch()
}

func noCertManager() *obstacle {
	return &obstacle{reason: v1alpha1.ReasonCertManagerMissing, stalled: true,
		message: "The API of cert-manager is not installed, and certificates are made with it. Nothing is made without; install cert-manager."}
}

// unserved says whether the API server does not serve what it was asked for. That an object is not there it says in words of its own.
func unserved(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.IsUnexpectedServerError(err)
}

// withoutAPI says what it means for an object that its API is not served: it was uninstalled after the operator had found it. Without PodMonitors
// nothing is missing.
func withoutAPI(apiVersion string, err error) error {
	if !unserved(err) {
		return err
	}
	switch schema.FromAPIVersionAndKind(apiVersion, "").Group {
	case podMonitors.Group:
		return nil
	case certificates.Group:
		return noCertManager()
	}
	return err
}

// inputs are what the spec does not say.
func (p *pass) inputs() (manifests.Inputs, error) {
	in := manifests.Inputs{
		Image: image(p.c.Spec, p.Options), OperatorNamespace: p.Namespace, OperatorLabels: p.Labels,
		RouteCA: p.stay(p.cas[0]), ClientCA: p.stay(p.cas[1]),
		MaxUnavailable: p.maxUnavailable(), Volume: p.smallest(), Addresses: p.outside.addresses,
	}
	p.volume = in.Volume
	for place := range p.pods { // should the StatefulSet be made anew, around pods that run
		in.Size = max(in.Size, int32(min(place+1, v1alpha1.MaxReplicas)))
	}
	_, err := p.Client.RESTMapper().RESTMapping(podMonitors, "v1")
	if in.Monitoring = err == nil; err != nil && !meta.IsNoMatchError(err) {
		return in, err
	}
	if err := checkAdmins(p.c.Spec.Admins); err != nil {
		return in, err
	}
	if in.OperatorKeys, err = p.obeyed(keyOperator); err != nil {
		return in, err
	}
	if in.OrderKeys, err = p.obeyed(keyOrder); err != nil {
		return in, err
	}
	if len(p.c.Spec.Admins) == 0 {
		in.Admin, err = p.adminKey()
	}
	p.firstAdmin = in.Admin
	return in, err
}

// checkAdmins refuses keys of which a character is wrong: no node would start with them, and no one could enter.
func checkAdmins(keys []string) error {
	for i, key := range keys {
		if !nkeys.IsValidPublicUserKey(key) {
			return &obstacle{reason: v1alpha1.ReasonInvalidSpec, stalled: true,
				message: fmt.Sprintf("spec.admins[%d]: %s is nobody's key: a character of it is wrong. unibus key show FILE prints the right one.", i, key)}
		}
	}
	return nil
}

// image is that of nodes: the one of the spec, or the operator's own in the version that is asked for.
func image(spec v1alpha1.UnibusClusterSpec, o Options) string {
	return cmp.Or(spec.Image, o.Repository+":"+cmp.Or(spec.Version, o.Version))
}

// maxUnavailable lets one pod at a time be evicted while nothing is under way: no member on its way, no stream that is raised, no roll.
func (p *pass) maxUnavailable() int32 {
	if p.record == nil || !settled(p.record) || p.rolling() || p.set != nil && active(p.record) != int(p.c.Spec.Replicas) {
		return 0
	}
	for _, s := range p.Streams {
		if len(s.Members) < len(p.Meta.Members) || !s.InSync() {
			return 0
		}
	}
	return 1
}

// applyObjects applies what is not as it should be. The StatefulSet is made, and from then on only put right: its size and its template are
// written by steps.
func (p *pass) applyObjects(ctx context.Context) error {
	in, err := p.inputs()
	if err != nil {
		return err
	}
	objects, err := manifests.Objects(p.c, in)
	if err != nil {
		return &obstacle{reason: v1alpha1.ReasonInvalidSpec, stalled: true, message: err.Error()}
	}
	config := ""
	for _, o := range objects {
		if *o.GetKind() == "ConfigMap" {
			config = *o.GetName()
		}
		if set, ok := o.(*applyappsv1.StatefulSetApplyConfiguration); ok {
			if p.set != nil {
				if !metav1.IsControlledBy(p.set, p.c) {
					return notOwned(*o.GetKind(), *o.GetName())
				}
				if err := p.compare(set.Spec.Template); err != nil {
					return err
				}
				if err := refusal(*o.GetKind(), *o.GetName(), p.straighten(ctx, set.Spec.Template)); err != nil {
					return err
				}
				continue
			}
			if kept := p.kept(); kept != nil {
				p.step = scaling.Step{Action: awaitSet, Reason: "the StatefulSet is made anew around its pods, with larger volumes"}
				if err := refusal(*o.GetKind(), kept.Name, p.Client.Create(ctx, kept, client.FieldOwner(v1alpha1.FieldOwner))); err != nil {
					return err
				}
				continue
			}
			if err := p.begin(set); err != nil {
				return err
			}
		}
		if err := refusal(*o.GetKind(), *o.GetName(), withoutAPI(*o.GetAPIVersion(), p.apply(ctx, o))); err != nil {
			return err
		}
	}
	for _, o := range manifests.Unwanted(p.c, in) {
		if err := refusal(*o.GetKind(), *o.GetName(), withoutAPI(*o.GetAPIVersion(), p.remove(ctx, o))); err != nil {
			return err
		}
	}
	return p.prune(ctx, config)
}

// apply applies an object unless it was applied like this before and is now as it was then.
func (p *pass) apply(ctx context.Context, o manifests.Object) error {
	now, err := p.metadata(ctx, o)
	if err != nil {
		return err
	}
	if now != nil && !metav1.IsControlledBy(now, p.c) {
		return notOwned(*o.GetKind(), *o.GetName())
	}
	key, wanted := *o.GetKind()+"/"+*o.GetName(), digest(o)
	if now != nil && p.applied[key] == wanted+fingerprint(now) {
		return nil
	}
	if err := p.force(ctx, o, now); err != nil {
		return err
	}
	var after metav1.PartialObjectMetadata // the answer is in o now
	b, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(b, &after)
	}
	p.applied[key] = wanted + fingerprint(&after)
	return err
}

// force applies an object. Entries that somebody else has put into a list stay beside ours, and the two may not go together: then lists are
// replaced whole, and the object is applied again.
func (p *pass) force(ctx context.Context, o manifests.Object, now *metav1.PartialObjectMetadata) error {
	owner := client.FieldOwner(v1alpha1.FieldOwner)
	wanted, err := json.Marshal(o)
	if err != nil {
		return err
	}
	err = p.Client.Apply(ctx, o, owner, client.ForceOwnership)
	if now == nil || !apierrors.IsInvalid(err) {
		return err
	}
	if p.Client.Patch(ctx, now, client.RawPatch(types.MergePatchType, wanted), owner) != nil {
		return err // it is what is wanted that is refused
	}
	return p.Client.Apply(ctx, o, owner, client.ForceOwnership)
}

// metadata returns that of an object, nil when there is none, and an error where its API is not served. Objects without the operator's label are not
// in the cache, and PodMonitors are not worth one.
func (p *pass) metadata(ctx context.Context, o manifests.Object) (*metav1.PartialObjectMetadata, error) {
	m := new(metav1.PartialObjectMetadata)
	m.SetGroupVersionKind(schema.FromAPIVersionAndKind(*o.GetAPIVersion(), *o.GetKind()))
	key := client.ObjectKey{Namespace: *o.GetNamespace(), Name: *o.GetName()}
	cached := m.GroupVersionKind().GroupKind() != podMonitors
	var err error
	if cached {
		err = p.cached(ctx, key, m)
	}
	if !cached || apierrors.IsNotFound(err) {
		err = p.Live.Get(ctx, key, m)
	}
	if apierrors.IsNotFound(err) && !unserved(err) {
		return nil, nil
	}
	return m, err
}

// cached reads from the cache.
func (p *pass) cached(ctx context.Context, key client.ObjectKey, into client.Object) error {
	ctx, cancel := context.WithTimeout(ctx, cacheLimit)
	defer cancel()
	return p.Client.Get(ctx, key, into)
}

// remove deletes an object that is switched off, if it is the cluster's.
func (p *pass) remove(ctx context.Context, o manifests.Object) error {
	now, err := p.metadata(ctx, o)
	if err != nil || now == nil || !metav1.IsControlledBy(now, p.c) {
		return err
	}
	delete(p.applied, *o.GetKind()+"/"+*o.GetName())
	return client.IgnoreNotFound(p.Client.Delete(ctx, now, client.Preconditions{UID: &now.UID}))
}

// fingerprint changes when somebody changes what was applied. Where an object has a generation its status, which others write, does not
// count.
func fingerprint(m *metav1.PartialObjectMetadata) string {
	version := m.ResourceVersion
	if m.Generation > 0 {
		version = fmt.Sprint(m.Generation)
	}
	return digest([]any{m.UID, version, m.Labels, m.Annotations, m.OwnerReferences})
}

func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // it has been decoded from JSON, or is to be encoded next
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10])
}
