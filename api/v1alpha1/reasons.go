// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "slices"

// Reasons of conditions.
const (
	ReasonAllInSync          = "AllInSync"
	ReasonStable             = "Stable"
	ReasonPaused             = "Paused"
	ReasonDeleting           = "Deleting"
	ReasonForming            = "Forming"
	ReasonFormed             = "Formed"
	ReasonScalingUp          = "ScalingUp"
	ReasonScalingDown        = "ScalingDown"
	ReasonRolling            = "Rolling"
	ReasonRepairing          = "Repairing"
	ReasonRotating           = "Rotating"
	ReasonGrowingVolumes     = "GrowingVolumes"
	ReasonPodsPending        = "PodsPending"
	ReasonPodsMissing        = "PodsMissing"
	ReasonPodsFailing        = "PodsFailing"
	ReasonMemberNotReady     = "MemberNotReady"
	ReasonNoLeader           = "NoLeader"
	ReasonNoChange           = "NoChange"
	ReasonReplicasBehind     = "ReplicasBehind"
	ReasonReplicasMissing    = "ReplicasMissing"
	ReasonUpToDate           = "UpToDate"
	ReasonConsentNeeded      = "ConsentNeeded"
	ReasonManualRoll         = "ManualRoll"
	ReasonRollPending        = "RollPending"
	ReasonRollStopped        = "RollStopped"
	ReasonCertificatesValid  = "CertificatesValid"
	ReasonCertManagerMissing = "CertManagerMissing"
	ReasonCertificatePending = "CertificatePending"
	ReasonCertificateFailed  = "CertificateFailed"
	ReasonCertificateExpired = "CertificateExpired"
	ReasonIssuerWithoutCA    = "IssuerWithoutCA"
	ReasonAddressPending     = "AddressPending"
	ReasonSecretLost         = "SecretLost"
	ReasonNotOwned           = "NotOwned"
	ReasonApplyRefused       = "ApplyRefused"
	ReasonReconcileError     = "ReconcileError"
	ReasonNotSeen            = "NotSeen"
	ReasonInvalidSpec        = "InvalidSpec"
	ReasonHistoryDoesNotFit  = "HistoryDoesNotFit"
	ReasonVolumesCannotGrow  = "VolumesCannotGrow"
	ReasonQuorumLost         = "QuorumLost"
	ReasonAllDisksLost       = "AllDisksLost"
	ReasonRecordLost         = "RecordLost"
	ReasonFounderDiskLost    = "FounderDiskLost"
	ReasonForeignNode        = "ForeignNode"
	ReasonForeignDisk        = "ForeignDisk"
	ReasonRemovalInDoubt     = "RemovalInDoubt"
	ReasonDataAtRisk         = "DataAtRisk"
	ReasonDiskAtRisk         = "DiskAtRisk"
)

// Reason is what a reason means and what to do about it.
type Reason struct {
	// Name is one of the constants.
	Name string
	// Conditions are the types on which it occurs.
	Conditions []string
	// Means says what the operator has seen; the condition's message names the objects.
	Means string
	// Remedy says what a person does. "Nothing" begins it where the operator goes on by itself.
	Remedy string
}

// Reasons returns the table of all reasons, in the order in which it is to be read. It is a copy.
func Reasons() []Reason { return slices.Clone(reasons) }

const (
	ready       = ConditionReady
	progressing = ConditionProgressing
	degraded    = ConditionDegraded
	stalled     = ConditionStalled
	formed      = ConditionFormed
	certs       = ConditionCertificatesReady
	inSync      = ConditionReplicasInSync
	upgrading   = ConditionUpgrading
)

