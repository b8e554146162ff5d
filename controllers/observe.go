// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

// maxPlaces is how many pods and volumes are looked at, however many a stray hand has asked for.
const maxPlaces = 1000

// pass is one pass over one cluster: what it has seen, what it decided, and how that went.
type pass struct {
	*Reconciler
	*memory
	c *v1alpha1.UnibusCluster

	// began and ended are when the first and the last of it was seen.
	began, ended time.Time
	// set is the StatefulSet, nil when there is none; pods and claims are by place.
	set    *appsv1.StatefulSet
	pods   map[int]*corev1.Pod
	claims map[int]*corev1.PersistentVolumeClaim
	// secrets are those that exist, by name.
	secrets map[string]*corev1.Secret
	// identity is the ConfigMap with the record, nil when there is none; damaged says why it can't be read.
	identity *corev1.ConfigMap
	record   *scaling.Record
	damaged  error

	seen  scaling.Observed
	nodes []*v1.NodeStatus
	steering.JetStream
	losses
	// unkept says which disk of a member is about to go, and can't be kept; empty when none is.
	unkept  string
	outside outside

	// classes are the history classes that the bus has, by name, nil where nobody asked; noClasses is why they can't be read.
	classes   map[string]v1.Class
	noClasses error

	credentials *credentials
	// volume is the size of volumes that nodes may fill.
	volume resource.Quantity
	// firstAdmin is the public key of the admin whose seed the Secret has, empty where the spec names admins.
	firstAdmin string
	// cas are the CA of routes and that of clients. Again is when there may be more to do for them, 0 for no time.
	cas      []*authority
	password routePassword
	keys     keyring
	again    time.Duration
	// rollout is nil before there is a StatefulSet.
	rollout *rollout
	step    scaling.Step
	// scaled is true when the members and the replicas are as wished, whatever else is to be done.
	scaled bool
	// acted is true when the step was carried out, failed says why not.
	acted  bool
	failed error
}

// observe reads everything that the pass goes by, once and live.
func (p *pass) observe(ctx context.Context) error {
	if err := p.observeObjects(ctx); err != nil {
		return err
	}
	return p.observeBus(ctx)
}

// observeBus reads what is to be known beside objects, of which nodes may take their time to tell.
func (p *pass) observeBus(ctx context.Context) error {
	p.place()
	p.cas, p.password, p.keys = p.authorities(), p.routePasswordOf(), p.keyringOf()
	switch a, err := credentialsFrom(p.c, p.secrets[p.c.KeysSecretName()], p.cas[0], p.cas[1], p.began); {
	case errors.Is(err, errIncomplete):
		p.NoLeader = err
	case err != nil:
		p.NoLeader = err
		return err
	default:
		if err := p.enter(a, p.Dial); err != nil {
			return err
		}
		p.credentials = a
		p.observeNodes(ctx)
		p.observeJetStream(ctx)
	}
	p.Fill(&p.seen)
	p.seen.Quiet = p.quiet.Measure(p.record, p.seen, p.JetStream)
	if err := p.observeLost(ctx); err != nil {
		return err
	}
	if err := p.observeOutside(ctx); err != nil {
		return err
	}
	p.ended = time.Now()
	return ctx.Err()
}

