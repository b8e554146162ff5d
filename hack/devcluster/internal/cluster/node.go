// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
)

//go:embed files
var files embed.FS

func (c *Cluster) nodeSpec(n int) machine.Spec {
	name := network.NodeName(n)
	return machine.Spec{Name: name, Dir: c.path(name), Cgroup: c.cgroup() + "/" + name}
}

// node returns the processes of a node.
func (c *Cluster) node(n int) []part {
	name, address := network.NodeName(n), network.Node(n)
	return []part{
		c.part("", "containerd", "--config", c.path(name, "containerd.toml")),
		c.part("http://"+address+":10248/healthz", "kubelet",
			"--config="+c.path(name, "kubelet.yaml"), "--kubeconfig="+c.pki(name+".kubeconfig"),
			"--hostname-override="+name, "--node-ip="+address),
		c.part("http://"+address+":10256/healthz", "kube-proxy", "--config="+c.path(name, "kube-proxy.yaml")),
	}
}

// writeNode writes the files that a node's processes read.
func (c *Cluster) writeNode(n int) error {
	name := network.NodeName(n)
	values := map[string]string{
		"Dir": c.path(name), "Name": name, "Address": network.Node(n), "Pods": network.NodePods(n), "AllPods": network.Pods,
		"DNS": network.DNS, "Pki": c.path("pki"), "Runc": c.Tools.Path("runc"), "CNI": c.Tools.Dir("cni"), "Pause": PauseImage,
		"ServingCert": c.pki(name + "-serving.crt"), "ServingKey": c.pki(name + "-serving.key"), "CA": c.pki("ca.crt"),
		"ProxyConfig": c.pki("kube-proxy.kubeconfig"), "Shims": c.Tools.Dir("containerd"),
	}
	for _, file := range []string{"containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "cni/10-ptp.conflist", "resolv.conf"} {
		text, err := render("files/node/"+file, values)
		if err != nil {
			return err
		}
		if err := write(c.path(name, file), text); err != nil {
			return err
		}
	}
	return nil
}

func render(file string, values any) (string, error) {
	t, err := template.New(file[strings.LastIndexByte(file, '/')+1:]).Option("missingkey=error").ParseFS(files, file)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return b.String(), nil
}
