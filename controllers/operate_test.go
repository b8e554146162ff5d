// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/natstest"
)

// operate runs operators, one after the other, until the test ends.
func (l *lab) operate(scheme *runtime.Scheme) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			l.lives.Add(1)
			if err := l.live(ctx, scheme); err != nil {
				l.t.Errorf("operator: %v", err)
				return
			}
		}
	}()
	l.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// live runs one operator until ctx ends or its fuse has burnt.
func (l *lab) live(ctx context.Context, scheme *runtime.Scheme) error {
	ctx, die := context.WithCancel(ctx)
	defer die()
	l.end.Store(&die)
	w := &writer{lab: l, scheme: scheme, die: die}
	watched := CacheOptions() // another lab's cluster has an operator
	watched.DefaultNamespaces = map[string]cache.Config{l.cluster.Namespace: {}}
	m, err := newManager(plane.operator, scheme, watched, w.client)
	if err != nil {
		return err
	}
	r := &Reconciler{Options: Options{Repository: "unibus/membershipd", Version: l.version.Load().(string), Namespace: "unibus-system",
		Labels: map[string]string{v1alpha1.LabelName: v1alpha1.LabelManagedByValue}, Dial: l.Dial, Rest: l.rest, Grace: time.Second}}
	r.Live = countingReader{m.GetAPIReader(), l}
	r.Events = mourner{m.GetEventRecorder(v1alpha1.FieldOwner), l.fuse, die, l.after}
	if err := r.SetupWithManager(m); err != nil {
		return err
	}
	defer r.Close()
	return m.Start(ctx)
}

// newManager makes the manager of an operator, one of several in this process.
func newManager(c *rest.Config, scheme *runtime.Scheme, watched cache.Options, writes client.NewClientFunc) (manager.Manager, error) {
	return manager.New(c, manager.Options{
		Scheme: scheme, Cache: watched, Metrics: metricsserver.Options{BindAddress: "0"}, Logger: logr.FromSlogHandler(natstest.Logger().Handler()),
		Controller: config.Controller{SkipNameValidation: ptr.To(true)}, NewClient: writes,
	})
}

// writer counts what an operator is asked to write, and ends it after what changes something when the lab's fuse burns.
type writer struct {
	lab    *lab
	scheme *runtime.Scheme
	die    context.CancelFunc
}

func (w *writer) client(c *rest.Config, o client.Options) (client.Client, error) {
	inner, err := client.NewWithWatch(c, o)
	if err != nil {
		return nil, err
	}
	return interceptor.NewClient(inner, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return w.write("create", o, func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return w.write("update", o, func() error { return c.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return w.write("patch", o, func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return w.write("delete", o, func() error { return c.Delete(ctx, o, opts...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return w.write("apply", o, func() error { return c.Apply(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return w.write("patch "+sub, o, func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	}), nil
}

func (w *writer) write(how string, o any, do func() error) error {
	w.lab.writes.Add(1)
	kind, before := w.version(o)
	err := do()
	if _, after := w.version(o); err == nil && before != after {
		natstest.Logger().Debug("operator writes", "how", how, "what", kind.String())
		if w.lab.fuse.burns() {
			w.die()
			return context.Canceled // the rest of the pass is not to be
		}
	}
	return err
}

// version is that of an object as it is now, empty when there is none.
func (w *writer) version(o any) (schema.GroupVersionKind, string) {
	m := new(metav1.PartialObjectMetadata)
	switch o := o.(type) {
	case manifests.Object:
		b, err := json.Marshal(o)
		if err == nil {
			err = json.Unmarshal(b, m)
		}
		if err != nil {
			return schema.GroupVersionKind{}, err.Error()
		}
	case client.Object:
		gvk, err := apiutil.GVKForObject(o, w.scheme)
		if err != nil {
			return gvk, err.Error()
		}
		m.SetGroupVersionKind(gvk)
		m.Namespace, m.Name = o.GetNamespace(), o.GetName()
	}
	gvk := m.GroupVersionKind()
	now := new(metav1.PartialObjectMetadata)
	now.SetGroupVersionKind(gvk)
	if err := w.lab.api.Get(context.Background(), client.ObjectKeyFromObject(m), now); err != nil {
		return gvk, ""
	}
	return gvk, now.ResourceVersion
}

// countingReader counts passes over the lab's cluster: each begins with it.
type countingReader struct {
	client.Reader
	lab *lab
}

func (r countingReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if _, ok := o.(*v1alpha1.UnibusCluster); ok {
		r.lab.passes.Add(1)
	}
	return r.Reader.Get(ctx, key, o, opts...)
}