func (p *pass) observeObjects(ctx context.Context) error {
	p.began = time.Now()
	c := p.c
	set := new(appsv1.StatefulSet)
	switch found, err := p.get(ctx, c.StatefulSetName(), set); {
	case err != nil:
		return err
	case found:
		p.set = set
	}
	p.secrets = map[string]*corev1.Secret{}
	for _, name := range []string{c.KeysSecretName(), c.RouteSecretName(), c.AdminSecretName(), c.RouteCertificateName(), c.ClientCertificateName(),
		c.OperatorCertificateName(), c.OperatorTLSName(), c.RouteTLSName(), c.ClientTLSName()} {
		s := new(corev1.Secret)
		if found, err := p.get(ctx, name, s); err != nil {
			return err
		} else if found {
			p.secrets[name] = s
		}
	}
	identity := new(corev1.ConfigMap)
	switch found, err := p.get(ctx, c.IdentityName(), identity); {
	case err != nil:
		return err
	case found:
		p.identity = identity
		p.record, p.damaged = recordOf(identity)
	}
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	if err := p.Live.List(ctx, &pods, client.InNamespace(c.Namespace), client.MatchingLabels(manifests.Selector(c))); err != nil {
		return fmt.Errorf("list pods of %s: %w", c.Name, err)
	}
	// Their names alone make claims the cluster's: the StatefulSet mounts what has them, also what was restored from a backup without labels.
	if err := p.Live.List(ctx, &claims, client.InNamespace(c.Namespace)); err != nil {
		return fmt.Errorf("list volumes of %s: %w", c.Name, err)
	}
	p.pods, p.claims = map[int]*corev1.Pod{}, map[int]*corev1.PersistentVolumeClaim{}
	for i := range pods.Items {
		if place, ok := ordinal(pods.Items[i].Name, c.StatefulSetName()+"-"); ok {
			p.pods[place] = &pods.Items[i]
		}
	}
	for i := range claims.Items {
		if place, ok := ordinal(claims.Items[i].Name, v1alpha1.DataVolume+"-"+c.StatefulSetName()+"-"); ok {
			p.claims[place] = &claims.Items[i]
		}
	}
	return nil
}

// get reads an object of the cluster's namespace and says whether it exists.
func (p *pass) get(ctx context.Context, name string, into client.Object) (bool, error) {
	err := p.Live.Get(ctx, client.ObjectKey{Namespace: p.c.Namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return true, nil
}

// ordinal is the number behind the prefix.
func ordinal(name, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0 && n < maxPlaces && strconv.Itoa(n) == digits
}

// place enters places, without what answers there.
func (p *pass) place() {
	p.seen = scaling.Observed{Now: time.Now().UTC(), KnownID: p.c.Status.ClusterID}
	if p.set != nil {
		p.seen.Size = int(*p.set.Spec.Replicas)
	}
	p.memory.miss(p.seen, p.pods)
	last := -1
	for place := range p.pods {
		last = max(last, place)
	}
	for place := range p.claims {
		last = max(last, place)
	}
	p.seen.Places, p.nodes = make([]scaling.Place, last+1), make([]*v1.NodeStatus, last+1)
	for i := range p.seen.Places {
		if claim := p.claims[i]; claim != nil && !p.goes(i) {
			p.seen.Places[i].Volume = string(claim.UID)
		}
		p.seen.Places[i].Started = p.pods[i] != nil
	}
}

// observeNodes asks what runs in each pod.
func (p *pass) observeNodes(ctx context.Context) {
	var wg sync.WaitGroup
	for place := range p.pods {
		wg.Go(func() {
			// Why one does not answer is told by its pod; that it doesn't is all that counts here.
			if base := p.endpoint(place); base != "" {
				p.nodes[place], _ = p.memory.control.Status(ctx, base)
			}
		})
	}
	wg.Wait()
	steering.Identify(p.nodes, p.record)
	for i, n := range p.nodes {
		p.seen.Places[i].Node = steering.Node(n)
	}
}

// at is the address of a port of a pod, empty while the pod has none. That of a pod which has ended may be another one's by now.
func (p *pass) at(place, port int) string {
	pod := p.pods[place]
	if pod != nil && pod.Status.PodIP != "" && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
		return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(port))
	}
	return ""
}

// observeJetStream asks the cluster itself, through the nodes that run.
func (p *pass) observeJetStream(ctx context.Context) {
	var urls, names []string
	p.apis = nil
	for place, n := range p.nodes {
		if n != nil && n.Phase == v1.NodeRunning && !n.Removed {
			urls = append(urls, "tls://"+p.at(place, manifests.NATSPort()))
			p.apis = append(p.apis, p.at(place, manifests.APIPort()))
		}
	}
	if p.record != nil {
		names = slices.Collect(maps.Keys(p.record.Names))
	}
	if len(urls) == 0 {
		p.NoLeader = errors.New("no node runs")
		return
	}
	admin, err := p.administer(ctx, urls, names)
	if err != nil {
		p.NoLeader = err
		return
	}
	p.JetStream = steering.Look(ctx, admin)
	p.observeClasses(ctx)
}

// endpoint is the URL of a pod's control endpoint, empty while the pod has no address.
func (p *pass) endpoint(place int) string {
	if at := p.at(place, manifests.ControlPort()); at != "" {
		return "https://" + at
	}
	return ""
}
