// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UnibusCluster is a message bus of one, three or five nodes that keep the same data. It grows and shrinks in place: change
// spec.replicas, or use kubectl scale. Without more than a size of storage it is a bus that the holder of the Secret <name>-admin can enter.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:shortName=ubc,categories={all,unibus}
// +kubebuilder:printcolumn:name="Wanted",type=integer,JSONPath=`.spec.replicas`,description="Members that are wished"
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.readyReplicas`,description="Members that are in sync and serve clients"
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`,description="Version that all members run"
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why the cluster is ready, or is not"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Replication",type=string,priority=1,JSONPath=`.status.replication.summary`,description="Replicas of the streams as they are, and as wished"
// +kubebuilder:printcolumn:name="Next",type=string,priority=1,JSONPath=`.status.plan[0].do`,description="The next step"
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 52",message="metadata.name: 52 characters at most, since names of pods and Services are made of it; choose a shorter one"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name: lower-case letters, digits and '-', a letter first and no '-' at the end, since it becomes the name of a Service"
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.endsWith('-nodes')",message="metadata.name: may not end in -nodes, since another cluster's Service may be called so; choose another"
type UnibusCluster struct {
	metav1.TypeMeta `json:",inline"`
	// Standard metadata of the object. The name becomes part of all names that the operator makes: 52 characters at most.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What is wished of the cluster.
	Spec UnibusClusterSpec `json:"spec"`
	// What the operator has seen of the cluster. Nobody else writes it.
	// +optional
	Status UnibusClusterStatus `json:"status,omitempty"`
}

// UnibusClusterList is a list of clusters.
//
// +kubebuilder:object:root=true
type UnibusClusterList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard metadata of the list.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// The clusters.
	Items []UnibusCluster `json:"items"`
}

// UnibusClusterSpec is what is wished of a cluster.
//
// +kubebuilder:validation:XValidation:rule="!has(self.image) || !has(self.version)",message="image and version can't both be given: image says the version already; take one of them away",fieldPath=".version",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.jetStream) || !has(self.jetStream.maxStoreSize) || (isQuantity(self.jetStream.maxStoreSize) && isQuantity(self.storage.size) && quantity(self.jetStream.maxStoreSize).compareTo(quantity(self.storage.size)) <= 0)",message="maxStoreSize must be at most storage.size, the volume that it is on; make the volume larger first",fieldPath=".jetStream.maxStoreSize",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.jetStream) || !has(self.jetStream.historyClasses) || !self.jetStream.historyClasses.all(c, isQuantity(c.maxSize)) || !isQuantity(self.storage.size) || self.jetStream.historyClasses.map(c, quantity(c.maxSize).asApproximateFloat()).sum() <= 0.875 * (has(self.jetStream.maxStoreSize) ? quantity(self.jetStream.maxStoreSize).asApproximateFloat() : 0.75 * quantity(self.storage.size).asApproximateFloat())",message="the classes together are larger than seven eighths of the store, which is jetStream.maxStoreSize, or three quarters of storage.size; make them smaller or storage.size larger",fieldPath=".jetStream.historyClasses",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.jetStream) || !has(self.jetStream.historyClasses) || !has(self.limits) || !has(self.limits.maxPayload) || !isQuantity(self.limits.maxPayload) || self.jetStream.historyClasses.all(c, !has(c.maxMessageSize) || !isQuantity(c.maxMessageSize) || quantity(c.maxMessageSize).compareTo(quantity(self.limits.maxPayload)) <= 0)",message="maxMessageSize of a class must be at most limits.maxPayload, the largest message that nodes take",fieldPath=".jetStream.historyClasses",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !has(self.tls.route) || !has(self.tls.client) || !has(self.tls.route.issuerRef) || !has(self.tls.client.issuerRef) || self.tls.route.issuerRef.name != self.tls.client.issuerRef.name || self.tls.route.issuerRef.kind != self.tls.client.issuerRef.kind || self.tls.route.issuerRef.group != self.tls.client.issuerRef.group",message="the CA of clients must not be that of routes, whose certificates open routes between nodes and the control endpoint; name another issuer, or none",fieldPath=".tls.client.issuerRef",reason=FieldValueForbidden
type UnibusClusterSpec struct {
	// How many nodes the cluster has: 1, 3 or 5. An even number survives no more losses than the one below it. The cluster grows and
	// shrinks in place, and set back in the middle of a change it turns back. Default: 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="self in [1, 3, 5]",message="1, 3 or 5 nodes: with an even number as many losses are fatal as with one less"
	Replicas int32 `json:"replicas,omitempty"`

	// Image of the nodes, such as registry.example.com/unibus/membershipd:1.2.0 or one with a digest. Changing it rolls the nodes, one
	// at a time. Default: the image that the operator names for its version; see version.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$')",message="no reference of an image, such as registry.example.com/unibus/membershipd:1.2.0"
	Image string `json:"image,omitempty"`
	// When nodes pull the image: Always, IfNotPresent or Never. Default: as Kubernetes does, by the image's tag.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// Secrets of this namespace with credentials for the image's registry.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []SecretReference `json:"imagePullSecrets,omitempty"`
	// Version of the nodes, such as 1.2.0: the tag of the operator's own image of nodes. Default: that of the operator which made the
	// cluster. A newer operator changes it only by consent; see updateStrategy.operatorChanges.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.-]+)?$')",message="a version such as 1.2.0, without a v in front"
	Version string `json:"version,omitempty"`

	// The volume of each node.
	Storage StorageSpec `json:"storage"`
	// What the nodes' stores hold and how durable it is.
	// +optional
	// +kubebuilder:default={}
	JetStream JetStreamSpec `json:"jetStream,omitempty"`
	// Bounds of what clients may use.
	// +optional
	// +kubebuilder:default={}
	Limits LimitsSpec `json:"limits,omitempty"`
	// How certificates are made. Needs cert-manager.
	// +optional
	// +kubebuilder:default={}
	TLS TLSSpec `json:"tls,omitempty"`
	// Public nkeys ("U...", 56 characters) of the first admins, who may make users and rooms; they are entered while the bus has no such
	// admin. Default: a key is made once, and the Secret <name>-admin holds it with the CA and the address.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('S'))",message="admins: a seed (S...) is secret and must not be here; give its public half (U...), and make a new key if others may have read this",reason=FieldValueForbidden
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.startsWith('S') || k.matches('^U[A-Z2-7]{55}$'))",message="admins: a public nkey of a user has 56 characters, U first, then A to Z and 2 to 7, as printed by: unibus key"
	Admins []string `json:"admins,omitempty"`
	// How clients reach the bus.
	// +optional
	// +kubebuilder:default={}
	Expose ExposeSpec `json:"expose,omitempty"`
	// CPU and memory of a node. Changing it rolls the nodes, one at a time. Default: requests of 100m and 256Mi, no limits.
	// +optional
	// +kubebuilder:default={}
	Resources ResourcesSpec `json:"resources,omitempty"`
	// Where nodes run.
	// +optional
	// +kubebuilder:default={}
	Scheduling SchedulingSpec `json:"scheduling,omitempty"`
	// What pods are to have beside what the operator gives them, laid over that as kubectl patch does (strategic merge). It can't
	// weaken the pods' security and can't mount Secrets. Changing it rolls the nodes, one at a time.
	// +optional
	PodTemplate *PodTemplatePatch `json:"podTemplate,omitempty"`
	// How Prometheus finds the nodes.
	// +optional
	// +kubebuilder:default={}
	Monitoring MonitoringSpec `json:"monitoring,omitempty"`
	// Who may connect to the pods, as far as the cluster's network enforces it.
	// +optional
	// +kubebuilder:default={}
	NetworkPolicy NetworkPolicySpec `json:"networkPolicy,omitempty"`
	// Form and level of the nodes' log. Changing it rolls the nodes, one at a time.
	// +optional
	// +kubebuilder:default={}
	Log LogSpec `json:"log,omitempty"`
	// Let the operator do nothing for this cluster but report its status. What is under way stops at the next step. Default: false.
	// +optional
	// +kubebuilder:default=false
	Pause bool `json:"pause,omitempty"`
	// How changes reach running nodes.
	// +optional
	// +kubebuilder:default={}
	UpdateStrategy UpdateStrategySpec `json:"updateStrategy,omitempty"`
	// Refuse to delete this UnibusCluster until this is false again. It needs the admission policy of the operator's chart. Default: false.
	// +optional
	// +kubebuilder:default=false
	DeletionProtection bool `json:"deletionProtection,omitempty"`
}

