// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	buspkg "github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/steering"
)

// TestWaitFor: what has long been waited for is looked at seldom, and often again once something moves.
func TestWaitFor(t *testing.T) {
	m, now := new(memory), time.Now()
	for _, c := range []struct {
		what  string
		after time.Duration
		want  time.Duration
	}{{"demo-0", 0, lookSoon}, {"demo-0", 4 * time.Second, lookSoon}, {"demo-0", time.Minute, 15 * time.Second}, {"demo-0", time.Hour, latest},
		{"demo-1", time.Hour, lookSoon}, {"demo-1", 2 * time.Hour, latest}} {
		p := &pass{memory: m}
		if p.waitFor("route-ca", c.what, now.Add(c.after)); p.again != c.want {
			t.Errorf("%s after %v: %v, want %v", c.what, c.after, p.again, c.want)
		}
	}
}

// TestRotateCAs: the CA of routes and then that of clients are replaced under a writer, by operators that end in the middle of it. No process is restarted and no write fails; certificates are
// not switched before the last node has read whom to trust; and in the end nobody takes what is of the old ones.
func TestRotateCAs(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Replicas = 3
	l := mustLab(t, c, withFuse)
	l.within("three members", ready)
	stop := l.write(l.mustSay(0, 0, 10))
	processes, before, entry := l.processes(), l.controlWithOwn(), l.enter(0)
	for place := range 3 {
		natstest.Within(t, limit, "a node that takes the operator", func() bool { return l.takes(before, place) })
	}

	l.lags[1].Store(true)
	used := l.mustSecret(l.cluster.RouteTLSName())
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "route-ca/1"}
	})
	waits := func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && reason(c, v1alpha1.ConditionCertificatesReady) == v1alpha1.ReasonRotating && reason(c, v1alpha1.ConditionProgressing) == v1alpha1.ReasonRotating &&
			strings.Contains(message(c, v1alpha1.ConditionCertificatesReady), "demo-1 does not take") && phaseOf(c, "route-ca") == phaseBothTrusted
	}
	l.within("a node that lags", waits)
	passes := l.passes.Load()
	natstest.Within(t, limit, "passes that wait", func() bool { return l.passes.Load() >= passes+4 })
	now := l.mustSecret(l.cluster.RouteTLSName())
	if !waits(l.now()) || string(now.Data[corev1.TLSCertKey]) != string(used.Data[corev1.TLSCertKey]) || len(parse(now.Data[caKey])) != 2 {
		t.Errorf("it did not wait, with %d CAs: %s", len(parse(now.Data[caKey])), message(l.now(), v1alpha1.ConditionCertificatesReady))
	}
	l.lags[1].Store(false)
	l.within("the second CA of routes", rotated("route-ca"))
	after := l.controlWithOwn()
	before.nodes = after.nodes // it knows nodes, and they don't know it
	for place := range 3 {
		natstest.Within(t, limit, "the old CA refused", func() bool { return !l.takes(before, place) })
		if !l.takes(after, place) {
			t.Errorf("node %d does not take the operator", place)
		}
	}

	l.change(func(c *v1alpha1.UnibusCluster) { c.Annotations[v1alpha1.AnnotationRotate] = "client-ca/1" })
	l.within("the second CA of clients", rotated("client-ca"))
	said := stop()
	l.expectHeard(2, said) // with the new CA, and no other
	if old, err := buspkg.Connect(l.soonOver(), entry); err == nil {
		old.Close()
		t.Error("who has the old CA only takes a certificate of the new one")
	}
	if !maps.Equal(processes, l.processes()) || l.pods() != 3 {
		t.Errorf("processes were restarted; %d pods were made, want 3", l.pods())
	}
	for _, name := range []string{l.cluster.RouteCAName(1), l.cluster.ClientCAIssuerName(1)} {
		for _, o := range []client.Object{new(certmanagerv1.Certificate), new(certmanagerv1.Issuer)} {
			if err := l.api.Get(t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: name}, o); !apierrors.IsNotFound(err) {
				t.Errorf("%T %s is there: %v", o, name, err)
			}
		}
	}
	l.expectRest()
}

// TestCertificatesFollow: whatever stands in the way of all else, nodes get what cert-manager has issued anew.
func TestCertificatesFollow(t *testing.T) {
	l := mustLab(t, sample(t, "one"))
	l.within("a cluster of one", ready)
	lost := l.mustSecret(l.cluster.KeysSecretName())
	must(t, l.api.Delete(t.Context(), lost))
	l.within("a lost Secret", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonSecretLost
	})
	used := l.mustSecret(l.cluster.ClientTLSName())
	must(t, l.api.Delete(t.Context(), l.mustSecret(l.cluster.ClientCertificateName())))
	natstest.Within(t, limit, "another certificate", func() bool {
		return string(l.mustSecret(l.cluster.ClientTLSName()).Data[corev1.TLSCertKey]) != string(used.Data[corev1.TLSCertKey])
	})
	lost.ResourceVersion, lost.UID = "", ""
	must(t, l.api.Create(t.Context(), lost))
	l.within("a cluster that has it again", ready)
}

// rotated says whether a CA is of its second generation and all is well.
func rotated(name string) func(*v1alpha1.UnibusCluster) bool {
	return func(c *v1alpha1.UnibusCluster) bool {
		for _, s := range c.Status.Certificates {
			if s.Name == name && s.Generation == 2 && s.Phase == phaseStable {
				return ready(c) && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionCertificatesReady)
			}
		}
		return false
	}
}

func phaseOf(c *v1alpha1.UnibusCluster, name string) string {
	for _, s := range c.Status.Certificates {
		if s.Name == name {
			return s.Phase
		}
	}
	return ""
}

// processes are those of the nodes.
func (l *lab) processes() map[int]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[int]any{}
	for place, node := range l.nodes {
		out[place] = node
	}
	return out
}

func (l *lab) mustSecret(name string) *corev1.Secret {
	l.t.Helper()
	s := new(corev1.Secret)
	must(l.t, l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: name}, s))
	return s
}

// controlWithOwn returns who enters with the certificate that the operator uses now, and knows nodes by all CAs that there have been.
func (l *lab) controlWithOwn() *credentials {
	l.t.Helper()
	a := &credentials{own: materialOf(l.mustSecret(l.cluster.OperatorTLSName())), name: l.cluster.RouteName()}
	a.nodes = a.own.cas
	for _, name := range []string{l.cluster.RouteCAName(1), l.cluster.RouteCAName(2)} {
		s := new(corev1.Secret)
		if err := l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: name}, s); err == nil {
			a.nodes = append(a.nodes, parse(s.Data[corev1.TLSCertKey])...)
		}
	}
	return a
}

// takes says whether a node answers who enters with a certificate.
func (l *lab) takes(a *credentials, place int) bool {
	l.t.Helper()
	config, _, err := a.tls()
	must(l.t, err)
	control := steering.NewControl(config, l.Dial)
	defer control.Close()
	_, err = control.Status(l.t.Context(), "https://"+l.address(place, int(manifests.ControlPort())))
	return err == nil
}

// soonOver is a context for what is to fail.
func (l *lab) soonOver() context.Context {
	ctx, cancel := context.WithTimeout(l.t.Context(), steering.StatusLimit)
	l.t.Cleanup(cancel)
	return ctx
}
