// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/steering"
)

// Options are what a Reconciler is made with.
type Options struct {
	// Repository and Version are of the image of nodes, for clusters whose spec names none.
	Repository, Version string
	// Namespace and Labels are where the operator's pods are found.
	Namespace string
	Labels    map[string]string
	// Dial opens connections to nodes. Nil means the system.
	Dial steering.Dial
	// Rest is how long after a pass that found nothing to do the next one is, unless something happens. Default: one minute.
	Rest time.Duration
	// Grace is how long clients are told a CA before nodes have certificates of it, and the one before it after that. Default: DefaultGrace.
	Grace time.Duration
}

// DefaultGrace is the time that clients have to take a new CA: enough for what reads a ConfigMap or Secret that it mounts.
const DefaultGrace = time.Hour

// Reconciler brings clusters to what is wished. One cluster is worked on by one goroutine at a time.
type Reconciler struct {
	Options
	// Client writes, and reads the metadata of objects from a cache. Live reads from the API server.
	Client client.Client
	Live   client.Reader
	Events events.EventRecorder

	mu       sync.Mutex
	memories map[types.NamespacedName]*memory
	// watchCertificates begins to watch what cert-manager makes; nil once that is done.
	watchCertificates func() error
}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	c := new(v1alpha1.UnibusCluster)
	err := r.Live.Get(ctx, req.NamespacedName, c)
	if apierrors.IsNotFound(err) || err == nil && !c.DeletionTimestamp.IsZero() {
		// All that it owns goes with it; volumes and the record of names stay, unless it owns them too.
		r.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	p := &pass{Reconciler: r, memory: r.remember(req.NamespacedName, c.UID), c: c}
	return p.report(ctx, p.run(ctx))
}

// run does all of a pass but the report.
func (p *pass) run(ctx context.Context) error {
	if err := p.observeObjects(ctx); err != nil {
		return err
	}
	if !p.c.Spec.Pause { // before nodes are asked: it may be a matter of seconds
		if err := p.keepDisks(ctx); err != nil {
			return err
		}
	}
	if err := p.observeBus(ctx); err != nil || p.c.Spec.Pause {
		return err
	}
	err := p.prepare(ctx)
	// Whatever stands in the way of all else: without new certificates a bus that runs would go dark in the end.
	if err == nil || p.set != nil {
		err = cmp.Or(err, p.copyCertificates(ctx))
	}
	if err != nil {
		return err
	}
	if p.set == nil {
		return nil // it was made just now
	}
	p.step = p.decide()
	return p.act(ctx)
}

// prepare makes all that is made before pods are, but certificates.
func (p *pass) prepare(ctx context.Context) error {
	for _, prepare := range []func(context.Context) error{p.awaitHeirs, p.findCertManager, p.makeKeys, p.bequeath, p.applyObjects, p.noteAdmin, p.rotatePassword, p.rotateKeys} {
		if err := prepare(ctx); err != nil {
			return err
		}
	}
	return nil
}

// remember returns what is known of a cluster from earlier passes.
func (r *Reconciler) remember(name types.NamespacedName, uid types.UID) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.memories[name]; m != nil && m.uid == uid {
		return m
	}
	if r.memories == nil {
		r.memories = map[types.NamespacedName]*memory{}
	}
	r.memories[name].close()
	r.memories[name] = &memory{uid: uid, applied: map[string]string{}, refused: map[string]refused{}}
	return r.memories[name]
}

func (r *Reconciler) forget(name types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memories[name].close()
	delete(r.memories, name)
}

// Close ends all connections to nodes. No pass may be under way: the manager must have ended.
func (r *Reconciler) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, m := range r.memories {
		m.close()
		delete(r.memories, name)
	}
}
