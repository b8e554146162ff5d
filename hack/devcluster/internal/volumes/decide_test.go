// SPDX-License-Identifier: Apache-2.0

package volumes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func claimOf(change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	class := "standard"
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "data", UID: "u1", Annotations: map[string]string{
			annotationProvisioner: Provisioner, annotationSelectedNode: "node-2",
		}},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: sized("1Gi")}},
	}
	for _, c := range change {
		c(claim)
	}
	return claim
}

func sized(size string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
}

func bind(claim *corev1.PersistentVolumeClaim) {
	claim.Spec.VolumeName = "pvc-u1"
	claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: sized("1Gi")}
}

func ask(size string) func(*corev1.PersistentVolumeClaim) {
	return func(claim *corev1.PersistentVolumeClaim) { claim.Spec.Resources.Requests = sized(size) }
}

func volumeOf(phase corev1.PersistentVolumePhase, policy corev1.PersistentVolumeReclaimPolicy, size string) *corev1.PersistentVolume {
	volume := build("pvc-u1", "/volumes/pvc-u1", resource.MustParse(size), claimOf(), policy)
	volume.Status.Phase = phase
	return volume
}

func TestDecide(t *testing.T) {
	const keep, drop = corev1.PersistentVolumeReclaimRetain, corev1.PersistentVolumeReclaimDelete
	foreign := volumeOf(corev1.VolumeReleased, drop, "1Gi")
	foreign.Annotations[annotationProvisionedBy] = "somebody/else"
	tests := map[string]struct {
		volume *corev1.PersistentVolume
		claim  *corev1.PersistentVolumeClaim
		want   step
	}{
		"nothing at all": {nil, nil, nothing},
		"chosen":         {nil, claimOf(), provision},
		"no node yet":    {nil, claimOf(func(c *corev1.PersistentVolumeClaim) { delete(c.Annotations, annotationSelectedNode) }), nothing},
		"of another provisioner": {nil, claimOf(func(c *corev1.PersistentVolumeClaim) { c.Annotations[annotationProvisioner] = "other" }),
			nothing},
		"going":                {nil, claimOf(func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &metav1.Time{} }), nothing},
		"asks for a volume":    {nil, claimOf(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "mine" }), nothing},
		"without a class":      {nil, claimOf(func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil }), nothing},
		"asks for too much":    {nil, claimOf(func(c *corev1.PersistentVolumeClaim) { c.Spec.AccessModes[0] = corev1.ReadWriteMany }), refuse},
		"made, not bound":      {volumeOf(corev1.VolumeAvailable, drop, "1Gi"), claimOf(), nothing},
		"bound":                {volumeOf(corev1.VolumeBound, drop, "1Gi"), claimOf(bind), nothing},
		"asks for more":        {volumeOf(corev1.VolumeBound, drop, "1Gi"), claimOf(bind, ask("2Gi")), enlarge},
		"claim not told":       {volumeOf(corev1.VolumeBound, drop, "2Gi"), claimOf(bind, ask("2Gi")), enlarge},
		"asked a byte more":    {volumeOf(corev1.VolumeBound, drop, "1Gi"), claimOf(bind, ask("1073741825")), enlarge},
		"asked for little":     {volumeOf(corev1.VolumeBound, drop, "1Gi"), claimOf(bind, ask("1Mi")), nothing},
		"released, delete":     {volumeOf(corev1.VolumeReleased, drop, "1Gi"), nil, reclaim},
		"released, retain":     {volumeOf(corev1.VolumeReleased, keep, "1Gi"), nil, nothing},
		"released by another":  {foreign, nil, nothing},
		"claim of its own":     {volumeOf(corev1.VolumeBound, drop, "1Gi"), claimOf(bind, ask("2Gi"), func(c *corev1.PersistentVolumeClaim) { c.UID = "u2" }), nothing},
		"failed, not released": {volumeOf(corev1.VolumeFailed, drop, "1Gi"), nil, nothing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := decide(test.volume, test.claim); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	for name, change := range map[string]func(*corev1.PersistentVolumeClaim){
		"block":       func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block },
		"shared":      func(c *corev1.PersistentVolumeClaim) { c.Spec.AccessModes[0] = corev1.ReadOnlyMany },
		"selector":    func(c *corev1.PersistentVolumeClaim) { c.Spec.Selector = &metav1.LabelSelector{} },
		"data source": func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSource = &corev1.TypedLocalObjectReference{} },
	} {
		if refusal(claimOf(change)) == "" {
			t.Errorf("%s is not refused", name)
		}
	}
	if why := refusal(claimOf()); why != "" {
		t.Errorf("a plain claim is refused: %s", why)
	}
}

func TestSizeOf(t *testing.T) {
	for asked, want := range map[string]string{"1": "256Mi", "256Mi": "256Mi", "300M": "287Mi", "1Gi": "1Gi", "1073741825": "1025Mi"} {
		got := sizeOf(claimOf(ask(asked)))
		if got.String() != want {
			t.Errorf("asked for %s: got %s, want %s", asked, got.String(), want)
		}
	}
}

func TestBuildPinsTheVolumeToItsNodeAndClaim(t *testing.T) {
	got := build("pvc-u1", "/volumes/pvc-u1", resource.MustParse("1Gi"), claimOf(), corev1.PersistentVolumeReclaimRetain)
	want := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-u1", Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": "devcluster.unibus.dev/loop"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: sized("1Gi"), AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"}, StorageClassName: "standard",
			PersistentVolumeReclaimPolicy: "Retain",
			ClaimRef:                      &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "apps", Name: "data", UID: "u1"},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/volumes/pvc-u1"}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/hostname", Operator: "In", Values: []string{"node-2"}}},
			}}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
