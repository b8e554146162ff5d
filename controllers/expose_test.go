// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
)

// TestExpose: the address of a load balancer, and then those of a machine, are waited for, enter the certificate that nodes present, and are told; and no
// process is restarted.
func TestExpose(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Expose.Type = corev1.ServiceTypeLoadBalancer
	l := mustLab(t, c, withFuse)
	pending := func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && reason(c, v1alpha1.ConditionCertificatesReady) == v1alpha1.ReasonAddressPending && len(c.Status.Endpoints.ExternalNATS) == 0
	}
	l.within("a cluster that waits for an address", pending)
	l.expectRest()
	processes := l.processes()

	service := new(corev1.Service)
	must(t, l.api.Get(t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.ServiceName()}, service))
	before := service.DeepCopy()
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.20"}, {Hostname: "lb.example.net"}}
	must(t, l.api.Status().Patch(t.Context(), service, client.MergeFrom(before)))
	l.expectReached(l.within("its addresses", exposed), "198.51.100.20", 4222, 8223)
	l.expectPresented("lb.example.net")

	machine := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a-" + l.cluster.Namespace}}
	must(t, l.api.Create(t.Context(), machine))
	machine.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "machine"}, {Type: corev1.NodeInternalIP, Address: "10.7.0.1"},
		{Type: corev1.NodeExternalIP, Address: "203.0.113.7"}}
	must(t, l.api.Status().Update(t.Context(), machine))
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Expose.Type = corev1.ServiceTypeNodePort })
	told := l.within("the addresses of a machine", func(c *v1alpha1.UnibusCluster) bool {
		return exposed(c) && strings.HasPrefix(c.Status.Endpoints.ExternalNATS[0], "tls://203.0.113.7:")
	})
	must(t, l.api.Get(t.Context(), client.ObjectKeyFromObject(service), service))
	l.expectReached(told, "203.0.113.7", service.Spec.Ports[0].NodePort, service.Spec.Ports[1].NodePort)
	l.expectPresented("10.7.0.1")
	if diff := cmp.Diff(len(processes), len(l.processes())); diff != "" || processes[0] != l.processes()[0] {
		t.Errorf("a process was restarted: %s", diff)
	}
	l.expectRest()
}

// exposed says whether all is well and something is told of the outside.
func exposed(c *v1alpha1.UnibusCluster) bool {
	return ready(c) && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionCertificatesReady) && len(c.Status.Endpoints.ExternalNATS) > 0
}

// expectReached expects an address and its ports to be told, and nodes that are known by it.
func (l *lab) expectReached(c *v1alpha1.UnibusCluster, address string, nats, api int32) {
	l.t.Helper()
	e := c.Status.Endpoints
	if !slices.Contains(e.ExternalNATS, fmt.Sprintf("tls://%s:%d", address, nats)) || !slices.Contains(e.ExternalAPI, fmt.Sprintf("https://%s:%d", address, api)) {
		l.t.Errorf("told: %v, %v, want %s with %d and %d", e.ExternalNATS, e.ExternalAPI, address, nats, api)
	}
	l.expectPresented(address)
}

// expectPresented expects the node to present a certificate that has an address. It reads what it mounts a moment after it was written.
func (l *lab) expectPresented(address string) {
	l.t.Helper()
	cas := x509.NewCertPool()
	cas.AppendCertsFromPEM(l.mustSecret(l.cluster.AdminSecretName()).Data[caKey])
	natstest.Within(l.t, limit, "a certificate with "+address, func() bool {
		d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: cas, ServerName: address}}
		conn, err := d.DialContext(l.t.Context(), "tcp", l.address(0, 8223))
		if err == nil {
			err = conn.Close()
		}
		return err == nil
	})
}

// services is what a pass reads of a Service and of machines.
type services struct {
	client.Reader
	service  *corev1.Service
	machines []corev1.Node
	err      error
}

func (s services) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if s.service == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	s.service.DeepCopyInto(into.(*corev1.Service))
	return nil
}

func (s services) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	o := new(client.ListOptions)
	o.ApplyOptions(options)
	into.(*corev1.NodeList).Items = s.machines[:min(int(o.Limit), len(s.machines))]
	return s.err
}

func exposing(kind corev1.ServiceType, ingress ...corev1.LoadBalancerIngress) *corev1.Service {
	s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, Ports: []corev1.ServicePort{{Port: 4222, NodePort: 30001}, {Port: 8223, NodePort: 30002}}}}
	s.Name, s.Status.LoadBalancer.Ingress = "demo", ingress
	return s
}

func machineAt(addresses ...corev1.NodeAddress) corev1.Node {
	return corev1.Node{Status: corev1.NodeStatus{Addresses: addresses}}
}

