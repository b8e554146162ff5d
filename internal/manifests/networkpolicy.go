// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applynetworkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

func bareNetworkPolicy(c *v1alpha1.UnibusCluster) *applynetworkingv1.NetworkPolicyApplyConfiguration {
	return applynetworkingv1.NetworkPolicy(c.NetworkPolicyName(), c.Namespace)
}

// networkPolicy says who may connect: nodes to each other, the operator to all but routes, clients to their ports. What goes out is not
// restricted: nodes look up names, and where DNS is differs.
func networkPolicy(c *v1alpha1.UnibusCluster, in Inputs) (*applynetworkingv1.NetworkPolicyApplyConfiguration, error) {
	clients, err := peers("clients", c.Spec.NetworkPolicy.Clients)
	if err != nil {
		return nil, err
	}
	metrics, err := peers("metrics", c.Spec.NetworkPolicy.Metrics)
	if err != nil {
		return nil, err
	}
	nodes := applynetworkingv1.NetworkPolicyPeer().WithPodSelector(metav1.LabelSelector().WithMatchLabels(Selector(c)))
	operator := applynetworkingv1.NetworkPolicyPeer().
		WithNamespaceSelector(metav1.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: in.OperatorNamespace})).
		WithPodSelector(metav1.LabelSelector().WithMatchLabels(in.OperatorLabels))
	return bareNetworkPolicy(c).
		WithLabels(labels(c, node)).
		WithOwnerReferences(owner(c)).
		WithSpec(applynetworkingv1.NetworkPolicySpec().
			WithPodSelector(metav1.LabelSelector().WithMatchLabels(Selector(c))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(
				applynetworkingv1.NetworkPolicyIngressRule().WithFrom(nodes).WithPorts(policyPorts(portRoutes)...),
				applynetworkingv1.NetworkPolicyIngressRule().WithFrom(operator).WithPorts(policyPorts(portControl, portNATS, portAPI, portHTTP)...),
				applynetworkingv1.NetworkPolicyIngressRule().WithFrom(clients...).WithPorts(policyPorts(portNATS, portAPI)...),
				applynetworkingv1.NetworkPolicyIngressRule().WithFrom(metrics...).WithPorts(policyPorts(portHTTP)...),
			)), nil
}

func policyPorts(names ...string) (out []*applynetworkingv1.NetworkPolicyPortApplyConfiguration) {
	for _, name := range names {
		out = append(out, applynetworkingv1.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromString(name)))
	}
	return out
}

// peers of none are everybody.
func peers(where string, from []networkingv1.NetworkPolicyPeer) (out []*applynetworkingv1.NetworkPolicyPeerApplyConfiguration, err error) {
	for i := range from {
		p, err := as[applynetworkingv1.NetworkPolicyPeerApplyConfiguration](from[i])
		if err != nil {
			return nil, fmt.Errorf("spec.networkPolicy.%s[%d]: %w", where, i, err)
		}
		out = append(out, p)
	}
	return out, nil
}
