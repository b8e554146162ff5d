// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Types of conditions. Ready and Stalled are those that tools which follow kstatus look at.
const (
	// ConditionReady is True when as many members as wished are in sync, serve clients, and nothing of this generation is left to do.
	ConditionReady = "Ready"
	// ConditionProgressing is True while the operator changes something, or waits for something that it has changed.
	ConditionProgressing = "Progressing"
	// ConditionDegraded is True when something is lost or broken, whether the bus serves without it or not.
	ConditionDegraded = "Degraded"
	// ConditionStalled is True when nothing goes on before a person acts. Its message says what to do.
	ConditionStalled = "Stalled"
	// ConditionFormed is True once the cluster was founded.
	ConditionFormed = "Formed"
	// ConditionCertificatesReady is True when all certificates are issued, valid and in use.
	ConditionCertificatesReady = "CertificatesReady"
	// ConditionReplicasInSync is True when every stream has all of its replicas, in sync.
	ConditionReplicasInSync = "ReplicasInSync"
	// ConditionUpgrading is True while pods are changed, and while a change of pods waits.
	ConditionUpgrading = "Upgrading"
)

// Annotations by which a person says what can't be a field: words for one occasion.
const (
	// AnnotationLost names server names, separated by commas, that are lost with their disks for good. Names of pods or volumes are no
	// such: another server has them next. The word can't be taken back: a disk that comes back all the same is wiped before it is used.
	AnnotationLost = "unibus.dev/lost"
	// AnnotationRescue gives up the members that are lost for good when no majority is left, by the word that Stalled has, which is good for that
	// emergency alone: those that are left decide alone then, and what only the lost ones had is gone.
	AnnotationRescue = "unibus.dev/rescue"
	// AnnotationRotate asks for a new CA, password or keys when its value changes: route-ca, client-ca, route-password or keys, then "/" and any text.
	AnnotationRotate = "unibus.dev/rotate"
	// AnnotationRestart has all nodes restarted, one at a time, when its value changes.
	AnnotationRestart = "unibus.dev/restart"
)

// Labels of all that the operator makes.
const (
	// LabelName is the name of the application, LabelNameValue.
	LabelName      = "app.kubernetes.io/name"
	LabelNameValue = "unibus"
	// LabelInstance is the name of the UnibusCluster.
	LabelInstance = "app.kubernetes.io/instance"
	// LabelManagedBy is LabelManagedByValue.
	LabelManagedBy      = "app.kubernetes.io/managed-by"
	LabelManagedByValue = "unibus-operator"
	// LabelComponent says what an object is for.
	LabelComponent = "app.kubernetes.io/component"
)

// FieldOwner owns the fields of all that the operator applies.
const FieldOwner = "unibus-operator"