// TestOutside: what is told of the outside, and what is waited for.
func TestOutside(t *testing.T) {
	in := corev1.LoadBalancerIngress{IP: "198.51.100.20"}
	many := make([]corev1.Node, maxOutside+1)
	for i := range many {
		many[i] = machineAt(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.0.%d", i)})
	}
	for name, c := range map[string]struct {
		kind  corev1.ServiceType
		live  services
		names []string
		urls  string
		says  string
	}{
		"within only":         {corev1.ServiceTypeClusterIP, services{service: exposing(corev1.ServiceTypeLoadBalancer, in)}, []string{"bus.example.com"}, "", ""},
		"no Service":          {corev1.ServiceTypeLoadBalancer, services{}, nil, "", "is not made yet"},
		"of another type yet": {corev1.ServiceTypeLoadBalancer, services{service: exposing(corev1.ServiceTypeNodePort, in)}, nil, "", "is not made yet"},
		"no address":          {corev1.ServiceTypeLoadBalancer, services{service: exposing(corev1.ServiceTypeLoadBalancer)}, nil, "", "has no address yet"},
		"an address": {corev1.ServiceTypeLoadBalancer, services{service: exposing(corev1.ServiceTypeLoadBalancer, in)}, nil,
			"tls://198.51.100.20:4222 https://198.51.100.20:8223", "does not have the address 198.51.100.20"},
		"only a name": {corev1.ServiceTypeLoadBalancer, services{service: exposing(corev1.ServiceTypeLoadBalancer)}, []string{"*.example.com", "bus.example.com"},
			"tls://bus.example.com:4222 https://bus.example.com:8223", ""},
		"of the sixth version": {corev1.ServiceTypeLoadBalancer, services{service: exposing(corev1.ServiceTypeLoadBalancer, corev1.LoadBalancerIngress{IP: "2001:db8::1"})}, nil,
			"tls://[2001:db8::1]:4222 https://[2001:db8::1]:8223", "2001:db8::1"},
		"no machine": {corev1.ServiceTypeNodePort, services{service: exposing(corev1.ServiceTypeNodePort)}, nil, "", "No machine"},
		"not to be seen": {corev1.ServiceTypeNodePort, services{service: exposing(corev1.ServiceTypeNodePort), err: apierrors.NewForbidden(schema.GroupResource{}, "", nil)}, nil,
			"", "can't be seen"},
		"not to be seen, but named": {corev1.ServiceTypeNodePort, services{service: exposing(corev1.ServiceTypeNodePort), err: apierrors.NewForbidden(schema.GroupResource{}, "", nil)},
			[]string{"10.7.0.1"}, "tls://10.7.0.1:30001 https://10.7.0.1:30002", ""},
		"named twice": {corev1.ServiceTypeNodePort, services{service: exposing(corev1.ServiceTypeNodePort), machines: []corev1.Node{
			machineAt(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "10.7.0.1"}, corev1.NodeAddress{Type: corev1.NodeHostName, Address: "x"})}},
			[]string{"10.7.0.1"}, "tls://10.7.0.1:30001 https://10.7.0.1:30002", "10.7.0.1"},
	} {
		p := seen(1)
		p.cas = p.authorities()
		p.c.Spec.Expose.Type, p.c.Spec.TLS.Client.Names, p.Live = c.kind, c.names, c.live
		must(t, p.observeOutside(t.Context()))
		told := status(p.facts(nil)).Endpoints
		if got := strings.Join(slices.Concat(told.ExternalNATS, told.ExternalAPI), " "); got != c.urls {
			t.Errorf("%s: told %s, want %s", name, got, c.urls)
		}
		if got := p.facts(nil).addressPending(); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: waits for %q, want %q", name, got, c.says)
		}
	}
	p := seen(1)
	p.c.Spec.Expose.Type, p.Live = corev1.ServiceTypeNodePort, services{service: exposing(corev1.ServiceTypeNodePort), machines: many}
	if must(t, p.observeOutside(t.Context())); len(p.outside.addresses) != maxOutside {
		t.Errorf("%d addresses, want %d", len(p.outside.addresses), maxOutside)
	}
	p.Live = services{service: exposing(corev1.ServiceTypeNodePort), err: apierrors.NewInternalError(context.Canceled)}
	if p.observeOutside(t.Context()) == nil {
		t.Error("what can't be read is taken for seen")
	}
}

// TestAddressPending: an address that is not in the certificate that nodes present, or not known, is told, and clients within do not wait for it.
func TestAddressPending(t *testing.T) {
	now := time.Now()
	good := newIssuer(t, "ca", now).issue(t, now.Add(-time.Hour), now.Add(day))
	p := withCertificates(t, good, good, good, good)
	p.outside.unknown = "no address yet"
	waits := map[string]string{"CertificatesReady": "-AddressPending"}
	expectConditions(t, p, nil, waits)
	p.outside = outside{addresses: []string{"198.51.100.20", "lb.example.net"}}
	expectConditions(t, p, nil, waits)
	leaf := *p.cas[1].used.chain[0]
	p.cas[1].used.chain = []*x509.Certificate{&leaf}
	leaf.IPAddresses = []net.IP{net.ParseIP("198.51.100.20")}
	expectConditions(t, p, nil, waits)
	leaf.DNSNames = []string{"lb.example.net"}
	expectConditions(t, p, nil, map[string]string{"CertificatesReady": "+CertificatesValid"})
}