// SecretReference names a Secret of the same namespace.
type SecretReference struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// UpdateStrategySpec says how changes reach running nodes.
type UpdateStrategySpec struct {
	// Rolling: the operator changes one node at a time, each only when all others are in sync, the one that leads last. Manual: it
	// changes a node when its pod is deleted by somebody else. Default: Rolling.
	// +optional
	// +kubebuilder:default=Rolling
	// +kubebuilder:validation:Enum=Rolling;Manual
	Type UpdateType `json:"type,omitempty"`
	// What happens to changes of pods that come from a newer operator, not from this spec. WithNextRoll: they wait until this spec
	// changes pods anyway, and status.plan shows them. Roll: they are rolled out at once. Default: WithNextRoll.
	// +optional
	// +kubebuilder:default=WithNextRoll
	// +kubebuilder:validation:Enum=WithNextRoll;Roll
	OperatorChanges OperatorChanges `json:"operatorChanges,omitempty"`
	// How long a node that was changed may take to be in sync again before the roll stops and says so: hours, minutes and seconds,
	// 1m at least. Default: 15m.
	// +optional
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && duration(self) >= duration('1m')",message="a duration of hours, minutes and seconds such as 15m; 1m at least"
	NodeTimeout *metav1.Duration `json:"nodeTimeout,omitempty"`
}

// UpdateType says who changes pods.
type UpdateType string

// OperatorChanges says when changes that come from a newer operator reach pods.
type OperatorChanges string

// The ways in which changes reach running nodes.
const (
	UpdateRolling UpdateType = "Rolling"
	UpdateManual  UpdateType = "Manual"

	OperatorChangesWithNextRoll OperatorChanges = "WithNextRoll"
	OperatorChangesRoll         OperatorChanges = "Roll"
)
