// SPDX-License-Identifier: Apache-2.0

// Package policy tells what the NetworkPolicies of a cluster let through, where nothing enforces them.
package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ErrDenied is returned for traffic that policies stop.
var ErrDenied = errors.New("denied")

// Traffic is what a policy is asked about. Each end is NAMESPACE/POD, or the address of something outside of the cluster.
type Traffic struct {
	From, To string
	Port     int
	Protocol corev1.Protocol
}

// Check returns nil for traffic that the policies of the cluster let through, and for other traffic ErrDenied, with the
// names of the policies that stop it.
func Check(ctx context.Context, client kubernetes.Interface, t Traffic) error {
	source, _, err := end(ctx, client, t.From)
	if err != nil {
		return err
	}
	destination, pod, err := end(ctx, client, t.To)
	if err != nil {
		return err
	}
	list, err := client.NetworkingV1().NetworkPolicies("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var policies []*networkingv1.NetworkPolicy
	for i := range list.Items {
		policies = append(policies, &list.Items[i])
	}
	judged := matcher.BuildNetworkPolicies(false, policies).IsTrafficAllowed(&matcher.Traffic{
		Source: source, Destination: destination, ResolvedPort: t.Port, ResolvedPortName: portName(pod, t), Protocol: t.Protocol,
	})
	return errors.Join(denied(t.From+" may not send", judged.Egress), denied(t.To+" may not receive", judged.Ingress))
}

// end returns one end of traffic; the pod is nil for an address.
func end(ctx context.Context, client kubernetes.Interface, text string) (*matcher.TrafficPeer, *corev1.Pod, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		return &matcher.TrafficPeer{IP: address.String()}, nil, nil
	}
	namespace, name, ok := strings.Cut(text, "/")
	if !ok {
		return nil, nil, fmt.Errorf("%q: use NAMESPACE/POD, or an address outside of the cluster", text)
	}
	pod, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	if pod.Status.PodIP == "" {
		return nil, nil, fmt.Errorf("%s has no address yet: try again when it runs", text)
	}
	in, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	return &matcher.TrafficPeer{IP: pod.Status.PodIP, Internal: &matcher.InternalPeer{
		Namespace: namespace, NamespaceLabels: in.Labels, PodLabels: pod.Labels}}, pod, nil
}

// portName returns how the receiving pod calls the port; policies may do so too.
func portName(pod *corev1.Pod, t Traffic) string {
	if pod == nil {
		return ""
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if int(port.ContainerPort) == t.Port && (port.Protocol == t.Protocol || port.Protocol == "" && t.Protocol == corev1.ProtocolTCP) {
				return port.Name
			}
		}
	}
	return ""
}

func denied(what string, judged *matcher.DirectionResult) error {
	if judged.IsAllowed() {
		return nil
	}
	var names []string
	for _, target := range judged.DenyingTargets {
		for _, policy := range target.SourceRules {
			names = append(names, policy.Namespace+"/"+policy.Name)
		}
	}
	return fmt.Errorf("%s: %w by NetworkPolicy %s", what, ErrDenied, strings.Join(names, ", "))
}
