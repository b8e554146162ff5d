// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

// portSettings are the ports of a node, by the number that they have in a pod: here all pods share one machine.
var portSettings = map[int]string{4222: "UNIBUS_PORT", 8222: "UNIBUS_HTTP_PORT", 8223: "UNIBUS_API_PORT", 6223: "UNIBUS_CONTROL_PORT", 6222: "UNIBUS_CLUSTER_PORT"}

// kubelet runs the pods of one cluster as processes of this machine, from their templates: with the volumes, the configuration and the
// environment that those name. It differs from a real one in this: ports and addresses of pods are mapped to free ports of this machine.
type kubelet struct {
	t           testing.TB
	api         client.Client
	cluster     *v1alpha1.UnibusCluster
	dir         string
	membershipd string
	ports       [v1alpha1.MaxReplicas]map[int]int
	lags        [v1alpha1.MaxReplicas]atomic.Bool // places where what running pods mount stays as it is
	faults

	mu    sync.Mutex
	seen  map[types.UID]bool
	nodes map[int]*proc.Process
	// claims are the UIDs of the claims that pods mount, by the pods' own.
	claims map[types.UID]types.UID
	// holds is true while volumes do not grow yet.
	holds atomic.Bool
	wg    sync.WaitGroup
}

func mustKubelet(t testing.TB, api client.Client, c *v1alpha1.UnibusCluster) *kubelet {
	t.Helper()
	k := &kubelet{t: t, api: api, cluster: c, dir: t.TempDir(), membershipd: plane.bin.Membershipd, seen: map[types.UID]bool{},
		nodes: map[int]*proc.Process{}, claims: map[types.UID]types.UID{}}
	free, err := natstest.FreePorts(len(k.ports) * len(portSettings))
	must(t, err)
	for place := range k.ports {
		k.ports[place] = map[int]int{}
		for number := range portSettings {
			k.ports[place][number], free = free[0], free[1:]
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.wg.Go(func() { k.watch(ctx) })
	t.Cleanup(func() {
		cancel()
		k.wg.Wait()
		if t.Failed() {
			for _, file := range proc.Newest(k.dir, v1alpha1.MaxReplicas) {
				t.Logf("%s said last:\n%s", file, proc.Tail(file, 25))
			}
		}
	})
	return k
}

// Dial connects to a pod's address.
func (k *kubelet) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	for place := range k.ports {
		if host == podIP(place) {
			var number int
			if _, err := fmt.Sscan(port, &number); err != nil {
				return nil, err
			}
			address = k.address(place, number)
		}
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func podIP(place int) string { return fmt.Sprintf("10.244.0.%d", place+1) }

// address is where a port of a pod is on this machine.
func (k *kubelet) address(place, number int) string {
	return fmt.Sprintf("127.0.0.1:%d", k.ports[place][number])
}

// kill ends a node with SIGKILL; its pod starts it again.
func (k *kubelet) kill(place int) {
	k.mu.Lock()
	node := k.nodes[place]
	k.mu.Unlock()
	if node != nil {
		node.Kill()
	}
}

// watch looks after each pod that comes, until ctx ends.
func (k *kubelet) watch(ctx context.Context) {
	for tick(ctx) {
		var pods corev1.PodList
		if err := k.api.List(ctx, &pods, client.InNamespace(k.cluster.Namespace), client.MatchingLabels{v1alpha1.LabelInstance: k.cluster.Name}); err != nil {
			continue // it is stopping, or asked again
		}
		for _, pod := range pods.Items {
			place, ok := ordinal(pod.Name, k.cluster.Name+"-")
			k.mu.Lock()
			fresh := !k.seen[pod.UID]
			k.seen[pod.UID] = true
			k.mu.Unlock()
			if ok && fresh && place < len(k.ports) {
				k.wg.Go(func() { k.run(ctx, place, pod) })
			}
		}
	}
}

// tick waits for a moment and says whether ctx still goes on.
func tick(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// run runs a pod from its binding to its end.
func (k *kubelet) run(ctx context.Context, place int, pod corev1.Pod) {
	if !k.placed(ctx, pod) {
		return
	}
	// Bound pods are deleted as those of a real cluster: only once their process has ended.
	bound := k.api.SubResource("binding").Create(ctx, &pod, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		Target: corev1.ObjectReference{Kind: "Node", Name: "here"}})
	if bound != nil && !apierrors.IsConflict(bound) && ctx.Err() == nil {
		k.t.Errorf("bind %s: %v", pod.Name, bound)
		return
	}
	var node *proc.Process
	stop := func() {
		if node != nil && ctx.Err() != nil {
			node.Kill() // the test is over
		} else if node != nil {
			end, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			_ = node.Stop(end) // what it says is in its log
		}
	}
	defer stop()
	ready := false
	for turn := 0; tick(ctx); turn++ {
		now := new(corev1.Pod)
		if err := k.api.Get(ctx, client.ObjectKeyFromObject(&pod), now); apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID {
			return
		} else if err != nil {
			continue
		}
		if now.DeletionTimestamp != nil {
			stop()
			_ = k.api.Delete(ctx, now, client.GracePeriodSeconds(0), client.Preconditions{UID: &now.UID}) // the next turn sees it
			return
		}
		if turn%10 == 0 && (node == nil || !k.lags[place].Load()) && k.mount(ctx, now) != nil {
			continue // something to be mounted is not there yet
		}
		if strings.HasSuffix(now.Spec.Containers[0].Image, brokenTag) {
			k.tell(ctx, place, now, corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: v1alpha1.NodeContainer,
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such tag"}}}}})
			continue
		}
		if strings.HasSuffix(now.Spec.Containers[0].Image, deafTag) {
			k.tell(ctx, place, now, running(false))
			continue
		}
		if (node == nil || !node.Running()) && k.hung.Load() != pod.UID {
			var err error
			if node, err = k.start(place, now); err != nil {
				k.t.Errorf("start %s: %v", pod.Name, err)
				return
			}
			k.mu.Lock()
			k.nodes[place] = node
			k.mu.Unlock()
		}
		is := answers(ctx, "http://"+k.address(place, 8222)+"/readyz")
		if is != ready || now.Status.PodIP == "" {
			ready = is
			k.tell(ctx, place, now, running(ready))
		}
	}
}

// tell writes a pod's status.
func (k *kubelet) tell(ctx context.Context, place int, pod *corev1.Pod, status corev1.PodStatus) {
	before := pod.DeepCopy()
	pod.Status = status
	pod.Status.PodIP, pod.Status.PodIPs = podIP(place), []corev1.PodIP{{IP: podIP(place)}}
	if err := k.api.Status().Patch(ctx, pod, client.MergeFrom(before)); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
		k.t.Errorf("status of %s: %v", pod.Name, err)
	}
}

// root is the folder that stands for a pod's file system.
func (k *kubelet) root(pod *corev1.Pod) string { return filepath.Join(k.dir, string(pod.UID)) }

// local turns what is written for a pod into what holds on this machine: paths, names of pods and ports of routes.
func (k *kubelet) local(pod *corev1.Pod, text string) string {
	var pairs []string
	for place := range k.ports {
		host := k.cluster.PodHost(place)
		pairs = append(pairs, host+":6222", k.address(place, 6222), host, "127.0.0.1")
	}
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		pairs = append(pairs, m.MountPath, k.path(pod, m))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// path is where a mount is: volumes outlive pods, all else is the pod's own.
func (k *kubelet) path(pod *corev1.Pod, m corev1.VolumeMount) string {
	for _, v := range pod.Spec.Volumes {
		if v.Name == m.Name && v.PersistentVolumeClaim != nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			return filepath.Join(k.dir, "volume-"+string(k.claims[pod.UID]))
		}
	}
	return filepath.Join(k.root(pod), m.MountPath)
}

// mount puts into place what the pod mounts, as it is now.
func (k *kubelet) mount(ctx context.Context, pod *corev1.Pod) error {
	byName := map[string]corev1.Volume{}
	for _, v := range pod.Spec.Volumes {
		byName[v.Name] = v
	}
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		v, files := byName[m.Name], map[string][]byte{}
		get := func(name string, into client.Object) error {
			return k.api.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, into)
		}
		switch {
		case v.PersistentVolumeClaim != nil:
			claim := new(corev1.PersistentVolumeClaim)
			if err := get(v.PersistentVolumeClaim.ClaimName, claim); err != nil {
				return err
			}
			if err := k.provision(ctx, claim); err != nil {
				return err
			}
			k.mu.Lock()
			k.claims[pod.UID] = claim.UID
			k.mu.Unlock()
		case v.Secret != nil:
			secret := new(corev1.Secret)
			if err := get(v.Secret.SecretName, secret); err != nil {
				return err
			}
			files = secret.Data
		case v.ConfigMap != nil:
			cm := new(corev1.ConfigMap)
			if err := get(v.ConfigMap.Name, cm); err != nil && (v.ConfigMap.Optional == nil || !*v.ConfigMap.Optional) {
				return err
			}
			for name, text := range cm.Data {
				files[name] = []byte(text)
			}
		}
		if err := write(k.path(pod, m), files, func(b []byte) []byte { return []byte(k.local(pod, string(b))) }); err != nil {
			return err
		}
	}
	return nil
}

// provision gives a claim the space that it asks for; more than it has only where that is let.
func (k *kubelet) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Status.Phase == corev1.ClaimBound && (k.holds.Load() || equality.Semantic.DeepEqual(claim.Status.Capacity, claim.Spec.Resources.Requests)) {
		return nil
	}
	before := claim.DeepCopy()
	claim.Status.Phase, claim.Status.Capacity = corev1.ClaimBound, claim.Spec.Resources.Requests
	return k.api.Status().Patch(ctx, claim, client.MergeFrom(before))
}

// write writes files into a folder, each whole.
func write(dir string, files map[string][]byte, change func([]byte) []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, b := range files {
		draft := filepath.Join(dir, "."+name)
		if err := os.WriteFile(draft, change(b), 0o440); err != nil {
			return err
		}
		if err := os.Rename(draft, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// start starts the node of a pod as its template says.
func (k *kubelet) start(place int, pod *corev1.Pod) (*proc.Process, error) {
	container := pod.Spec.Containers[0]
	var env, args []string
	for _, e := range container.Env {
		value := strings.ReplaceAll(e.Value, "$(POD_NAME)", pod.Name)
		if e.ValueFrom != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.name" {
			value = pod.Name
		}
		env = append(env, e.Name+"="+k.local(pod, value))
	}
	for number, setting := range portSettings {
		env = append(env, fmt.Sprintf("%s=%d", setting, k.ports[place][number]))
	}
	for _, a := range container.Args {
		args = append(args, k.local(pod, a))
	}
	return proc.Start(proc.Command{Name: pod.Name, Path: k.membershipd, Args: args, Env: env, Log: filepath.Join(k.dir, pod.Name+".log")})
}
