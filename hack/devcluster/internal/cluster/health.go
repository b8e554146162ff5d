// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
	"github.com/unibus/unibus/hack/devcluster/internal/poll"
)

// await returns when a part says that it is well; at once with an error if its process has ended.
func (c *Cluster) await(ctx context.Context, on string, p part) error {
	if p.health == "" {
		return nil
	}
	from := machine.Find(c.path(control))
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := poll.Until(ctx, func() error {
		err := well(ctx, from, p)
		if err == nil {
			return nil
		}
		return cmp.Or(c.dead(on, p.Name), err)
	})
	if err != nil {
		return fmt.Errorf("%s does not answer: %w: %s", p.Name, err, machine.Tail(machine.Log(c.path(on), p.Name)))
	}
	return nil
}

// well asks a part, from the network of the process pid, which is the control plane's.
func well(ctx context.Context, pid int, p part) error {
	if pid == 0 {
		return machine.ErrNotRunning
	}
	client := &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return network.Dial(ctx, pid, address)
			},
			// It is asked whether it lives, not who it is.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.health, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", p.health, answer.Status)
	}
	return nil
}

// dead returns an error without hope if a process has ended or is paused, or the machine that it was on has ended.
func (c *Cluster) dead(on, name string) error {
	states, err := machine.List(c.path(on))
	if err != nil {
		return poll.Hopeless(err)
	}
	for _, s := range states {
		if s.Name != name {
			continue
		}
		if s.Paused {
			return poll.Hopeless(fmt.Errorf("%s on %s is paused: devcluster --name %s node resume %s", name, on, c.Name, on))
		}
		if s.Ended != "" {
			return poll.Hopeless(fmt.Errorf("%s on %s has ended (%s): %s", name, on, s.Ended, machine.Tail(machine.Log(c.path(on), name))))
		}
	}
	return nil
}

// Client returns a client of the API server for the cluster's owner.
func (c *Cluster) Client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// NeedAccount returns an error for a ServiceAccount that does not exist.
func (c *Cluster) NeedAccount(ctx context.Context, namespace, name string) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	_, err = client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	return err
}

// awaitNodes returns when every node is Ready and its kube-proxy has seen all there is.
func (c *Cluster) awaitNodes(ctx context.Context) error {
	for n := 1; n <= c.Config.Nodes; n++ {
		if err := c.awaitNode(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) awaitNode(ctx context.Context, n int) error {
	if c.unheard(n) {
		return fmt.Errorf("node %d is cut off from the control plane: devcluster --name %s node heal %d", n, c.Name, n)
	}
	client, err := c.Client()
	if err != nil {
		return err
	}
	name := network.NodeName(n)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = poll.Until(limited, func() error {
		since, err := c.started(name, "kubelet")
		if err == nil {
			err = ready(limited, client, name, since)
		}
		if err == nil {
			return nil
		}
		var dead error
		for _, p := range c.node(n) {
			dead = errors.Join(dead, c.dead(name, p.Name))
		}
		return cmp.Or(dead, err)
	})
	if err != nil {
		return fmt.Errorf("%s is not Ready: %w; see devcluster logs %s/kubelet", name, err, name)
	}
	for _, p := range c.node(n) {
		if err := c.await(ctx, name, p); err != nil {
			return err
		}
	}
	return nil
}

// started returns when a process was started.
func (c *Cluster) started(on, process string) (time.Time, error) {
	states, err := machine.List(c.path(on))
	if err != nil {
		return time.Time{}, err
	}
	for _, s := range states {
		if s.Name == process {
			return s.Started, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s was not started on %s", process, on)
}

// ready tells whether a node has said since some time that it is ready: what an earlier life of it said is no answer.
// It says so once when kubelet starts, and then only every few minutes.
func ready(ctx context.Context, client kubernetes.Interface, name string, since time.Time) error {
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.LastHeartbeatTime.Time.Before(since.Truncate(time.Second)) {
				break
			}
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return errors.New(condition.Message)
		}
	}
	return errors.New("it has not said anything yet")
}

// awaitObjects returns when there is what controllers make of their own: the storage class, and who pods of the namespace
// default run as.
func (c *Cluster) awaitObjects(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = poll.Until(ctx, func() error {
		_, class := client.StorageV1().StorageClasses().Get(ctx, "standard", metav1.GetOptions{})
		if dead := c.dead(room, "volumes"); class != nil && dead != nil {
			return dead
		}
		_, account := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return errors.Join(class, account)
	})
	if err != nil {
		return fmt.Errorf("what controllers make: %w", err)
	}
	return nil
}