var reasons = []Reason{
	{ReasonAllInSync, []string{ready, inSync}, "As many members as wished are in sync and serve clients.", "Nothing."},
	{ReasonStable, []string{progressing, degraded, stalled}, "There is nothing to do, to mend or to decide.", "Nothing."},
	{ReasonPaused, []string{ready, progressing, stalled}, "spec.pause is true: the operator reports and changes nothing.",
		"Set spec.pause to false when it may go on."},
	{ReasonDeleting, []string{ready, progressing}, "What a UnibusCluster of this name has left, which was deleted together with its volumes, is still there.",
		"Nothing: it is waited for that Kubernetes has deleted it. If it stays, a finalizer on the object that the message names holds it."},
	{ReasonForming, []string{ready, progressing, formed}, "The first node is being started and founds the cluster.", "Nothing; the message says what is waited for."},
	{ReasonFormed, []string{formed}, "The cluster was founded; status.clusterID is its id for ever.", "Nothing."},
	{ReasonScalingUp, []string{ready, progressing}, "Nodes join, one at a time.", "Nothing. To turn back, set spec.replicas to what it was."},
	{ReasonScalingDown, []string{ready, progressing}, "Nodes are emptied, removed and stopped, one at a time.",
		"Nothing. To turn back, set spec.replicas to what it was; a node that is being removed already leaves first and joins anew."},
	{ReasonRolling, []string{ready, progressing, upgrading}, "Pods are replaced, one at a time, each when all others are in sync.",
		"Nothing. A new spec turns the roll to itself."},
	{ReasonRepairing, []string{ready, progressing, degraded}, "A node was lost with its disk; it is removed, and its place filled anew.",
		"Nothing. A claim that the operator deletes leaves its PersistentVolume behind: delete that once you want nothing of it."},
	{ReasonRotating, []string{progressing, certs}, "A CA is being replaced while both are trusted, or the password of routes while both are accepted; the message says what it waits for.",
		"Nothing. A pod that it waits for and that does not come back stops it: bring its machine back, or delete the pod or Node object if it is gone for good."},
	{ReasonGrowingVolumes, []string{progressing}, "Volumes are being expanded.", "Nothing; the message says for which volume it waits."},

	{ReasonPodsPending, []string{ready, degraded}, "A pod can't be placed, or its volume can't be had.",
		"Look at the events of the pod and of its PersistentVolumeClaim; give machines, a StorageClass, or relax spec.scheduling."},
	{ReasonPodsMissing, []string{ready, degraded, stalled}, "The StatefulSet's controller has not been able to make a pod for half a minute.",
		"Its events say what refuses the pod: kubectl describe statefulset, as the message has it. Mend that: a quota, a policy or webhook, a PriorityClass that does not exist."},
	{ReasonPodsFailing, []string{ready, degraded}, "A pod does not start, or ends again and again.",
		"Read the log of the pod and the message: an image that can't be pulled is corrected in spec.image, a refusal of the node says its remedy."},
	{ReasonMemberNotReady, []string{ready, degraded}, "A member does not answer or is not in sync. It is waited for: silence is not death.",
		"Bring its machine back. If the machine is gone for good delete its Node object; if its disk is, delete its PersistentVolumeClaim and pod, or put the server name " +
			"into the annotation unibus.dev/lost of the UnibusCluster."},
	{ReasonNoLeader, []string{ready, degraded, inSync}, "No node answers as the leader of a majority. Right after a loss this lasts seconds.",
		"If it stays, bring the missing nodes back; see QuorumLost."},
	{ReasonNoChange, []string{stalled}, "The same step has been tried for two minutes, and nothing that is seen has changed.",
		"The message has the step and what stands in its way; the operator keeps trying."},
	{ReasonReplicasBehind, []string{ready, inSync}, "Replicas of streams are still being copied.", "Nothing."},
	{ReasonReplicasMissing, []string{ready, inSync}, "Streams have fewer replicas than there are members.",
		"Nothing: they are raised once all members are in sync. If it stays, a node has no space: enlarge spec.storage.size."},

	{ReasonUpToDate, []string{upgrading}, "All pods are as the spec has them.", "Nothing."},
	{ReasonConsentNeeded, []string{upgrading}, "A newer operator would change the pods; status.plan shows how.",
		"Set spec.updateStrategy.operatorChanges to Roll, or let it wait for your own next change."},
	{ReasonManualRoll, []string{upgrading}, "Pods differ from the spec, and spec.updateStrategy.type is Manual.",
		"Delete one pod, wait until the UnibusCluster is Ready but for this, then the next; the one that leads the meta group last."},
	{ReasonRollPending, []string{ready, upgrading}, "Pods differ from the spec, and have not been replaced yet.", "Nothing; other changes are completed first."},
	{ReasonRollStopped, []string{ready, upgrading, stalled}, "A node that was changed did not come back in sync within spec.updateStrategy.nodeTimeout.",
		"Read the log of the pod that the message names; correct the spec, or set it back: either goes on from here."},

	{ReasonCertificatesValid, []string{certs}, "All certificates are issued, valid and in use.", "Nothing."},
	{ReasonCertManagerMissing, []string{ready, progressing, certs, stalled}, "The API of cert-manager is not installed. Nothing is made without it.",
		"Install cert-manager; the operator goes on by itself."},
	{ReasonCertificatePending, []string{ready, progressing, certs}, "cert-manager has not issued a certificate yet.",
		"Nothing for a minute; then look at the Certificate that the message names with: cmctl status certificate, or kubectl describe."},
	{ReasonCertificateFailed, []string{ready, progressing, certs, stalled}, "cert-manager says that a certificate can't be issued, or the issuer does not exist.",
		"Correct spec.tls, or make the issuer that the message names."},
	{ReasonCertificateExpired, []string{ready, certs, degraded}, "The time of a certificate in use has ended: clients can't enter, or nodes can't connect anew.",
		"See why cert-manager does not renew the Certificate that the message names, and whether clocks are right."},
	{ReasonIssuerWithoutCA, []string{ready, progressing, certs, stalled}, "An issuer gives no CA (ca.crt), so that nobody could know whom it certifies.",
		"Name an issuer that has a CA, or none, in spec.tls.route or spec.tls.client; the message names the Certificate."},
	{ReasonAddressPending, []string{certs}, "An address of the load balancer or of a machine is not known yet, or not in the certificate for clients. Within Kubernetes the bus is reached.",
		"Nothing; if it stays, the environment has no load balancers, or the operator may not see machines: give spec.tls.client.names, or choose another spec.expose.type."},
	{ReasonSecretLost, []string{ready, progressing, degraded, stalled}, "A Secret that was made once is gone or damaged while nodes run with what it held.",
		"Restore it from a backup. Nodes go on meanwhile."},

	{ReasonNotOwned, []string{ready, progressing, stalled}, "An object has the name that the operator needs and is not this cluster's. It was not touched.",
		"Delete or rename the object that the message names, or name the UnibusCluster otherwise."},
	{ReasonApplyRefused, []string{ready, progressing, stalled}, "Kubernetes refuses an object: a quota, a policy, missing rights.",
		"The message has the refusal; mend what it names."},
	{ReasonReconcileError, []string{ready, progressing}, "The operator could not do its work: the API server, or a webhook that it asks, does not answer, or answers with an error.",
		"Nothing when it is soon over: the operator tries again, every 30 seconds at the latest. If it stays, mend what the message names, such as a webhook that does not run."},
	{ReasonNotSeen, []string{degraded, stalled, formed, certs, inSync, upgrading}, "The operator has not come to look at it yet. What was told once stays until it is looked at again.",
		"Nothing; the condition Ready says what stands in the way."},
	{ReasonInvalidSpec, []string{ready, progressing, stalled}, "The spec asks for what can't be, beyond what is refused when it is written.",
		"Correct the field that the message names. What runs is left as it is."},
	{ReasonHistoryDoesNotFit, []string{ready, stalled}, "A history class has no space in the nodes' stores beside the others.",
		"Make classes smaller or spec.storage.size larger."},
	{ReasonVolumesCannotGrow, []string{ready, stalled}, "Kubernetes refuses larger volumes: the StorageClass does not allow it, or a quota. All else goes on.",
		"Set allowVolumeExpansion: true in the StorageClass that the message names, or mend what else it names; the operator asks again every five minutes. " +
			"If the class's driver can't, move users and rooms to a cluster of another class."},

	{ReasonQuorumLost, []string{ready, degraded, stalled}, "So many members are lost that no majority is left. Nothing is touched.",
		"Bring disks back. Only if all members that do not answer are lost for good, with their disks, set the annotation unibus.dev/rescue of the UnibusCluster as the message says: those that are " +
			"left decide alone then, the others are removed and replaced, and what only they had is gone."},
	{ReasonAllDisksLost, []string{ready, degraded, stalled}, "The cluster was founded, and every node answers with an empty disk. Nothing is founded beside what was.",
		"Restore volumes from a backup. To begin empty, delete this UnibusCluster and its ConfigMap <name>-identity, and make it anew."},
	{ReasonRecordLost, []string{ready, progressing, degraded, stalled, formed}, "The ConfigMap <name>-identity is gone or damaged while nodes have identities: who is a member is not known.",
		"Restore it from a backup. It can't be made anew from what the nodes say."},
	{ReasonFounderDiskLost, []string{ready, degraded, stalled}, "The disk that was to found the cluster was lost before founding was done.",
		"Nothing was stored yet: delete this UnibusCluster and its ConfigMap <name>-identity, and make it anew."},
	{ReasonForeignNode, []string{ready, degraded, stalled}, "A node of another cluster answers, or one that the record does not know. Nothing is touched.",
		"Take away the volume or pod that the message names."},
	{ReasonForeignDisk, []string{ready, degraded, stalled}, "A place has a volume that is of another cluster, a copy, or older than what the others know.",
		"Put the right volume in its place, or delete the PersistentVolumeClaim that the message names, so that an empty one is made."},
	{ReasonRemovalInDoubt, []string{ready, degraded, stalled}, "A node may or may not have been removed when another disk was lost.",
		"Bring the lost disk back. Nothing else decides it."},
	{ReasonDataAtRisk, []string{ready, degraded, stalled}, "A disk was lost, and the others do not have all data of the stream that the message names.",
		"Bring the disk back. Otherwise delete that stream, and with it what only the lost disk had; its node is replaced then."},
	{ReasonDiskAtRisk, []string{stalled}, "The PersistentVolumeClaim of a member was deleted, and the operator can't have the disk kept: it goes when the pod ends.",
		"Set persistentVolumeReclaimPolicy of the PersistentVolume that the message names to Retain while the pod runs, or give the operator the right to."},
}
