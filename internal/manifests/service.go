// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/daemonconfig"
)

// Names of ports, 15 characters at most.
const (
	portNATS    = "nats"
	portAPI     = "api"
	portRoutes  = "routes"
	portControl = "control"
	portHTTP    = "http"
)

type port struct {
	name   string
	number int32
}

// ports of a node are its defaults: a pod has an address of its own.
func ports() []port {
	n := daemonconfig.Default()
	return []port{
		{portNATS, int32(n.Port)}, {portAPI, int32(n.APIPort)}, {portRoutes, int32(n.ClusterPort)},
		{portControl, int32(n.ControlPort)}, {portHTTP, int32(n.HTTPPort)},
	}
}

// NATSPort is where nodes take clients.
func NATSPort() int { return daemonconfig.Default().Port }

// APIPort is where nodes serve the HTTP API.
func APIPort() int { return daemonconfig.Default().APIPort }

// ControlPort is where nodes take orders.
func ControlPort() int { return daemonconfig.Default().ControlPort }

// HTTPPort is where nodes answer about their health.
func HTTPPort() int { return daemonconfig.Default().HTTPPort }

func servicePort(p port) *applycorev1.ServicePortApplyConfiguration {
	return applycorev1.ServicePort().WithName(p.name).WithPort(p.number).WithTargetPort(intstr.FromString(p.name)).WithProtocol(corev1.ProtocolTCP)
}

// nodesService gives every pod a name, also before it is ready: nodes must find each other to become ready.
func nodesService(c *v1alpha1.UnibusCluster) *applycorev1.ServiceApplyConfiguration {
	spec := applycorev1.ServiceSpec().
		WithClusterIP(corev1.ClusterIPNone).
		WithPublishNotReadyAddresses(true).
		WithSelector(Selector(c))
	for _, p := range ports() {
		spec.WithPorts(servicePort(p))
	}
	return applycorev1.Service(c.NodesServiceName(), c.Namespace).
		WithLabels(labels(c, node)).
		WithOwnerReferences(owner(c)).
		WithSpec(spec)
}

// clientService is for clients, and leads to ready pods only.
func clientService(c *v1alpha1.UnibusCluster) *applycorev1.ServiceApplyConfiguration {
	e := c.Spec.Expose
	nats, api := servicePort(ports()[0]), servicePort(ports()[1])
	nats.NodePort, api.NodePort = e.NATSNodePort, e.APINodePort
	spec := applycorev1.ServiceSpec().
		WithType(e.Type).
		WithSelector(Selector(c)).
		WithPorts(nats, api)
	spec.LoadBalancerClass = e.LoadBalancerClass
	spec.LoadBalancerSourceRanges = e.LoadBalancerSourceRanges
	if e.ExternalTrafficPolicy != "" {
		spec.WithExternalTrafficPolicy(e.ExternalTrafficPolicy)
	}
	return applycorev1.Service(c.ServiceName(), c.Namespace).
		WithLabels(labels(c, client)).
		WithAnnotations(e.Annotations).
		WithOwnerReferences(owner(c)).
		WithSpec(spec)
}
