// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// UnibusClusterStatus is what the operator has seen of a cluster.
type UnibusClusterStatus struct {
	// The metadata.generation that all of this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Ready, Progressing, Degraded, Stalled, Formed, CertificatesReady, ReplicasInSync and Upgrading. Tools that follow kstatus take Ready
	// for done, Stalled for failed, and all else for being under way.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// The cluster's id, made once when it is founded. While it is here nothing is founded a second time.
	// +optional
	ClusterID string `json:"clusterID,omitempty"`
	// How many nodes there are, whatever their state.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// How many members are in sync and serve clients.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`
	// Labels by which the pods are selected, for kubectl scale and autoscalers.
	// +optional
	Selector string `json:"selector,omitempty"`
	// Version that all members run, empty while they differ.
	// +optional
	Version string `json:"version,omitempty"`
	// The nodes of the cluster, by place.
	// +optional
	// +listType=map
	// +listMapKey=serverName
	Members []MemberStatus `json:"members,omitempty"`
	// Replicas of the streams as they are, and as wished.
	// +optional
	Replication *ReplicationStatus `json:"replication,omitempty"`
	// The last change of the number of nodes, the one under way included.
	// +optional
	LastScaling *ScalingStatus `json:"lastScaling,omitempty"`
	// Where the bus is reached, and what is needed to enter it.
	// +optional
	Endpoints *EndpointsStatus `json:"endpoints,omitempty"`
	// The certificates in use.
	// +optional
	// +listType=map
	// +listMapKey=name
	Certificates []CertificateStatus `json:"certificates,omitempty"`
	// The next steps, before they are taken; empty when there is nothing to do.
	// +optional
	// +listType=atomic
	Plan []PlannedStep `json:"plan,omitempty"`
}

// MemberStatus is one node.
type MemberStatus struct {
	// Name of the server. It belongs to one disk for ever.
	ServerName string `json:"serverName"`
	// Name of the pod where it was last seen.
	// +optional
	Pod string `json:"pod,omitempty"`
	// Id of its disk.
	// +optional
	DiskID string `json:"diskID,omitempty"`
	// Version that it runs.
	// +optional
	Version string `json:"version,omitempty"`
	// Where it is in its life: ordered, member, leaving or removing.
	// +optional
	Phase string `json:"phase,omitempty"`
	// Whether it is in sync and serves clients.
	// +optional
	Ready bool `json:"ready,omitempty"`
	// Messages that it has yet to copy; 0 in sync.
	// +optional
	Lag int64 `json:"lag,omitempty"`
	// Whether it leads the meta group, which knows members and streams.
	// +optional
	LeadsMeta bool `json:"leadsMeta,omitempty"`
	// How many streams it leads.
	// +optional
	LeadsStreams int32 `json:"leadsStreams,omitempty"`
}

// ReplicationStatus compares the replicas of streams with what is wished.
type ReplicationStatus struct {
	// Such as "3/3, 12 of 12 streams in sync".
	// +optional
	Summary string `json:"summary,omitempty"`
	// How many replicas each stream is to have.
	// +optional
	Wanted int32 `json:"wanted,omitempty"`
	// How many replicas the stream with the fewest has.
	// +optional
	Least int32 `json:"least,omitempty"`
	// How many streams there are.
	// +optional
	Streams int32 `json:"streams,omitempty"`
	// How many streams have all replicas that they are to have, in sync.
	// +optional
	InSync int32 `json:"inSync,omitempty"`
}

// ScalingStatus is a change of the number of nodes, with what it kept.
type ScalingStatus struct {
	// Number of members before.
	From int32 `json:"from"`
	// Number of members that are wished.
	To int32 `json:"to"`
	// When it began.
	StartTime metav1.Time `json:"startTime"`
	// When it ended; not set while it is under way.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Running, Completed, Cancelled or Failed (something is missing).
	// +kubebuilder:validation:Enum=Running;Completed;Cancelled;Failed
	Result ScalingResult `json:"result"`
	// What was counted before and after; set once it has ended.
	// +optional
	Ledger *Ledger `json:"ledger,omitempty"`
}

// ScalingResult is how a change of the number of nodes ended.
type ScalingResult string

// How a change of the number of nodes ended.
const (
	ScalingRunning   ScalingResult = "Running"
	ScalingCompleted ScalingResult = "Completed"
	ScalingCancelled ScalingResult = "Cancelled"
	ScalingFailed    ScalingResult = "Failed"
)

// Ledger compares what all streams held before a change with what they hold after it.
type Ledger struct {
	// Such as "nothing lost: 12 streams, 48211 messages".
	Verdict string `json:"verdict"`
	// Streams that were compared.
	// +optional
	Streams int32 `json:"streams,omitempty"`
	// Messages that were there before and are there after.
	// +optional
	Messages int64 `json:"messages,omitempty"`
	// Messages that the streams' own limits removed meanwhile, as they should.
	// +optional
	Dropped int64 `json:"dropped,omitempty"`
	// Messages that are missing or have changed. Anything but 0 is a loss.
	// +optional
	Lost int64 `json:"lost,omitempty"`
	// Consumers whose acknowledgements went back.
	// +optional
	Consumers int32 `json:"consumers,omitempty"`
	// Streams in which something is missing, account and name, ten at most.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Missing []string `json:"missing,omitempty"`
}

// EndpointsStatus says where the bus is reached.
type EndpointsStatus struct {
	// URL for NATS clients within the Kubernetes cluster.
	// +optional
	NATS string `json:"nats,omitempty"`
	// URL of the HTTP API within the Kubernetes cluster.
	// +optional
	API string `json:"api,omitempty"`
	// URLs for NATS clients outside of it.
	// +optional
	// +listType=atomic
	ExternalNATS []string `json:"externalNATS,omitempty"`
	// URLs of the HTTP API outside of it.
	// +optional
	// +listType=atomic
	ExternalAPI []string `json:"externalAPI,omitempty"`
	// Secret with the key of the first admin (key "seed"), the CA and the URLs; not set when spec.admins names others.
	// +optional
	AdminSecret string `json:"adminSecret,omitempty"`
	// ConfigMap with the CA of the clients' certificates (key "ca.crt").
	// +optional
	CAConfigMap string `json:"caConfigMap,omitempty"`
}

// CertificateStatus is a certificate in use.
type CertificateStatus struct {
	// route, route-ca, client, client-ca or operator.
	Name string `json:"name"`
	// When its time ends.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
	// When it is to be renewed.
	// +optional
	RenewalTime *metav1.Time `json:"renewalTime,omitempty"`
	// Which of the cluster's own CAs, one after the other, it is or is issued by; 0 with an issuer of yours.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Where a change of it is: Stable, BothTrusted, Switching or DroppingOld.
	// +optional
	Phase string `json:"phase,omitempty"`
}

// PlannedStep is a step that is to come, and the cluster after it.
type PlannedStep struct {
	// What will be done.
	Do string `json:"do"`
	// Why.
	// +optional
	Why string `json:"why,omitempty"`
	// Members after the step.
	// +optional
	Members int32 `json:"members,omitempty"`
	// How many of them must answer.
	// +optional
	Quorum int32 `json:"quorum,omitempty"`
	// How many of them may be lost at a time.
	// +optional
	Spare int32 `json:"spare,omitempty"`
	// Whether it waits for consent in the spec.
	// +optional
	NeedsConsent bool `json:"needsConsent,omitempty"`
}
