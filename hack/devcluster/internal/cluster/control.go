// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strconv"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
)

// The machines of a cluster that are no nodes.
const (
	room    = "room"
	control = "control"
)

// auditPolicy is the file that says which requests the API server writes down.
const auditPolicy = "audit.yaml"

// frontPort is where what runs inside the cluster reaches the API server.
const frontPort = 7443

// part is a process and where it says that it is well.
type part struct {
	machine.Process
	// health is a URL as the control plane reaches it; empty if the process has none.
	health string
}

func (c *Cluster) part(health, name string, args ...string) part {
	return part{machine.Process{Name: name, Args: append([]string{c.Tools.Path(name)}, args...)}, health}
}

func (c *Cluster) controlSpec() machine.Spec {
	return machine.Spec{Name: control, Dir: c.path(control), Cgroup: c.cgroup() + "/" + control}
}

func (c *Cluster) roomSpec() machine.Spec {
	return machine.Spec{Name: room, Dir: c.path(room), Cgroup: c.cgroup() + "/" + room, Outer: true}
}

func (c *Cluster) pki(name string) string { return c.path("pki", name) }

// store and api are first: the others need them.
func (c *Cluster) store() part {
	return c.part("http://127.0.0.1:2379/health", "etcd",
		"--name=devcluster", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=devcluster=http://127.0.0.1:2380")
}

func (c *Cluster) api() part {
	return c.part("https://"+network.Control+":6443/readyz", "kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address="+network.Control, "--bind-address=0.0.0.0", "--secure-port=6443",
		"--service-cluster-ip-range="+network.Services,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--client-ca-file="+c.pki("ca.crt"),
		"--tls-cert-file="+c.pki("kube-apiserver.crt"), "--tls-private-key-file="+c.pki("kube-apiserver.key"),
		"--kubelet-certificate-authority="+c.pki("ca.crt"),
		"--kubelet-client-certificate="+c.pki("kubelet-client.crt"), "--kubelet-client-key="+c.pki("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+c.pki("service-accounts.key"),
		"--service-account-signing-key-file="+c.pki("service-accounts.key"),
		// Needed, as the authority of clients is that of the front proxy too.
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-client-ca-file="+c.pki("ca.crt"), "--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+c.pki("front-proxy-client.crt"), "--proxy-client-key-file="+c.pki("front-proxy-client.key"),
		// There is no kube-proxy on the control plane: webhooks are called at the addresses of their pods.
		"--enable-aggregator-routing",
		"--audit-policy-file="+c.path(auditPolicy), "--audit-log-path="+machine.Log(c.path(control), "audit"),
		"--audit-log-maxsize=100", "--audit-log-maxbackup=1",
		// The endpoint of the Service kubernetes is the front, for what runs inside.
		"--endpoint-reconciler-type=none")
}

// rest are the parts of the control plane that need the API server.
func (c *Cluster) rest(self string) []part {
	return []part{
		c.part("https://127.0.0.1:10257/healthz", "kube-controller-manager",
			"--kubeconfig="+c.pki("kube-controller-manager.kubeconfig"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--use-service-account-credentials", "--flex-volume-plugin-dir=/var/lib/volume-plugins",
			"--root-ca-file="+c.pki("ca.crt"), "--service-account-private-key-file="+c.pki("service-accounts.key"),
			"--cluster-signing-cert-file="+c.pki("ca.crt"), "--cluster-signing-key-file="+c.pki("ca.key")),
		c.part("https://127.0.0.1:10259/healthz", "kube-scheduler",
			"--kubeconfig="+c.pki("kube-scheduler.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1"),
		c.part("http://127.0.0.1:8181/ready", "coredns", "-conf", c.path("Corefile")),
		{machine.Process{Name: "front", Args: []string{self, "internal-front", "--listen", network.Control + ":" + strconv.Itoa(frontPort),
			"--upstream", "https://" + network.Control + ":6443", "--ca", c.pki("ca.crt"),
			"--cert", c.pki("kube-apiserver.crt"), "--key", c.pki("kube-apiserver.key"), "--control", c.Front()}},
			"https://" + network.Control + ":" + strconv.Itoa(frontPort) + "/readyz"},
	}
}

// certManager is there if it is wanted. It needs the definitions of its objects.
func (c *Cluster) certManager() []part {
	if !c.Config.CertManager {
		return nil
	}
	return []part{c.part("http://127.0.0.1:9402/healthz", "cert-manager",
		"--kubeconfig="+c.pki("cert-manager.kubeconfig"), "--listen=127.0.0.1:9402")}
}

// outside are the processes of the room: what the host reaches the cluster by, and what makes volumes. The control plane
// is process pid of the room.
func (c *Cluster) outside(self string, pid int) []part {
	return []part{
		{machine.Process{Name: "forward", Args: []string{self, "internal-forward", "--listen", "127.0.0.1:" + strconv.Itoa(c.Config.Port),
			"--pid", strconv.Itoa(pid), "--to", network.Control + ":6443"}}, ""},
		{machine.Process{Name: "volumes", Args: []string{self, "internal-volumes", "--kubeconfig", c.Kubeconfig(), "--dir", c.path("volumes")}}, ""},
	}
}
