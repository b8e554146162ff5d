// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/daemonconfig"
	"github.com/unibus/unibus/internal/manifests"
)

// The pods pass the Pod Security Standard "restricted", whatever is laid over them.
func TestRestricted(t *testing.T) {
	judge, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "three", "issuers", "template"} {
		template := find[appsv1.StatefulSet](t, mustObjects(t, sample(t, name), inputs()), "StatefulSet").Spec.Template
		for _, r := range judge.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &template.ObjectMeta, &template.Spec) {
			if !r.Allowed {
				t.Errorf("%s: %s: %s", name, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		for _, container := range template.Spec.Containers {
			if s := container.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				t.Errorf("%s: %s can write its file system", name, container.Name)
			}
		}
		if *template.Spec.AutomountServiceAccountToken || *template.Spec.EnableServiceLinks {
			t.Errorf("%s: pods have a token or links", name)
		}
	}
}

// A patch is laid over the node's container and brings others; it does not reach what the operator's own.
func TestPatch(t *testing.T) {
	template := find[appsv1.StatefulSet](t, mustObjects(t, sample(t, "template"), inputs()), "StatefulSet").Spec.Template
	if len(template.Spec.Containers) != 2 || template.Labels["team"] != "chat" || template.Labels[v1alpha1.LabelInstance] != "patched" {
		t.Fatalf("containers %d, labels %v", len(template.Spec.Containers), template.Labels)
	}
	var nodes, other corev1.Container
	for _, container := range template.Spec.Containers {
		if container.Name == v1alpha1.NodeContainer {
			nodes = container
		} else {
			other = container
		}
	}
	variables := map[string]string{}
	for _, e := range nodes.Env {
		variables[e.Name] = e.Value
	}
	if variables["GOMEMLIMIT"] != "900MiB" || variables["UNIBUS_ADVERTISE"] == "" || nodes.Image != inputs().Image {
		t.Errorf("the node's container is %s, with %v", nodes.Image, variables)
	}
	for _, m := range other.VolumeMounts {
		i := slices.IndexFunc(template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 || template.Spec.Volumes[i].Secret != nil {
			t.Errorf("%s mounts %s", other.Name, m.Name)
		}
	}
}

// The API refuses patches that use the names of the operator's volumes and ports: it must know all of them.
func TestReserved(t *testing.T) {
	spec := find[appsv1.StatefulSet](t, mustObjects(t, sample(t, "one"), inputs()), "StatefulSet").Spec
	names := []string{spec.VolumeClaimTemplates[0].Name}
	for _, v := range spec.Template.Spec.Volumes {
		names = append(names, v.Name)
	}
	reserved := []string{"data", "config", "identity", "route-secret", "route-tls", "client-tls"} // as the rule at VolumePatch has them
	if !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(reserved))) {
		t.Errorf("volumes are %v, reserved are %v", names, reserved)
	}
	var ports []int32
	for _, p := range spec.Template.Spec.Containers[0].Ports {
		ports = append(ports, p.ContainerPort)
	}
	slices.Sort(ports)
	if !slices.Equal(ports, []int32{4222, 6222, 6223, 8222, 8223}) {
		t.Errorf("ports are %v; correct the rule at ContainerPatch", ports)
	}
}

// What the node is given is what it reads, and its guard takes it.
func TestNodeTakesConfiguration(t *testing.T) {
	for _, name := range []string{"one", "three", "issuers", "template"} {
		c, in := sample(t, name), inputs()
		objects := mustObjects(t, c, in)
		config, err := daemonconfig.Parse([]byte(find[corev1.ConfigMap](t, objects, "ConfigMap").Data["membershipd.yaml"]))
		if err != nil {
			t.Fatal(err)
		}
		container := find[appsv1.StatefulSet](t, objects, "StatefulSet").Spec.Template.Spec.Containers[0]
		known := map[string]bool{}
		for _, s := range daemonconfig.Settings() {
			known[s.Env()] = true
		}
		for _, e := range container.Env {
			if strings.HasPrefix(e.Name, "UNIBUS_") && !known[e.Name] {
				t.Errorf("%s: the node does not know %s", name, e.Name)
			}
		}
		config.Advertise = c.PodHost(0)
		if err := config.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Contains(config.Routes, config.RouteURL()) || len(config.Routes) != v1alpha1.MaxReplicas {
			t.Errorf("%s: the node's own route %s is not among %v", name, config.RouteURL(), config.Routes)
		}
		for _, file := range []string{config.ClusterPassFile, config.RouteTLSCert, config.TLSKey, config.IdentityRecord} {
			if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(file, m.MountPath+"/") }) {
				t.Errorf("%s: nothing is mounted at %s", name, file)
			}
		}
	}
}

// Names, labels and DNS names of a cluster with a name of maximal length are within Kubernetes' limits.
func TestLongest(t *testing.T) {
	c := sample(t, "one")
	c.Name, c.Namespace = strings.Repeat("n", v1alpha1.MaxNameLength), strings.Repeat("s", 63)
	objects := mustObjects(t, c, inputs())
	for _, o := range objects {
		limit := validation.IsDNS1123Subdomain
		if *o.GetKind() == "Service" {
			limit = validation.IsDNS1035Label
		}
		if problems := limit(*o.GetName()); problems != nil {
			t.Errorf("%s %s: %v", *o.GetKind(), *o.GetName(), problems)
		}
	}
	revision := c.StatefulSetName() + "-" + strings.Repeat("0", 10)
	for _, label := range []string{revision, c.PodName(4), c.Name} {
		if problems := validation.IsValidLabelValue(label); problems != nil {
			t.Errorf("label %s: %v", label, problems)
		}
	}
	certificate := find[certmanagerv1.Certificate](t, objects, "Certificate")
	if n := len(certificate.Spec.CommonName); n > 64 {
		t.Errorf("common name of %d characters", n)
	}
	if problems := validation.IsDNS1123Subdomain(c.PodHost(4)); problems != nil || validation.IsDNS1123Subdomain(c.RouteName()) != nil {
		t.Errorf("host: %v", problems)
	}
}

