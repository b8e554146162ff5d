// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"

	"github.com/unibus/unibus/hack/devcluster/internal/certificate"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
)

const masters = "system:masters"

// makeKeys makes every key of the cluster, and every file by which a part reaches the API server.
func (c *Cluster) makeKeys() error {
	ca, err := certificate.New(c.path("pki"))
	if err != nil {
		return err
	}
	serving := certificate.Holder{Name: "kube-apiserver", Hosts: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
		"127.0.0.1", network.Control, network.API,
	}}
	issue := map[string]certificate.Holder{
		"kube-apiserver":     serving,
		"kubelet-client":     {Name: "kube-apiserver-kubelet-client", Groups: []string{masters}},
		"front-proxy-client": {Name: "front-proxy-client"},
		"service-accounts":   {Name: "service-accounts"},
	}
	inside := "https://" + network.Control + ":6443"
	configs := map[string]certificate.Holder{
		"kube-controller-manager": {Name: "system:kube-controller-manager"},
		"kube-scheduler":          {Name: "system:kube-scheduler"},
		"kube-proxy":              {Name: "system:kube-proxy"},
		"coredns":                 {Name: "system:serviceaccount:kube-system:coredns"},
		"cert-manager":            {Name: "devcluster:cert-manager", Groups: []string{masters}},
	}
	for n := 1; n <= c.Config.Nodes; n++ {
		name := network.NodeName(n)
		issue[name+"-serving"] = certificate.Holder{Name: "system:node:" + name, Groups: []string{"system:nodes"}, Hosts: []string{name, network.Node(n)}}
		configs[name] = certificate.Holder{Name: "system:node:" + name, Groups: []string{"system:nodes"}}
	}
	for file, holder := range issue {
		if _, _, err := ca.Issue(file, holder); err != nil {
			return err
		}
	}
	for name, holder := range configs {
		if err := ca.Kubeconfig(c.path("pki", name+".kubeconfig"), inside, holder); err != nil {
			return err
		}
	}
	owner := certificate.Holder{Name: "devcluster", Groups: []string{masters}}
	return ca.Kubeconfig(c.Kubeconfig(), fmt.Sprintf("https://127.0.0.1:%d", c.Config.Port), owner)
}
