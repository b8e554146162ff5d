// SPDX-License-Identifier: Apache-2.0

package build

// What is built beside the parts of Kubernetes, whose versions, and those of etcd, CoreDNS and cert-manager, are in
// go.mod. Each is a program that its own module pins the rest of.
const (
	containerdVersion = "v2.4.2"
	runcVersion       = "v1.5.2"
	cniVersion        = "v1.9.1"
	helmVersion       = "v4.3.1"
)

// step is one thing that is built, into a folder of its own.
type step struct {
	name string
	// took is about what a first build takes, for who waits.
	took string
	// packages are installed with `go install`, as module@version.
	packages []string
	// cgo and tags are for the compiler.
	cgo  bool
	tags string
	// source is the folder of this module that the step builds; it depends on go.mod and go.sum then.
	source string
	// aliases are names by which the program that is built is called too.
	aliases []string
}

var steps = []step{
	{
		name: "components", source: "components", took: "11 minutes",
		aliases: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
			"kubectl", "coredns", "cert-manager"},
	},
	{name: "containerd", took: "2 minutes", packages: []string{
		"github.com/containerd/containerd/v2/cmd/containerd@" + containerdVersion,
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@" + containerdVersion,
		"github.com/containerd/containerd/v2/cmd/ctr@" + containerdVersion,
	}},
	{name: "runc", took: "20 seconds", cgo: true, tags: "seccomp", packages: []string{"github.com/opencontainers/runc@" + runcVersion}},
	{name: "cni", took: "20 seconds", packages: []string{
		"github.com/containernetworking/plugins/plugins/main/ptp@" + cniVersion,
		"github.com/containernetworking/plugins/plugins/main/loopback@" + cniVersion,
		"github.com/containernetworking/plugins/plugins/ipam/host-local@" + cniVersion,
		"github.com/containernetworking/plugins/plugins/meta/portmap@" + cniVersion,
	}},
	{name: "pause", source: "pause", took: "2 seconds"},
	{name: "helm", took: "2 to 4 minutes", packages: []string{"helm.sh/helm/v4/cmd/helm@" + helmVersion}},
}
