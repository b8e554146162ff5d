// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bus "github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
)

// TestRotateKeys: the key by which the operator enters and the one that signs its orders are replaced under a writer, by operators that end in the middle of
// it. Each node is made anew twice, nothing is refused and nothing lost meanwhile; who joins later does so by orders of the new key, and nobody obeys the
// former ones.
func TestRotateKeys(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Replicas = 3
	l := mustLab(t, c, withFuse)
	formed := l.within("three members", ready)
	former := l.mustSecret(l.cluster.KeysSecretName()).Data
	for place := range 3 {
		if !l.obeys(place, former[keyOperator]) {
			t.Fatalf("place %d refuses the operator's own key", place)
		}
	}
	stop := l.write(l.mustSay(0, 0, 10))
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "keys/1"}
	})
	rotated := l.within("other keys", func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && *c.Status.Keys == v1alpha1.SecretStatus{Generation: 2, Phase: phaseStable}
	})
	if names(rotated) != names(formed) || l.pods() != 9 {
		t.Errorf("members: %s in %d pods, want %s in 9", names(rotated), l.pods(), names(formed))
	}
	now := l.mustSecret(l.cluster.KeysSecretName()).Data
	for _, key := range []string{keyOperator, keyOrder} {
		if bytes.Equal(former[key], now[key]) || len(now[also(key)]) != 0 {
			t.Errorf("the Secret does not hold another %s alone", key)
		}
	}
	l.scale(1)
	l.within("a cluster of one", is("demo-0-0=member"))
	l.scale(3)
	l.within("members that the new key has ordered in", is("demo-0-0=member demo-1-1=member demo-2-1=member"))
	l.expectHeard(2, stop())
	for place := range 3 {
		if !l.obeys(place, now[keyOperator]) || l.obeys(place, former[keyOperator]) {
			t.Errorf("place %d: the node does not obey the new key alone", place)
		}
	}
	natstest.Within(t, limit, "one configuration", func() bool { return l.configs() == 1 })
	l.expectRest()
}

// obeys says whether a node takes a seed for that of an operator.
func (l *lab) obeys(place int, seed []byte) bool {
	l.t.Helper()
	options := l.enter(place)
	key, err := nkeys.FromSeed(seed)
	must(l.t, err)
	options.Key = key
	api, err := bus.NewAPI(options)
	must(l.t, err)
	defer api.Close()
	_, err = api.Classes(l.t.Context())
	return err == nil
}

// keysOf has a pass see the Secret of keys with these annotations, and second keys where they tell of any.
func keysOf(t *testing.T, p *pass, notes map[string]string) {
	t.Helper()
	data, err := newKeys()
	must(t, err)
	if strings.Contains(notes[annotationGenerations], ",") {
		second, err := newKeys()
		must(t, err)
		for key, seed := range second {
			data[also(key)] = seed
		}
	}
	p.secrets[p.c.KeysSecretName()] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: notes}, Data: data}
	p.keys = p.keyringOf()
}

// TestKeysAreReplaced: nodes are to obey two keys exactly while the second one is not used yet, each change of that is one that a person has
// wished, and nothing goes on before all pods are made so.
func TestKeysAreReplaced(t *testing.T) {
	p := seen(3)
	p.seen.Size = 3
	var before string
	for _, c := range []struct {
		generations, phase string
		next               change
		obeyed             int
		rolls              bool
	}{
		{"1", phaseStable, obeyBoth, 1, false},
		{"1,2", phaseBothAccepted, switchKeys, 2, true},
		{"2,1", phaseSwitching, dropKeys, 1, true},
		{"2", phaseStable, obeyBoth, 1, false},
	} {
		keysOf(t, p, map[string]string{annotationGenerations: c.generations, v1alpha1.AnnotationRotate: ""})
		if p.keys.phase() != c.phase || p.keys.next("keys/1") != c.next {
			t.Errorf("%s: %s, %s; want %s, %s", c.generations, p.keys.phase(), p.keys.next("keys/1"), c.phase, c.next)
		}
		for _, key := range []string{keyOperator, keyOrder} {
			if public, err := p.obeyed(key); err != nil || len(public) != c.obeyed {
				t.Errorf("%s: %d keys of %s are obeyed, error %v; want %d", c.generations, len(public), key, err, c.obeyed)
			}
		}
		if got := before != "" && changedByUser(before, p.note()); got != c.rolls {
			t.Errorf("%s: pods are changed by a person: %v, want %v", c.generations, got, c.rolls)
		}
		before = p.note()
	}
	keysOf(t, p, map[string]string{annotationGenerations: "1"})
	former := strings.TrimSuffix(p.note(), "/1")
	if changedByUser(former, p.note()) {
		t.Error("a newer operator's note is taken for a person's change")
	}
	keysOf(t, p, map[string]string{annotationGenerations: "1,2"})
	if !changedByUser(former, p.note()) {
		t.Error("keys that are replaced under the note of an earlier operator are no person's change")
	}
	p.set = newSet("3")
	p.set.Annotations = map[string]string{annotationTemplate: "t", annotationRolled: "t"}
	p.set.Status.UpdateRevision = "new" // pods have none
	must(t, p.compare(nil))
	if r := p.rollout; !r.running || len(r.behind) != 3 {
		t.Errorf("pods that are behind, whoever made them, are not replaced: %+v", r)
	}
	for what, r := range map[string]*rollout{"no pods": nil, "pending": {known: true, pending: true}, "running": {known: true, running: true},
		"not seen": {}, "behind": {known: true, behind: []int{1}}} {
		if p.rollout = r; p.unrolled() == "" {
			t.Errorf("%s: it goes on", what)
		}
	}
	if p.rollout = (&rollout{known: true}); p.unrolled() != "" {
		t.Errorf("it waits: %s", p.unrolled())
	}
	delete(p.pods, 2)
	if p.unrolled() == "" {
		t.Error("it goes on without a pod")
	}
}
