// SPDX-License-Identifier: Apache-2.0

// Package manifests says what objects a cluster consists of: pure functions from a UnibusCluster, completed with its defaults, to
// configurations for server-side apply. Nothing is read and nothing is written here. Secrets are named, never held.
//
// Two rules bind all of it. What pods are made of does not depend on the number of replicas: scaling restarts nobody. And an object that
// pods mount never changes under its name: the configuration's name has the hash of what it holds, so that a pod that is evicted
// comes back as it was.
package manifests

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// Inputs are what the spec of a cluster does not say.
type Inputs struct {
	// Image of the nodes.
	Image string
	// Size of the StatefulSet: how many places are started. It is decided elsewhere, and may differ from spec.replicas.
	Size int32
	// Volume is the size of the smallest volume, spec.storage.size or less: volumes do not grow with it.
	Volume resource.Quantity
	// OperatorKeys and OrderKeys are public nkeys ("U...", "O...") that nodes obey: one of each, or two while one replaces the other.
	OperatorKeys, OrderKeys []string
	// Admin is the public nkey of the first admin, for a cluster whose spec names none.
	Admin string
	// RouteCA and ClientCA are the cluster's own CAs, for what has no issuerRef.
	RouteCA, ClientCA Authority
	// Addresses are those at which clients from outside reach the Service, as far as they are known: DNS names or IP addresses.
	Addresses []string
	// OperatorNamespace and OperatorLabels are where the operator's pods are found, which alone reach the control endpoint.
	OperatorNamespace string
	OperatorLabels    map[string]string
	// MaxUnavailable is how many pods may be evicted at a time, 0 during a step of a change.
	MaxUnavailable int32
	// Monitoring is true where the API of the Prometheus operator is installed.
	Monitoring bool
}

// Authority are the generations of a CA that exist, the oldest first, each a Certificate and an Issuer of its own. The last one issues.
type Authority []int64

// Issuing is the generation that issues certificates.
func (a Authority) Issuing() int64 { return a[len(a)-1] }

// Object is the configuration of one object, for server-side apply.
type Object interface {
	runtime.ApplyConfiguration
	GetAPIVersion() *string
	GetKind() *string
	GetName() *string
	GetNamespace() *string
}

// ErrInputs is returned for inputs that lack something. It is a mistake of the caller, not of a person.
var ErrInputs = errors.New("inputs are incomplete")

// Objects returns all objects of a cluster, in the order in which they are applied: what others need comes first. It fails with
// ErrInputs, or for a spec that can't be turned into objects, with the name of the field.
func Objects(c *v1alpha1.UnibusCluster, in Inputs) ([]Object, error) {
	if err := in.check(c); err != nil {
		return nil, err
	}
	config, err := Config(c, in)
	if err != nil {
		return nil, err
	}
	template, err := podTemplate(c, in, *config.GetName())
	if err != nil {
		return nil, err
	}
	objects := []Object{serviceAccount(c), config}
	objects = append(objects, issuers(c, in)...)
	objects = append(objects, certificates(c, in)...)
	objects = append(objects, nodesService(c), clientService(c))
	if *c.Spec.NetworkPolicy.Enabled {
		policy, err := networkPolicy(c, in)
		if err != nil {
			return nil, err
		}
		objects = append(objects, policy)
	}
	objects = append(objects, disruptionBudget(c, in), statefulSet(c, in, template))
	if monitored(c, in) {
		objects = append(objects, monitor(c))
	}
	return objects, nil
}

// Unwanted returns the objects that the spec switches off, by kind and name: they are deleted if they are the cluster's.
func Unwanted(c *v1alpha1.UnibusCluster, in Inputs) []Object {
	var off []Object
	if !*c.Spec.NetworkPolicy.Enabled {
		off = append(off, bareNetworkPolicy(c))
	}
	if in.Monitoring && !monitored(c, in) {
		off = append(off, bareMonitor(c))
	}
	return off
}

func (in Inputs) check(c *v1alpha1.UnibusCluster) error {
	own := func(ref *v1alpha1.IssuerReference, ca Authority) bool {
		return ref != nil || len(ca) > 0
	}
	for what, ok := range map[string]bool{
		"image":                        in.Image != "",
		"size":                         in.Size >= 0 && in.Size <= v1alpha1.MaxReplicas,
		"operator's key":               len(in.OperatorKeys) > 0,
		"order key":                    len(in.OrderKeys) > 0,
		"admin":                        in.Admin != "" || len(c.Spec.Admins) > 0,
		"operator's namespace":         in.OperatorNamespace != "" && len(in.OperatorLabels) > 0,
		"CA of routes":                 own(c.Spec.TLS.Route.IssuerRef, in.RouteCA),
		"CA of clients":                own(c.Spec.TLS.Client.IssuerRef, in.ClientCA),
		"cluster's UID":                c.UID != "" && c.Namespace != "",
		"defaults of the API's server": c.Spec.NetworkPolicy.Enabled != nil && c.Spec.TLS.Route.Duration != nil && c.Spec.Limits.MaxPayload != nil,
	} {
		if !ok {
			return fmt.Errorf("objects of %s/%s: %w: %s", c.Namespace, c.Name, ErrInputs, what)
		}
	}
	return nil
}

// Components of a cluster, in labels.
const (
	node   = "node"
	client = "client"
)

// Selector are the labels by which the pods of a cluster are found. They never change: a StatefulSet can't change them.
func Selector(c *v1alpha1.UnibusCluster) map[string]string {
	return map[string]string{
		v1alpha1.LabelName:      v1alpha1.LabelNameValue,
		v1alpha1.LabelInstance:  c.Name,
		v1alpha1.LabelComponent: node,
	}
}

// Labels are those of objects that are made beside Objects.
func Labels(c *v1alpha1.UnibusCluster) map[string]string { return labels(c, node) }

func labels(c *v1alpha1.UnibusCluster, component string) map[string]string {
	l := Selector(c)
	l[v1alpha1.LabelComponent] = component
	l[v1alpha1.LabelManagedBy] = v1alpha1.LabelManagedByValue
	return l
}

// owner makes an object end with the cluster.
func owner(c *v1alpha1.UnibusCluster) *metav1.OwnerReferenceApplyConfiguration {
	return metav1.OwnerReference().WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("UnibusCluster").
		WithName(c.Name).WithUID(c.UID).WithController(true).WithBlockOwnerDeletion(true)
}

// as turns a value of one type into another one that has the same JSON.
func as[T any](v any) (*T, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := new(T)
	return out, json.Unmarshal(b, out)
}
