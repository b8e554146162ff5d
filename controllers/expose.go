// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// maxOutside is how many addresses of a load balancer, and how many machines, enter the certificate. Of machines it is the first ones by name:
// which ones that are changes seldom, and whoever wants others names them.
const maxOutside = 16

// outside is how the bus is reached from outside of the Kubernetes cluster.
type outside struct {
	// addresses are those of the load balancer or of machines, DNS names or IP addresses, without those that the spec names.
	addresses []string
	// nats and api are the ports there, 0 while they are not known.
	nats, api int32
	// unknown says why there are no addresses, empty when there are some, or none are to be.
	unknown string
}

// observeOutside finds the addresses that the exposed Service has.
func (p *pass) observeOutside(ctx context.Context) error {
	p.outside = outside{}
	if p.c.Spec.Expose.Type != corev1.ServiceTypeNodePort && p.c.Spec.Expose.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	service := new(corev1.Service)
	found, err := p.get(ctx, p.c.ServiceName(), service)
	switch {
	case err != nil:
		return err
	case !found || service.Spec.Type != p.c.Spec.Expose.Type:
		p.outside.unknown = fmt.Sprintf("The Service %s is not made yet.", p.c.ServiceName())
		return nil
	case service.Spec.Type == corev1.ServiceTypeLoadBalancer:
		p.outside = balanced(service)
		return nil
	}
	return p.observeMachines(ctx, service)
}

// balanced is what is known of a load balancer.
func balanced(service *corev1.Service) outside {
	o := outside{nats: int32(manifests.NATSPort()), api: int32(manifests.APIPort())}
	for _, in := range service.Status.LoadBalancer.Ingress {
		o.add(in.IP)
		o.add(in.Hostname)
	}
	o.addresses = o.addresses[:min(len(o.addresses), maxOutside)]
	if len(o.addresses) == 0 {
		o.unknown = fmt.Sprintf("The load balancer of the Service %s has no address yet.", service.Name)
	}
	return o
}

// observeMachines takes the addresses of machines, each of which leads to the Service.
func (p *pass) observeMachines(ctx context.Context, service *corev1.Service) error {
	o := outside{}
	for _, port := range service.Spec.Ports {
		switch int(port.Port) {
		case manifests.NATSPort():
			o.nats = port.NodePort
		case manifests.APIPort():
			o.api = port.NodePort
		}
	}
	var machines corev1.NodeList
	err := p.Live.List(ctx, &machines, client.Limit(maxOutside))
	switch {
	case apierrors.IsForbidden(err):
		o.unknown = "The addresses of machines can't be seen without rights outside of the namespace."
	case err != nil:
		return fmt.Errorf("list machines: %w", err)
	}
	for _, machine := range machines.Items {
		for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
			for _, a := range machine.Status.Addresses {
				if a.Type == kind {
					o.add(a.Address)
				}
			}
		}
	}
	if len(o.addresses) == 0 && o.unknown == "" {
		o.unknown = "No machine has an address yet."
	}
	p.outside = o
	return nil
}

func (o *outside) add(address string) {
	if address != "" && !slices.Contains(o.addresses, address) {
		o.addresses = append(o.addresses, address)
	}
}

// urls are those at which a port is reached from outside: at the names of the spec, then at the addresses that are known.
func (o outside) urls(c *v1alpha1.UnibusCluster, scheme string, port int32) (all []string) {
	if port == 0 {
		return nil
	}
	for _, host := range slices.Concat(c.Spec.TLS.Client.Names, o.addresses) {
		if u := scheme + net.JoinHostPort(host, strconv.Itoa(int(port))); !strings.HasPrefix(host, "*") && !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

// addressPending says which address is not known, or not in the certificate that nodes present; empty when all are. Who has named some has
// said where clients come in.
func (f facts) addressPending() string {
	if f.outside.unknown != "" {
		if len(f.c.Spec.TLS.Client.Names) > 0 {
			return ""
		}
		return f.outside.unknown
	}
	for _, a := range f.outside.addresses {
		if chain := f.cas[1].used.chain; len(chain) == 0 || chain[0].VerifyHostname(a) != nil {
			return fmt.Sprintf("The certificate for clients does not have the address %s yet; cert-manager issues it anew.", a)
		}
	}
	return ""
}
