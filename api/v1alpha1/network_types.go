// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ExposeSpec says how clients reach the bus.
//
// +kubebuilder:validation:XValidation:rule="(!has(self.natsNodePort) && !has(self.apiNodePort)) || (has(self.type) && self.type != 'ClusterIP')",message="natsNodePort and apiNodePort are for type NodePort or LoadBalancer",fieldPath=".type",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.natsNodePort) || !has(self.apiNodePort) || self.natsNodePort != self.apiNodePort",message="apiNodePort must be another port than natsNodePort",fieldPath=".apiNodePort",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerClass) || (has(self.type) && self.type == 'LoadBalancer')",message="loadBalancerClass is for type LoadBalancer",fieldPath=".loadBalancerClass",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerSourceRanges) || (has(self.type) && self.type == 'LoadBalancer')",message="loadBalancerSourceRanges are for type LoadBalancer; see networkPolicy.clients for others",fieldPath=".loadBalancerSourceRanges",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || (has(self.type) && self.type != 'ClusterIP')",message="externalTrafficPolicy is for type NodePort or LoadBalancer",fieldPath=".externalTrafficPolicy",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'LoadBalancer' || !has(oldSelf.type) || oldSelf.type != 'LoadBalancer' || (has(self.loadBalancerClass) == has(oldSelf.loadBalancerClass) && (!has(self.loadBalancerClass) || self.loadBalancerClass == oldSelf.loadBalancerClass))",message="Kubernetes does not change the class of a load balancer; set type to ClusterIP first, then to LoadBalancer with the new class",fieldPath=".loadBalancerClass",reason=FieldValueForbidden
type ExposeSpec struct {
	// ClusterIP: within the Kubernetes cluster only. NodePort: at a port of every machine. LoadBalancer: at an address that the
	// environment gives. Addresses, those of the first 16 machines by name, enter the certificate once they are known. Default: ClusterIP.
	// +optional
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type corev1.ServiceType `json:"type,omitempty"`
	// Port of every machine for NATS clients. Default: one that Kubernetes chooses.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	NATSNodePort *int32 `json:"natsNodePort,omitempty"`
	// Port of every machine for the HTTP API. Default: one that Kubernetes chooses.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	APINodePort *int32 `json:"apiNodePort,omitempty"`
	// Class of the load balancer. Default: the environment's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`
	// Networks (such as 203.0.113.0/24) that the load balancer lets in, where it can. Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(r, isCIDR(r))",message="loadBalancerSourceRanges: networks such as 203.0.113.0/24"
	LoadBalancerSourceRanges []string `json:"loadBalancerSourceRanges,omitempty"`
	// Cluster or Local, as of a Service. Default: Cluster.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
	// Annotations of the Service, such as those for the environment's load balancer. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('unibus.dev/'))",message="annotations that begin with unibus.dev/ are the operator's own"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// MonitoringSpec says how Prometheus finds the nodes.
type MonitoringSpec struct {
	// Make a PodMonitor, where the Prometheus operator's API is installed. Default: true.
	// +optional
	// +kubebuilder:default=true
	PodMonitor *bool `json:"podMonitor,omitempty"`
	// How often metrics are read: minutes and seconds, 1s at least. Default: 30s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1s')",message="a duration of minutes and seconds such as 30s; 1s at least"
	Interval *metav1.Duration `json:"interval,omitempty"`
	// Labels of the PodMonitor, by which a Prometheus selects it. Default: none beside the operator's own.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('unibus.dev/') && !k.startsWith('app.kubernetes.io/'))",message="labels that begin with unibus.dev/ or app.kubernetes.io/ are the operator's own"
	Labels map[string]string `json:"labels,omitempty"`
}

// NetworkPolicySpec says who may connect to the pods. Routes between nodes and the control endpoint are never open to others.
type NetworkPolicySpec struct {
	// Make a NetworkPolicy. Default: true.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// Who may connect to the ports for clients, NATS and the HTTP API. Default: everybody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Clients []networkingv1.NetworkPolicyPeer `json:"clients,omitempty"`
	// Who may read metrics and health. Kubelets must be among them where the network enforces policies on probes. Default: everybody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Metrics []networkingv1.NetworkPolicyPeer `json:"metrics,omitempty"`
}
