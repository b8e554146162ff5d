// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestVolumeFillsAndGrows writes as a user that is not root: kubelet gives the volume to the pod's group.
func TestVolumeFillsAndGrows(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustClaim("data", "standard", "256Mi")
	s.mustPod("writer", keeping("data"))
	pods := s.awaitReady("writer")
	s.mustExec("writer", "put", "/data/kept", "kept")
	full := s.mustFill("writer", "/data/full")
	expectAbout(t, full, 256)

	s.mustKubectl("patch", "pvc", "data", "-p", `{"spec":{"resources":{"requests":{"storage":"512Mi"}}}}`)
	eventually(t, "the claim has grown", func(ctx context.Context) error {
		claim, err := client.CoreV1().PersistentVolumeClaims(s.name).Get(ctx, "data", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if has := claim.Status.Capacity[corev1.ResourceStorage]; has.Cmp(resource.MustParse("512Mi")) != 0 {
			return fmt.Errorf("it has %s", has.String())
		}
		return nil
	})
	expectAbout(t, full+s.mustFill("writer", "/data/more"), 512)
	if got := s.mustExec("writer", "cat", "/data/kept"); got != "kept" {
		t.Errorf("after growth the volume has %q", got)
	}
	if after := s.mustGet("writer"); after.UID != pods["writer"].UID || after.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Error("the pod restarted to see its volume grow")
	}
	s.expectReclaimed("data", "writer")
}

func (s space) mustFill(pod, path string) int {
	s.t.Helper()
	full, err := strconv.Atoi(s.mustExec(pod, "fill", path))
	if err != nil {
		s.t.Fatal(err)
	}
	return full
}

func expectAbout(t *testing.T, got, want int) {
	t.Helper()
	if got < want*95/100 || got > want*105/100 {
		t.Errorf("%d MiB went in before ENOSPC, want about %d", got, want)
	}
}

// expectReclaimed deletes a claim and its pod, and wants the volume to go.
func (s space) expectReclaimed(claim, pod string) {
	s.t.Helper()
	got, err := client.CoreV1().PersistentVolumeClaims(s.name).Get(s.t.Context(), claim, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.mustKubectl("delete", "pod/"+pod, "pvc/"+claim)
	eventually(s.t, "volume "+got.Spec.VolumeName+" goes", func(ctx context.Context) error {
		_, err := client.CoreV1().PersistentVolumes().Get(ctx, got.Spec.VolumeName, metav1.GetOptions{})
		if err == nil {
			return errNotYet
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func TestVolumeIsRetained(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustClaim("data", "standard-retain", "256Mi")
	s.mustPod("first", keeping("data"))
	s.awaitReady("first")
	s.mustExec("first", "put", "/data/kept", "kept")
	claim, err := client.CoreV1().PersistentVolumeClaims(s.name).Get(t.Context(), "data", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	volume := claim.Spec.VolumeName
	s.mustKubectl("delete", "pod/first", "pvc/data")
	awaitPhase(t, volume, corev1.VolumeReleased)

	// As an administrator brings a retained volume back: free it, and ask for it by name.
	mustDevcluster(t, "kubectl", "patch", "pv", volume, "-p", `{"spec":{"claimRef":null}}`)
	awaitPhase(t, volume, corev1.VolumeAvailable)
	s.mustClaim("again", "standard-retain", "256Mi", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = volume })
	s.mustPod("second", keeping("again"))
	s.awaitReady("second")
	if got := s.mustExec("second", "cat", "/data/kept"); got != "kept" {
		t.Errorf("the retained volume has %q", got)
	}
	mustDevcluster(t, "kubectl", "patch", "pv", volume, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	s.expectReclaimed("again", "second")
}

func awaitPhase(t *testing.T, volume string, want corev1.PersistentVolumePhase) {
	t.Helper()
	eventually(t, fmt.Sprintf("volume %s is %s", volume, want), func(ctx context.Context) error {
		got, err := client.CoreV1().PersistentVolumes().Get(ctx, volume, metav1.GetOptions{})
		if err == nil && got.Status.Phase != want {
			err = fmt.Errorf("it is %s", got.Status.Phase)
		}
		return err
	})
}

func TestClaimThatCannotBeMet(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustClaim("data", "standard", "256Mi", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	})
	s.mustPod("writer", keeping("data"))
	eventually(t, "an event says why", func(ctx context.Context) error {
		events, err := client.CoreV1().Events(s.name).List(ctx, metav1.ListOptions{FieldSelector: "reason=ProvisioningFailed"})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if strings.Contains(e.Message, "ask for ReadWriteOnce") {
				return nil
			}
		}
		return errNotYet
	})
}