// names are all names of a cluster's objects, those of what is made elsewhere included, by kind.
func names(t *testing.T, c *v1alpha1.UnibusCluster) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, o := range mustObjects(t, c, inputs()) {
		all[*o.GetKind()+"/"+*o.GetName()] = true
		if *o.GetKind() == "Certificate" {
			all["Secret/"+*o.GetName()] = true
		}
	}
	for _, s := range []string{c.AdminSecretName(), c.KeysSecretName(), c.RouteSecretName(), c.RouteTLSName(), c.ClientTLSName(), c.OperatorTLSName()} {
		all["Secret/"+s] = true
	}
	all["ConfigMap/"+c.IdentityName()], all["ConfigMap/"+c.ClientCAName()] = true, true
	for place := range v1alpha1.MaxReplicas {
		all["Pod/"+c.PodName(place)], all["PersistentVolumeClaim/"+c.ClaimName(place)] = true, true
	}
	return all
}

// No two clusters in a namespace share a name, not even one whose name is what an object of the other is called.
func TestNamesAreNotShared(t *testing.T) {
	first := sample(t, "one")
	ours := names(t, first)
	tried := 0
	for name := range ours {
		_, other, _ := strings.Cut(name, "/")
		for end := len(other); end > len(first.Name); end = strings.LastIndex(other[:end], "-") {
			second := first.DeepCopy()
			second.Name = other[:end]
			if len(second.Name) > v1alpha1.MaxNameLength || strings.HasSuffix(second.Name, "-nodes") || second.Name == first.Name {
				continue // the API refuses these
			}
			tried++
			for theirs := range names(t, second) {
				if ours[theirs] {
					t.Errorf("clusters %s and %s both have %s", first.Name, second.Name, theirs)
				}
			}
		}
	}
	if tried < 15 {
		t.Errorf("only %d names were tried", tried)
	}
}

func TestCertificates(t *testing.T) {
	c, in := sample(t, "three"), inputs()
	in.RouteCA = manifests.Authority{1, 2}
	in.Addresses = []string{"198.51.100.20"}
	leaves, authorities := map[string]*certmanagerv1.Certificate{}, 0
	for _, o := range mustObjects(t, c, in) {
		if *o.GetKind() != "Certificate" {
			continue
		}
		if one := typed[certmanagerv1.Certificate](t, o); one.Spec.IsCA {
			authorities++
		} else {
			leaves[one.Labels[v1alpha1.LabelComponent]] = one
		}
	}
	if authorities != 3 || len(leaves) != 3 {
		t.Fatalf("%d CAs, %d certificates", authorities, len(leaves))
	}
	route, client, operator := leaves["route"].Spec, leaves["client"].Spec, leaves["operator"].Spec
	for place := range v1alpha1.MaxReplicas {
		if !slices.Contains(route.DNSNames, c.PodHost(place)) {
			t.Errorf("the nodes' certificate lacks %s", c.PodHost(place))
		}
	}
	if route.IssuerRef.Name != c.RouteCAName(2) || operator.IssuerRef.Name != c.RouteCAName(2) || client.IssuerRef.Name != c.ClientCAIssuerName(1) {
		t.Errorf("issuers are %s, %s and %s", route.IssuerRef.Name, operator.IssuerRef.Name, client.IssuerRef.Name)
	}
	if slices.Contains(operator.DNSNames, c.RouteName()) || slices.Contains(operator.Usages, certmanagerv1.UsageServerAuth) {
		t.Error("the operator's certificate opens routes")
	}
	for _, want := range []string{"localhost", c.ServiceHost(), "bus.example.com"} {
		if !slices.Contains(client.DNSNames, want) {
			t.Errorf("the certificate for clients lacks %s: %v", want, client.DNSNames)
		}
	}
	for _, want := range []string{"127.0.0.1", "198.51.100.20"} {
		if !slices.Contains(client.IPAddresses, want) {
			t.Errorf("the certificate for clients lacks %s: %v", want, client.IPAddresses)
		}
	}
}

func TestStatefulSet(t *testing.T) {
	objects := mustObjects(t, sample(t, "three"), inputs())
	s := find[appsv1.StatefulSet](t, objects, "StatefulSet")
	keep := s.Spec.PersistentVolumeClaimRetentionPolicy
	got := fmt.Sprintf("%s %s %s %s %d", s.Spec.PodManagementPolicy, s.Spec.UpdateStrategy.Type, keep.WhenScaled, keep.WhenDeleted,
		*s.Spec.Template.Spec.TerminationGracePeriodSeconds)
	if want := "Parallel OnDelete Retain Retain 60"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, p := range []*corev1.Probe{s.Spec.Template.Spec.Containers[0].StartupProbe, s.Spec.Template.Spec.Containers[0].LivenessProbe} {
		if p.HTTPGet.Path != "/livez" {
			t.Errorf("a probe that restarts pods asks %s", p.HTTPGet.Path)
		}
	}
	budget := find[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget")
	for key, value := range s.Spec.Selector.MatchLabels {
		if s.Spec.Template.Labels[key] != value || budget.Spec.Selector.MatchLabels[key] != value {
			t.Errorf("label %s of pods is %q", key, s.Spec.Template.Labels[key])
		}
	}
}
