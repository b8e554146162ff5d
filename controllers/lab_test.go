// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	buspkg "github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

// limit is how long a condition may take on a slow machine.
const limit = 5 * time.Minute

// lab is one cluster, from a sample, in a namespace of its own, with an operator and a kubelet.
type lab struct {
	*kubelet
	t      *testing.T
	writes atomic.Int64 // that the operator asked for
	passes atomic.Int64 // as reads of the UnibusCluster
	lives  atomic.Int64 // of operators, one after the other
	// rest is after how long a pass at rest is followed by another.
	rest time.Duration
	// fuse ends operators in the middle of what they do.
	fuse *fuse
	// after is called after each step that was taken, before the next one is decided on; nil for nothing.
	after func(action scaling.Action, why string)
	// version is that of the next operator, end ends the one that lives.
	version atomic.Value
	end     atomic.Pointer[context.CancelFunc]
}

// sample is a UnibusCluster of config/samples.
func sample(t testing.TB, name string) *v1alpha1.UnibusCluster {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(crdtest.Root(), "config", "samples", name+".yaml"))
	must(t, err)
	c := new(v1alpha1.UnibusCluster)
	must(t, yaml.UnmarshalStrict(b, c))
	return c
}

// mustLab applies a cluster and starts all that looks after it, once what is to be there before is. Labs go on at the same time: most of the time of
// each is waiting.
func mustLab(t *testing.T, c *v1alpha1.UnibusCluster, before ...func(*lab)) *lab {
	t.Helper()
	t.Parallel()
	return mustLoneLab(t, c, before...)
}

// mustLoneLab is mustLab for a lab that changes what others go by, too: none of them is there as long as it is.
func mustLoneLab(t *testing.T, c *v1alpha1.UnibusCluster, before ...func(*lab)) *lab {
	t.Helper()
	p := mustPlane(t)
	scheme, err := Scheme()
	must(t, err)
	api, err := client.NewWithWatch(p.config, client.Options{Scheme: scheme})
	must(t, err)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lab-"}}
	must(t, api.Create(t.Context(), ns))
	c.Namespace = ns.Name
	l := &lab{kubelet: mustKubelet(t, api, c), t: t, rest: time.Second}
	l.version.Store("0.0.0")
	for _, do := range before {
		do(l)
	}
	must(t, api.Create(t.Context(), c))
	l.operate(scheme)
	return l
}

// now reads the cluster.
func (l *lab) now() *v1alpha1.UnibusCluster {
	l.t.Helper()
	c := new(v1alpha1.UnibusCluster)
	must(l.t, l.api.Get(l.t.Context(), client.ObjectKeyFromObject(l.cluster), c))
	return c
}

// scale wishes a number of members, as kubectl scale does.
func (l *lab) scale(replicas int32) {
	l.t.Helper()
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Replicas = replicas })
}

// change changes the cluster, as kubectl edit does.
func (l *lab) change(how func(*v1alpha1.UnibusCluster)) {
	l.t.Helper()
	c := l.now()
	before := c.DeepCopy()
	how(c)
	must(l.t, l.api.Patch(l.t.Context(), c, client.MergeFrom(before)))
}

// within waits until the cluster as it is told holds a condition, and tells all that it knows if it never does.
func (l *lab) within(what string, holds func(*v1alpha1.UnibusCluster) bool) *v1alpha1.UnibusCluster {
	l.t.Helper()
	var c *v1alpha1.UnibusCluster
	if !natstest.Until(limit, func() bool { c = l.now(); return holds(c) }) {
		b, _ := json.MarshalIndent(c.Status, "", "  ") // for a person
		l.t.Fatalf("not within %v: %s; the cluster tells\n%s", limit, what, b)
	}
	return c
}

// ready says whether all that is wished now is there.
func ready(c *v1alpha1.UnibusCluster) bool {
	r := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	return r != nil && r.Status == metav1.ConditionTrue && r.ObservedGeneration == c.Generation && c.Status.ReadyReplicas == c.Spec.Replicas
}

// enter returns the options of the admin whose key the Secret has, at the node of a place.
func (l *lab) enter(place int) buspkg.Options {
	l.t.Helper()
	secret := new(corev1.Secret)
	must(l.t, l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.AdminSecretName()}, secret))
	key, err := nkeys.FromSeed(secret.Data[adminSeed])
	must(l.t, err)
	cas := x509.NewCertPool()
	if !cas.AppendCertsFromPEM(secret.Data[caKey]) {
		l.t.Fatalf("the Secret %s has no CA", secret.Name)
	}
	return buspkg.Options{Servers: []string{"tls://" + l.address(place, 4222)}, API: "https://" + l.address(place, 8223), Key: key, CAs: cas}
}

func names(c *v1alpha1.UnibusCluster) string {
	var all []string
	for _, m := range c.Status.Members {
		all = append(all, m.ServerName+"="+m.Phase)
	}
	return strings.Join(all, " ")
}
