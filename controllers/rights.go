// SPDX-License-Identifier: Apache-2.0

package controllers

// What the operator may do, generated into config/rbac. Tests run it with no more than this.
//
//go:generate go tool -modfile=../go.tools.mod controller-gen rbac:roleName=unibus-operator paths=. output:rbac:artifacts:config=../config/rbac
//go:generate cp ../config/rbac/role.yaml ../config/rbac/leader_election.yaml ../config/rbac/view_role.yaml ../config/policy/deletion.yaml ../charts/unibus-operator/files/
//
// +kubebuilder:rbac:groups=unibus.dev,resources=unibusclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=unibus.dev,resources=unibusclusters/status,verbs=patch
//
// Owners that hold their deletion up until their objects are gone need this where Kubernetes asks for it (OpenShift does).
// +kubebuilder:rbac:groups=unibus.dev,resources=unibusclusters/finalizers,verbs=update
//
// Secrets are read by name, never listed. None is deleted: where Kubernetes asks whether one may delete what one gives an owner, as OpenShift does,
// the key of the first admin could not end with its cluster otherwise.
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;update;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups="",resources=services;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=list;watch;patch;delete
// A namespace that is deleted takes volumes with it that are to go with their cluster.
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch;create;patch;delete
//
// Volumes and machines are in no namespace. Without these it is not seen that a machine is gone, nor at which addresses machines are reached.
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list
//
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificates;issuers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=podmonitors,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
