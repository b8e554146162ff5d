// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/crdtest"
)

// least is the least that a person has to write.
const least = `
apiVersion: unibus.dev/v1alpha1
kind: UnibusCluster
metadata: {name: demo, namespace: talk}
spec:
  storage: {size: 10Gi}
`

const (
	publicKey = "UAZ2YQVKKBC6PRBAZAKX4LPBR4JRJBYJHTF6JMBLEY3ZAXD3DMWEVBWG"
	seed      = "SUAOD6SSH5CLBUTPJGMHGK6BS5RXNNBLVYYAMJ6YZGVQAGNPBNRPUDBLTU"
)

// change is one line of a table: a part of a manifest that is laid over another one.
type change struct {
	name, over string
	// field and says are expected of one error; none is expected when field is empty.
	field, says string
}

// laid returns the manifest with a change laid over it: maps are merged, null takes away, all else replaces.
func laid(t *testing.T, manifest, over string) string {
	t.Helper()
	var a, b map[string]any
	for text, into := range map[string]*map[string]any{manifest: &a, over: &b} {
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	out, err := yaml.Marshal(merged(a, b))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		inner, ok := v.(map[string]any)
		had, both := out[k].(map[string]any)
		switch {
		case v == nil:
			delete(out, k)
		case ok && both:
			out[k] = merged(had, inner)
		default:
			out[k] = v
		}
	}
	return out
}

func (c change) judge(t *testing.T, errs field.ErrorList) {
	t.Helper()
	if c.field == "" {
		if len(errs) > 0 {
			t.Errorf("refused: %v", errs)
		}
		return
	}
	if !slices.ContainsFunc(errs, func(err *field.Error) bool {
		return err.Field == c.field && strings.Contains(err.Detail, c.says)
	}) {
		t.Errorf("got %v\nwant one of %s that says %q", errs, c.field, c.says)
	}
}

func TestLeast(t *testing.T) {
	d := crdtest.MustLoad(t, definition)
	var c v1alpha1.UnibusCluster
	d.MustDecode(t, least, &c)
	if errs := d.Create(t, least); len(errs) > 0 {
		t.Fatal(errs)
	}
	if c.Spec.Replicas != 1 || c.Spec.Storage.WhenDeleted != v1alpha1.VolumeRetain || c.Spec.TLS.Route.Duration.Hours() != 2160 ||
		!*c.Spec.NetworkPolicy.Enabled || c.Spec.Resources.Requests.Memory().String() != "256Mi" {
		t.Errorf("defaults are not as documented: %+v", c.Spec)
	}
}

// TestGo: what a program leaves out is not sent, so that it gets the default.
func TestGo(t *testing.T) {
	d := crdtest.MustLoad(t, definition)
	c := v1alpha1.UnibusCluster{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "UnibusCluster"},
		ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: "talk"}}
	c.Spec.Storage.Size.Quantity = resource.MustParse("10Gi")
	c.Spec.JetStream.HistoryClasses = []v1alpha1.HistoryClass{{Name: "kept"}}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if errs := d.Create(t, string(text)); len(errs) > 0 {
		t.Fatalf("%v\n%s", errs, text)
	}
	var got v1alpha1.UnibusCluster
	if d.MustDecode(t, string(text), &got); got.Spec.JetStream.HistoryClasses[0].MaxMessageSize.String() != "64Ki" {
		t.Errorf("not the default: %+v", got.Spec.JetStream.HistoryClasses)
	}
}

func TestSamples(t *testing.T) {
	d := crdtest.MustLoad(t, definition)
	files, err := filepath.Glob(filepath.Join(crdtest.Root(), "config", "samples", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("samples: %v %v", files, err)
	}
	for _, name := range files {
		if filepath.Base(name) == "kustomization.yaml" {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if errs := d.Create(t, string(b)); len(errs) > 0 {
			t.Errorf("%s: %v", filepath.Base(name), errs)
		}
	}
}

func TestCreate(t *testing.T) {
	d := crdtest.MustLoad(t, definition)
	for _, c := range slices.Concat(taken, refusedTop, refusedStore, refusedNetwork, refusedPods) {
		t.Run(c.name, func(t *testing.T) { c.judge(t, d.Create(t, laid(t, least, c.over))) })
	}
	if n := len(refusedTop) + len(refusedStore) + len(refusedNetwork) + len(refusedPods); n < 100 {
		t.Errorf("%d manifests are refused, 100 are promised", n)
	}
}

var taken = []change{
	{name: "nothing more", over: `{}`},
	{name: "longest name", over: `metadata: {name: ` + strings.Repeat("a", 52) + `}`},
	{name: "five", over: `spec: {replicas: 5}`},
	{name: "image with digest", over: `spec: {image: "registry.example.com:5000/unibus/membershipd:1.2.0@sha256:` + strings.Repeat("0a", 32) + `"}`},
	{name: "image by name", over: `spec: {image: membershipd}`},
	{name: "version", over: `spec: {version: 1.2.0-rc.1}`},
	{name: "admin", over: `spec: {admins: [` + publicKey + `]}`},
	{name: "store as large as the volume", over: `spec: {jetStream: {maxStoreSize: 10Gi}}`},
	{name: "classes that just fit", over: `spec: {jetStream: {historyClasses: [{name: a, maxSize: 3Gi}, {name: b, maxSize: 3584Mi}]}}`},
	{name: "class for ever", over: `spec: {jetStream: {historyClasses: [{name: a, maxAge: 0s, publisherRate: 0, roomRate: 0, full: Refuse}]}}`},
	{name: "never cut off", over: `spec: {limits: {cutOffRefuse: 0s, cutOffDrop: 0s}}`},
	{name: "two issuers", over: `spec: {tls: {route: {issuerRef: {name: a}}, client: {issuerRef: {name: a, kind: ClusterIssuer}}}}`},
	{name: "issuer of another API", over: `spec: {tls: {client: {issuerRef: {name: a, kind: AWSPCAIssuer, group: awspca.cert-manager.io}}}}`},
	{name: "names", over: `spec: {tls: {client: {names: ["bus.example.com", "*.bus.example.com", "203.0.113.7", "2001:db8::7"]}}}`},
	{name: "own CAs", over: `spec: {tls: {route: {caDuration: 17520h, duration: 8760h, renewBefore: 720h30m}}}`},
	{name: "balancer", over: `spec: {expose: {type: LoadBalancer, loadBalancerClass: x, loadBalancerSourceRanges: [203.0.113.0/24], externalTrafficPolicy: Local}}`},
	{name: "no requests", over: `spec: {resources: {requests: {}}}`},
	{name: "cpu as number", over: `spec: {resources: {requests: {cpu: 1}, limits: {cpu: 2, memory: 1Gi}}}`},
}
