// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// spaces is what the names of all spaces begin with.
const spaces = "conformance-"

// space is a namespace that is the test's own, and enforces the Pod Security Standard `restricted`: every pod here meets it.
type space struct {
	t    *testing.T
	name string
}

func newSpace(t *testing.T) space {
	t.Helper()
	made, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: spaces, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := space{t, made.Name}
	t.Cleanup(func() {
		if t.Failed() {
			seen, _ := s.kubectl("get", "pods,pvc", "-o", "wide")
			events, _ := s.kubectl("get", "events", "-o", "custom-columns=OF:.involvedObject.name,REASON:.reason,MESSAGE:.message")
			t.Logf("namespace %s:\n%s\n%s", s.name, seen, events)
		}
		if err := client.CoreV1().Namespaces().Delete(context.Background(), s.name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s space) kubectl(args ...string) (string, error) {
	return devcluster(append([]string{"kubectl", "-n", s.name}, args...)...)
}

func (s space) mustKubectl(args ...string) string {
	s.t.Helper()
	out, err := s.kubectl(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s space) apply(yaml string) error {
	_, err := feed(yaml, "kubectl", "-n", s.name, "apply", "--server-side", "-f", "-")
	return err
}

func (s space) mustApply(yaml string) {
	s.t.Helper()
	if err := s.apply(yaml); err != nil {
		s.t.Fatal(err)
	}
}

// exec runs a command of testpod in a pod.
func (s space) exec(pod string, args ...string) (string, error) {
	out, err := s.kubectl(append([]string{"exec", pod, "--", "testpod"}, args...)...)
	return strings.TrimSpace(out), err
}

func (s space) mustExec(pod string, args ...string) string {
	s.t.Helper()
	out, err := s.exec(pod, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// podSpec is a pod that serves, as a non-root user on a read-only root.
func podSpec(change ...func(*corev1.PodSpec)) corev1.PodSpec {
	yes, no, user, grace := true, false, int64(65532), int64(3)
	spec := corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, FSGroup: &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{
			Name: "testpod", Image: image, ImagePullPolicy: corev1.PullNever, Args: []string{"serve"},
			Env: []corev1.EnvVar{{Name: "PATH", Value: "/:/tools"}},
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1, ProbeHandler: corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(8080)}}},
			VolumeMounts: []corev1.VolumeMount{{Name: "tools", MountPath: "/tools"}},
		}},
		Volumes:                       []corev1.Volume{{Name: "tools", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		TerminationGracePeriodSeconds: &grace,
	}
	for _, c := range change {
		c(&spec)
	}
	return spec
}

func onNode(node string) func(*corev1.PodSpec) {
	return func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{corev1.LabelHostname: node} }
}

// keeping mounts a claim as /data.
func keeping(claim string) func(*corev1.PodSpec) {
	return func(p *corev1.PodSpec) {
		p.Volumes = append(p.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}})
		p.Containers[0].VolumeMounts = append(p.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/data"})
	}
}

// mustPod makes a pod with the label app=NAME.
func (s space) mustPod(name string, change ...func(*corev1.PodSpec)) {
	s.t.Helper()
	_, err := client.CoreV1().Pods(s.name).Create(s.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name, "all": "pods"}}, Spec: podSpec(change...),
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s space) mustGet(pod string) *corev1.Pod {
	s.t.Helper()
	got, err := client.CoreV1().Pods(s.name).Get(s.t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// awaitPods waits until each of them is there and ready (or, if not ready, has its container running), and is not the one of an old UID.
func (s space) awaitPods(ready bool, old map[string]types.UID, pods ...string) map[string]*corev1.Pod {
	s.t.Helper()
	found := map[string]*corev1.Pod{}
	eventually(s.t, fmt.Sprintf("pods %v run, ready: %t", pods, ready), func(ctx context.Context) error {
		for _, name := range pods {
			pod, err := client.CoreV1().Pods(s.name).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if pod.UID == old[name] || pod.DeletionTimestamp != nil {
				return fmt.Errorf("%s is still the old pod", name)
			}
			if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Running == nil {
				return fmt.Errorf("%s is %s: %v", name, pod.Status.Phase, pod.Status.ContainerStatuses)
			}
			if ready && !pod.Status.ContainerStatuses[0].Ready {
				return fmt.Errorf("%s is not ready", name)
			}
			found[name] = pod
		}
		return nil
	})
	return found
}

func (s space) awaitReady(pods ...string) map[string]*corev1.Pod {
	s.t.Helper()
	return s.awaitPods(true, nil, pods...)
}

// mustClaim asks for a volume.
func (s space) mustClaim(name, class, size string, change ...func(*corev1.PersistentVolumeClaim)) {
	s.t.Helper()
	claim := claimOf(name, class, size)
	for _, c := range change {
		c(&claim)
	}
	if _, err := client.CoreV1().PersistentVolumeClaims(s.name).Create(s.t.Context(), &claim, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func claimOf(name, class, size string) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}}}
}

// mustService makes a Service of port 80 to the pods with a label.
func (s space) mustService(name, key, value string, change func(*corev1.ServiceSpec)) *corev1.Service {
	s.t.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{key: value}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}}}
	change(&service.Spec)
	made, err := client.CoreV1().Services(s.name).Create(s.t.Context(), service, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

func headless(publish bool) func(*corev1.ServiceSpec) {
	return func(spec *corev1.ServiceSpec) {
		spec.ClusterIP, spec.PublishNotReadyAddresses = corev1.ClusterIPNone, publish
	}
}

// mustSet makes a StatefulSet whose pods have a volume each and shun each other's nodes. They are ready when /data/ready is there.
func (s space) mustSet(name string, replicas int32, policy appsv1.PodManagementPolicyType) {
	s.t.Helper()
	labels := map[string]string{"app": name}
	spec := podSpec(func(p *corev1.PodSpec) {
		p.Containers[0].Env = append(p.Containers[0].Env, corev1.EnvVar{Name: "READY", Value: "/data/ready"})
		p.Containers[0].VolumeMounts = append(p.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/data"})
		p.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels}}}}}
	})
	_, err := client.AppsV1().StatefulSets(s.name).Create(s.t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: "members", PodManagementPolicy: policy, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template:             corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{claimOf("data", "standard", "256Mi")},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s space) mustScale(set string, replicas int) {
	s.t.Helper()
	s.mustKubectl("scale", "statefulset", set, fmt.Sprintf("--replicas=%d", replicas))
}

// expectFailure wants an error that says something.
func expectFailure(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got error %v, want one that says %q", err, says)
	}
}

func readiness(node corev1.Node) corev1.ConditionStatus {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return "Missing"
}

var errNotYet = errors.New("not yet")
