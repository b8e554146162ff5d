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
	// The password that nodes know each other by.
	// +optional
	RoutePassword *SecretStatus `json:"routePassword,omitempty"`
	// The key by which the operator enters, and the one that signs its orders to nodes.
	// +optional
	Keys *SecretStatus `json:"keys,omitempty"`
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
	// Messages that it has yet to copy, rounded up to the first digit; 0 in sync.
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
	// Number of members that was wished before.
	From int32 `json:"from"`
	// Number of members that is wished; in one that was cancelled, that was.
	To int32 `json:"to"`
	// When it began.
	StartTime metav1.Time `json:"startTime"`
	// When it ended; not set while it is under way.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Running, Completed, Cancelled (it was turned back to where it began) or Failed (something is missing).
	// +kubebuilder:validation:Enum=Running;Completed;Cancelled;Failed
	Result ScalingResult `json:"result"`
	// What each stream held when it began, until it has ended. One that takes the place of another goes on with what was counted first.
	// +optional
	// +listType=map
	// +listMapKey=stream
	Before []StreamCount `json:"before,omitempty"`
	// What was counted before and after; set once it has ended.
	// +optional
	Ledger *Ledger `json:"ledger,omitempty"`
}

// StreamCount is what a stream held at one moment, as its leader said.
type StreamCount struct {
	// Account and name of the stream, with a slash between.
	Stream string `json:"stream"`
	// How many messages it held.
	Messages int64 `json:"messages"`
	// Sequence of the last message that was ever in it. It never goes back, unless something is lost.
	Last int64 `json:"last"`
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

// Ledger compares what all streams held before a change with what they hold after it. It is counted, by sequences: that every message is the same
// is told by unibus cluster ledger, which reads them.
type Ledger struct {
	// Such as "nothing is missing: 12 streams, 48211 messages, 31 keys".
	Verdict string `json:"verdict"`
	// What was there before.
	// +optional
	Before *Count `json:"before,omitempty"`
	// What is there after. What streams drop by their own limits is not missing.
	After Count `json:"after"`
	// Messages that are missing at least. Anything but 0 is a loss.
	Missing int64 `json:"missing"`
	// Streams in which something is missing, and what, ten at most. One that was deleted meanwhile is among them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	MissingIn []string `json:"missingIn,omitempty"`
}

// Count is what all streams hold together.
type Count struct {
	// How many streams there are, those of key-value buckets among them.
	Streams int32 `json:"streams"`
	// How many messages streams hold that are not of a bucket: the history of rooms.
	Messages int64 `json:"messages"`
	// How many keys buckets hold: users, rooms, members and what else is known of them, also keys that were removed a short while ago.
	Keys int64 `json:"keys"`
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
	// Secret with the key of the first admin (key "seed"), the CA and the URLs; not set when spec.admins names others,
	// or somebody has taken the key out, or deleted the Secret.
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
	// When cert-manager is to renew it, or the operator to replace a CA of the cluster's own. Not set for the CA of an issuer of yours.
	// +optional
	RenewalTime *metav1.Time `json:"renewalTime,omitempty"`
	// Which of the cluster's own CAs, one after the other, it is or is issued by; 0 with an issuer of yours.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Where a change of it is: Stable, BothTrusted, Switching or DroppingOld.
	// +optional
	Phase string `json:"phase,omitempty"`
}

// SecretStatus is where the replacement of a secret of the cluster is. The secret itself is in no status.
type SecretStatus struct {
	// Which of the cluster's secrets of this kind, one after the other, is used.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Stable; BothAccepted while nodes come to accept a second one; or Switching while it has taken the first one's place and the former is accepted yet.
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
