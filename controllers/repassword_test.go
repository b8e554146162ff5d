// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/steering"
)

// TestRotateRoutePassword: the password of routes is replaced under a writer, while the cluster grows from one node to three. It is not dialled with
// before the last node accepts it, also not by those who join meanwhile; each pod is replaced once; and in the end nodes know no other.
func TestRotateRoutePassword(t *testing.T) {
	l := mustLab(t, sample(t, "one"), withFuse)
	l.within("a cluster of one", ready)
	stop := l.write(l.mustSay(0, 0, 10))
	former := string(l.mustSecret(l.cluster.RouteSecretName()).Data[manifests.RouteSecretKey])

	l.lags[0].Store(true)
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "route-password/1"}
	})
	waits := func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && reason(c, v1alpha1.ConditionProgressing) == v1alpha1.ReasonRotating && strings.Contains(message(c, v1alpha1.ConditionProgressing), "demo-0 does not accept both") &&
			c.Status.RoutePassword.Phase == phaseBothAccepted
	}
	l.within("a node that lags", waits)
	l.scale(3)
	grown := l.within("three members, one of which lags", waits)
	now := l.mustSecret(l.cluster.RouteSecretName())
	next := string(now.Data[manifests.RouteSecretAlsoKey])
	if string(now.Data[manifests.RouteSecretKey]) != former || next == "" || next == former || l.pods() != 3 {
		t.Errorf("it did not wait; %d pods were made", l.pods())
	}

	l.lags[0].Store(false)
	l.within("another password", func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && *c.Status.RoutePassword == v1alpha1.SecretStatus{Generation: 2, Phase: phaseStable}
	})
	said := stop()
	l.expectHeard(2, said)
	after := l.within("all at rest", ready)
	if names(after) != names(grown) || l.pods() != 6 {
		t.Errorf("members: %s in %d pods, want %s in 6", names(after), l.pods(), names(grown))
	}
	now = l.mustSecret(l.cluster.RouteSecretName())
	if string(now.Data[manifests.RouteSecretKey]) != next || len(now.Data[manifests.RouteSecretAlsoKey]) != 0 {
		t.Error("the Secret does not hold the new password alone")
	}
	for place := range 3 {
		natstest.Within(t, limit, "a node that knows no other", func() bool { return l.knowsOnly(place, next) })
	}
	l.expectRest()
}

// TestRotateRoutePasswordOfOne: a lone node is started anew, as with any change of pods, and has what it had.
func TestRotateRoutePasswordOfOne(t *testing.T) {
	l := mustLab(t, sample(t, "one"), withFuse)
	l.within("a cluster of one", ready)
	said := l.mustSay(0, 0, 10)
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "route-password/1"}
	})
	l.within("another password", func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && *c.Status.RoutePassword == v1alpha1.SecretStatus{Generation: 2, Phase: phaseStable}
	})
	l.expectHeard(0, said)
	if l.pods() != 2 {
		t.Errorf("%d pods were made, want 2", l.pods())
	}
	next := string(l.mustSecret(l.cluster.RouteSecretName()).Data[manifests.RouteSecretKey])
	natstest.Within(t, limit, "a node that knows no other", func() bool { return l.knowsOnly(0, next) })
}

// knowsOnly says whether a node dials with a password, and accepts no other.
func (l *lab) knowsOnly(place int, password string) bool {
	l.t.Helper()
	config, _, err := l.controlWithOwn().tls()
	must(l.t, err)
	control := steering.NewControl(config, l.Dial)
	defer control.Close()
	s, err := control.Status(l.t.Context(), "https://"+l.address(place, int(manifests.ControlPort())))
	if err != nil || s.RouteSecrets == nil {
		return false
	}
	mark := v1.SecretMark(password, s.Nonce)
	return s.RouteSecrets.Dials == mark && slices.Equal(s.RouteSecrets.Accepts, []string{mark})
}
