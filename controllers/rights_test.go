// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
)

// witness has the API server tell what it asks of the operator's rights before it does what the operator wants, and leaves the answer to the role.
// An audit log would not do: that something is made by being applied needs the right to create, and an owner that holds its deletion up that to
// finalize it, and neither is a request.
type witness struct {
	server *httptest.Server
	user   string

	mu   sync.Mutex
	seen map[string]bool
}

func newWitness() *witness {
	w := &witness{seen: map[string]bool{}}
	w.server = httptest.NewServer(w)
	return w
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	review := new(authorizationv1.SubjectAccessReview)
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	if a := review.Spec.ResourceAttributes; a != nil {
		w.mu.Lock()
		if review.Spec.User == w.user {
			w.seen[right(a.Group, a.Resource, a.Subresource, a.Verb)] = true
		}
		w.mu.Unlock()
	}
	review.Status = authorizationv1.SubjectAccessReviewStatus{Reason: "the role decides"}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(review) // who is gone needs no answer
}

// right names what one may do: "patch unibusclusters.unibus.dev/status".
func right(group, resource, subresource, verb string) string {
	name := resource
	if group != "" {
		name += "." + group
	}
	if subresource != "" {
		name += "/" + subresource
	}
	return verb + " " + name
}

// listen has the API server ask the witness first. Whoever may do everything is not asked about.
func (w *witness) listen(apiserver *envtest.Arguments, dir string) error {
	file := filepath.Join(dir, "witness.json")
	apiserver.Set("authorization-mode", "Webhook,RBAC").Set("authorization-webhook-version", "v1").Set("authorization-webhook-config-file", file)
	return clientcmd.WriteToFile(clientcmdapi.Config{CurrentContext: "a", Contexts: map[string]*clientcmdapi.Context{"a": {Cluster: "a"}},
		Clusters: map[string]*clientcmdapi.Cluster{"a": {Server: w.server.URL}}}, file)
}

// unused are the rights of a role that the operator has not been seen to need.
func (w *witness) unused(role *rbacv1.ClusterRole) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				name, subresource, _ := strings.Cut(resource, "/")
				for _, verb := range rule.Verbs {
					if r := right(group, name, subresource, verb); !w.seen[r] {
						all = append(all, r)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// whole says whether all tests of this package are run.
func whole() bool {
	for _, narrows := range []string{"test.run", "test.skip"} {
		if flag.Lookup(narrows).Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}

// TestEvents: what is told again is counted where it was told first. In other labs that is a matter of luck: the cluster must not have been written between.
func TestEvents(t *testing.T) {
	p := mustPlane(t)
	scheme, err := Scheme()
	must(t, err)
	api, err := client.New(p.config, client.Options{Scheme: scheme})
	must(t, err)
	m, err := newManager(p.operator, scheme, CacheOptions(), nil)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	defer func() { stop(); must(t, <-ended) }()

	c := sample(t, "one")
	c.Namespace, c.Name = metav1.NamespaceDefault, "told"
	for times := range int32(2) {
		m.GetEventRecorder(v1alpha1.FieldOwner).Eventf(c, nil, corev1.EventTypeNormal, "Told", "tell", "once more")
		natstest.Within(t, limit, fmt.Sprintf("an event, told again %d times", times), func() bool {
			all := new(eventsv1.EventList)
			must(t, api.List(t.Context(), all, client.InNamespace(c.Namespace)))
			all.Items = slices.DeleteFunc(all.Items, func(e eventsv1.Event) bool { return e.Regarding.Name != c.Name })
			return len(all.Items) == 1 && (times == 0 || all.Items[0].Series != nil && all.Items[0].Series.Count == times+1)
		})
	}
}
