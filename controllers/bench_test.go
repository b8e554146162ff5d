// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
)

var clusters = flag.Int("clusters", 1000, "how many clusters BenchmarkOperator has looked after")

const (
	// mostHeap is what an operator may hold of a cluster, in bytes, beside the metadata of the objects that belong to it.
	mostHeap = 16 << 10
	// patience is how long a thousand clusters may take to come to rest.
	patience = 30 * time.Minute
)

// BenchmarkOperator measures what many clusters cost an operator: heap after a collection, calls of the API server in a pass that finds nothing to
// do, and the time until an operator that has just started has seen all. The clusters wait for certificates, as cert-manager is stopped.
func BenchmarkOperator(b *testing.B) {
	p := mustPlane(b)
	p.processes["cert-manager"].Kill()
	f := mustFleet(b, p)
	o := f.operate()
	f.create(1, false) // with it there is all that one cluster needs as much as many do
	o.rest(1)
	base := heap()

	f.create(*clusters, true)
	o.rest(1 + *clusters)
	o.forget()
	childless := heap()
	f.resume()
	calls := o.rest(1 + *clusters)
	all := heap()
	o.forget()
	forgotten := heap()
	o.end()

	began, o := time.Now(), f.operate()
	o.seen(1 + *clusters)
	restart := time.Since(began)
	o.rest(1 + *clusters)
	o.end()

	each := func(bytes int64) float64 { return float64(bytes) / float64(*clusters) }
	own := each(childless - base + all - forgotten)
	b.ReportMetric(own, "B/cluster")
	b.ReportMetric(each(forgotten-childless), "B/children")
	b.ReportMetric(float64(calls.reads)/float64(calls.passes), "reads/pass")
	b.ReportMetric(restart.Seconds(), "s/restart")
	if own > mostHeap {
		b.Errorf("a cluster takes %.0f bytes of the operator's heap, beside its children: %d at most", own, mostHeap)
	}
}

// fleet are many clusters in one namespace.
type fleet struct {
	testing.TB
	plane     *controlPlane
	scheme    *apiruntime.Scheme
	api       client.Client
	namespace string
}

func mustFleet(t testing.TB, p *controlPlane) *fleet {
	t.Helper()
	f := &fleet{TB: t, plane: p}
	var err error
	f.scheme, err = Scheme()
	must(t, err)
	f.api, err = client.New(p.config, client.Options{Scheme: f.scheme})
	must(t, err)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "fleet-"}}
	must(t, f.api.Create(t.Context(), ns))
	f.namespace = ns.Name
	return f
}

// create makes n more clusters.
func (f *fleet) create(n int, paused bool) {
	f.Helper()
	for range n {
		c := sample(f, "one")
		c.Name, c.GenerateName, c.Namespace, c.Spec.Pause = "", "c-", f.namespace, paused
		must(f, f.api.Create(f.Context(), c))
	}
}

func (f *fleet) resume() {
	f.Helper()
	all := new(v1alpha1.UnibusClusterList)
	must(f, f.api.List(f.Context(), all, client.InNamespace(f.namespace)))
	for _, c := range all.Items {
		was := c.DeepCopy()
		c.Spec.Pause = false
		must(f, f.api.Patch(f.Context(), &c, client.MergeFrom(was)))
	}
}

// heap is what is in use after a collection, in bytes. Passes are under way now and then: the least of some looks is without.
func heap() int64 {
	least := int64(1 << 62)
	for range 20 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least = min(least, int64(m.HeapAlloc))
	}
	return least
}

// operation is an operator at work, with what it asks of the API server.
type operation struct {
	*fleet
	reconciler *Reconciler
	end        func() // returns when it has ended

	mu    sync.Mutex
	calls calls
	met   map[string]bool // clusters that a pass has begun with
	told  *sync.Cond      // of mu, for every one of these
}

// calls are what an operator has asked for, watches not counted, and the passes that it has begun.
type calls struct{ reads, writes, passes int }

func (f *fleet) operate() *operation {
	f.Helper()
	o := &operation{fleet: f, met: map[string]bool{}}
	o.told = sync.NewCond(&o.mu)
	c := rest.CopyConfig(f.plane.operator)
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, o} })
	m, err := newManager(c, f.scheme, CacheOptions(), client.New)
	must(f, err)
	o.reconciler = &Reconciler{Options: Options{Repository: "unibus/membershipd", Version: "0.0.0", Namespace: "unibus-system",
		Labels: map[string]string{v1alpha1.LabelName: v1alpha1.LabelManagedByValue}}}
	must(f, o.reconciler.SetupWithManager(m))
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	o.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Error(err)
		}
		o.reconciler.Close()
	})
	f.Cleanup(o.end)
	return o
}

// rest waits until each of so many clusters has had a pass in which none has written, and then one more, as what a pass writes may come after the
// last one has begun. It returns what was asked for in the last ones.
func (o *operation) rest(clusters int) calls {
	o.Helper()
	for began, calm := time.Now(), false; time.Since(began) < patience; {
		o.mu.Lock()
		o.calls, o.met = calls{}, map[string]bool{}
		o.mu.Unlock()
		round := o.seen(clusters)
		fmt.Fprintf(os.Stderr, "%5.0fs  a pass of each of %d clusters: %d passes, %d reads, %d writes\n", time.Since(began).Seconds(), clusters, round.passes, round.reads, round.writes)
		if calm && round.writes == 0 {
			return round
		}
		calm = round.writes == 0
	}
	o.Fatalf("%d clusters do not come to rest in %v", clusters, patience)
	return calls{}
}

// seen waits until a pass of each of so many clusters has begun.
func (o *operation) seen(clusters int) calls {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.met) < clusters {
		o.told.Wait()
	}
	return o.calls
}

// forget drops what is remembered of clusters from pass to pass.
func (o *operation) forget() {
	o.reconciler.mu.Lock()
	defer o.reconciler.mu.Unlock()
	clear(o.reconciler.memories)
}

// begins is what a pass asks for first.
var begins = regexp.MustCompile(`^/apis/unibus\.dev/v1alpha1/namespaces/[^/]+/unibusclusters/[^/]+$`)

func (o *operation) count(req *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case req.Method != http.MethodGet:
		o.calls.writes++
	case req.URL.Query().Get("watch") == "":
		o.calls.reads++
		if begins.MatchString(req.URL.Path) {
			o.calls.passes++
			o.met[req.URL.Path] = true
			o.told.Broadcast()
		}
	}
}

type counting struct {
	http.RoundTripper
	o *operation
}

func (c counting) RoundTrip(req *http.Request) (*http.Response, error) {
	c.o.count(req)
	return c.RoundTripper.RoundTrip(req)
}
