// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API unibus.dev/v1alpha1: what a person writes down of a cluster and what the operator says of it. The names of
// all that the operator makes for a cluster are here too, and the table of what its conditions mean.
//
// A cluster needs Kubernetes LowestKubernetes at least: older ones don't know all functions that the rules of this API use.
//
// +kubebuilder:object:generate=true
// +groupName=unibus.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

//go:generate go tool -modfile=../../go.tools.mod controller-gen object:headerFile=../../hack/boilerplate.go.txt crd paths=. output:crd:artifacts:config=../../config/crd/bases
//go:generate cp ../../config/crd/bases/unibus.dev_unibusclusters.yaml ../../charts/unibus-operator/files/crd.yaml

// LowestKubernetes is the oldest version of Kubernetes that takes this API.
const LowestKubernetes = "1.30"

// GroupVersion is the group and version of this API.
var GroupVersion = schema.GroupVersion{Group: "unibus.dev", Version: "v1alpha1"}

// AddToScheme makes the types of this API known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &UnibusCluster{}, &UnibusClusterList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
