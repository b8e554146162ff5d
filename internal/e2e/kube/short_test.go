// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/unibus/unibus/api/v1alpha1"
)

// TestShort: the sample cluster goes from one node to three, back and up again while a pod writes, a node is killed in between, and at the
// end nothing that was acknowledged is missing and nothing was restarted but what was killed. Then the sample of a Deployment talks, and specs that can't
// be are told.
func TestShort(t *testing.T) {
	l := mustLab(t)
	t.Cleanup(func() {
		if t.Failed() {
			l.tell()
		}
	})
	sum := l.demo()
	l.step("a Deployment answers", l.echo)
	l.step("specs that can't be", l.wrong)
	t.Logf("acknowledged %d, lost %d, longest gap %v, restarted %d", sum.Acknowledged, sum.Lost, sum.Gap, sum.Restarted)
}

// echo does what config/samples/clients/echo.yaml says, and asks.
func (l *lab) echo() {
	said := l.forwarded(fmt.Sprintf(`unibus user add echo "$(unibus key new --out echo.nk)"
		unibus member add kitchen echo
		kubectl create secret generic -n %[1]s echo --from-file=seed=echo.nk >&2
		sed 's|unibus/unibus:0.1.0|%[2]s/unibus:%[3]s|' %[4]s | kubectl apply -n %[1]s -f - >&2
		kubectl rollout status -n %[1]s deployment/echo --timeout=4m >&2
		for try in {1..100}; do # until they have connected
			if unibus request kitchen 'is anybody there?' --key bob.nk 2> wrong; then exit; fi
			sleep 0.3
		done
		cat wrong >&2
		exit 1`, l.Namespace, l.Images, l.Version, filepath.Join(l.Root, "config", "samples", "clients", "echo.yaml")))
	if !strings.Contains(said, "is anybody there?") {
		l.Errorf("the Deployment answered %q", said)
	}
}

// soon is how long it may take until a spec that can't be is told to be so.
const soon = 5 * time.Second

// wrong applies specs that can't be: each is refused with the field's name, or a condition tells it, soon where nothing but the operator judges.
func (l *lab) wrong() {
	const form = "echo '{apiVersion: unibus.dev/v1alpha1, kind: UnibusCluster, metadata: {name: %s}, spec: {%s}}' | kubectl apply -n %s -f - 2>&1"
	for field, spec := range map[string]string{
		"spec.replicas":                     "storage: {size: 1Gi}, replicas: 2",
		"spec.storage.size":                 "storage: {size: 1GB}",
		"spec.podTemplate.spec.hostNetwork": "storage: {size: 1Gi}, podTemplate: {spec: {hostNetwork: true}}",
		"spec.limits.maxPayload":            "storage: {size: 1Gi}, limits: {maxPayload: 1Ti}",
		"spec.tls.route.duration":           "storage: {size: 1Gi}, tls: {route: {duration: 90d}}",
	} {
		if said, err := l.shell(l.Context(), fmt.Sprintf(form, "refused", spec, l.Namespace), ""); err == nil || !strings.Contains(said, field) {
			l.Errorf("%s: %v: %q", field, err, said)
		}
	}
	for _, c := range []struct {
		name, spec, condition, reason, says string
		soon                                bool
	}{
		{"mistyped", "storage: {size: 1Gi}, admins: [UAZ2YQVKKBC6PRBAZAKX4LPBR4JRJBYJHTF6JMBLEY3ZAXD3DMWEVBWH]", v1alpha1.ConditionStalled, v1alpha1.ReasonInvalidSpec, "spec.admins[0]", true},
		{"port", "storage: {size: 1Gi}, expose: {type: NodePort, natsNodePort: 80}", v1alpha1.ConditionStalled, v1alpha1.ReasonApplyRefused, "Service port", true},
		{"issuer", "storage: {size: 1Gi}, tls: {client: {issuerRef: {name: nobody}}}", v1alpha1.ConditionStalled, v1alpha1.ReasonCertificateFailed, "no Issuer nobody", true},
		{"class", "storage: {size: 1Gi, class: nowhere}", v1alpha1.ConditionReady, v1alpha1.ReasonPodsPending, "can't be placed", false},
	} {
		l.run(fmt.Sprintf(form, c.name, c.spec, l.Namespace))
		var took time.Duration
		l.within(c.name+" is told", func() (err error) {
			took, err = l.tells(c.name, c.condition, c.reason, c.says)
			return err
		})
		if l.Logf("%s: told after %v", c.name, took); c.soon && took > soon {
			l.Errorf("%s was told after %v, %v are promised", c.name, took, soon)
		}
		l.run(fmt.Sprintf("kubectl delete -n %s ubc/%s", l.Namespace, c.name))
	}
}

// tells says how long after a cluster was made a condition was told, in whole seconds as Kubernetes counts, or what it says if that is not as expected.
func (l *lab) tells(name, condition, reason, says string) (time.Duration, error) {
	var c v1alpha1.UnibusCluster
	if err := l.read(&c, "-n "+l.Namespace+" ubc/"+name); err != nil {
		return 0, err
	}
	said := meta.FindStatusCondition(c.Status.Conditions, condition)
	if said == nil || said.Reason != reason || !strings.Contains(said.Message, says) {
		return 0, fmt.Errorf("%+v", c.Status.Conditions)
	}
	return said.LastTransitionTime.Sub(c.CreationTimestamp.Time), nil
}
