// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	buspkg "github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
)

// TestChange: what pods are made of is changed under a writer, one pod at a time, and nothing is lost; a change that no node comes up with stops
// after the first one, says why, and is turned back; and a newer operator restarts nothing before its user lets it.
func TestChange(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Replicas = 3
	l := mustLab(t, c, withFuse)
	grown := l.within("three members", ready)
	stop := l.write(l.mustSay(0, 0, 10))
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	})
	rolled := l.within("pods with a limit", ready)
	said := stop()
	l.expectHeard(0, said)
	limited := l.uids(func(p corev1.Pod) bool { return p.Spec.Containers[0].Resources.Limits.Memory().Value() == 1<<30 })
	if names(rolled) != names(grown) || l.pods() != 6 || len(limited) != 3 {
		t.Errorf("members: %s in %d pods, %d of them with a limit; want %s in 6, 3", names(rolled), l.pods(), len(limited), names(grown))
	}
	l.expectRest()

	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Spec.Image = "unibus/membershipd" + brokenTag
		c.Spec.UpdateStrategy.NodeTimeout.Duration = 60e9
	})
	stopped := l.within("a roll that stops", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonRollStopped
	})
	if said := message(stopped, v1alpha1.ConditionStalled); !strings.Contains(said, "ImagePullBackOff") {
		t.Errorf("it says %q", said)
	}
	whole := func(p corev1.Pod) bool { return !strings.HasSuffix(p.Spec.Containers[0].Image, brokenTag) }
	if left := l.uids(whole); len(left) != 2 {
		t.Errorf("%d pods of 3 are left as they were", len(left))
	}
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Image = "" })
	l.within("pods as before", ready)
	if l.pods() != 8 || len(l.uids(whole)) != 3 {
		t.Errorf("%d pods were made, want 8; %d are whole", l.pods(), len(l.uids(whole)))
	}

	l.version.Store("0.0.1")
	(*l.end.Load())()
	l.within("a question", func(c *v1alpha1.UnibusCluster) bool {
		return asked(c) && len(c.Status.Plan) == 1 && c.Status.Plan[0].NeedsConsent
	})
	l.evict(1)
	l.within("the evicted pod", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && l.pods() == 9 })
	old := func(p corev1.Pod) bool { return strings.HasSuffix(p.Spec.Containers[0].Image, ":0.0.0") }
	if got := len(l.uids(old)); got != 3 {
		t.Errorf("%d pods of 3 are of the older version", got)
	}
	l.change(func(c *v1alpha1.UnibusCluster) { c.Annotations = map[string]string{v1alpha1.AnnotationRestart: "now"} })
	l.within("pods of the newer version", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && l.allHave("now") })
	if got := len(l.uids(old)); got != 0 || l.pods() != 12 {
		t.Errorf("%d pods are of the older version; %d were made, want 12", got, l.pods())
	}
	l.expectHeard(2, said)
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Log.Level = "Debug" })
	l.within("pods that tell more", ready)
	natstest.Within(t, limit, "one configuration", func() bool { return l.configs() == 1 })
}

// configs counts configurations of nodes.
func (l *lab) configs() (n int) {
	l.t.Helper()
	var all corev1.ConfigMapList
	must(l.t, l.api.List(l.t.Context(), &all, client.InNamespace(l.cluster.Namespace)))
	for _, o := range all.Items {
		if strings.HasPrefix(o.Name, l.cluster.ConfigName("")) {
			n++
		}
	}
	return n
}

// write says numbers from a number on until it is stopped, and returns how many were said in all.
func (l *lab) write(from int) (stop func() int) {
	l.t.Helper()
	options := l.enter(0)
	for place := 1; place < 3; place++ {
		options.Servers = append(options.Servers, l.enter(place).Servers...)
	}
	ctx, cancel := context.WithCancel(l.t.Context())
	c, err := buspkg.Connect(ctx, options)
	must(l.t, err)
	r, in, err := c.Join(ctx, room, buspkg.StartNow())
	must(l.t, err)
	said := make(chan int, 1)
	go func() {
		n := from
		for ; tick(ctx); n++ {
			// What was begun is completed, whoever stops meanwhile.
			if _, err := r.Publish(context.WithoutCancel(ctx), buspkg.Message{Data: fmt.Append(nil, n)}); err != nil {
				l.t.Errorf("message %d: %v", n, err)
				break
			}
		}
		in.Close()
		c.Close()
		said <- n
	}()
	return func() int {
		cancel()
		return <-said
	}
}

// pods is how many pods there have been.
func (l *lab) pods() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// uids are those of the pods that are as told.
func (l *lab) uids(are func(corev1.Pod) bool) (out []types.UID) {
	l.t.Helper()
	var pods corev1.PodList
	must(l.t, l.api.List(l.t.Context(), &pods, client.InNamespace(l.cluster.Namespace), client.MatchingLabels{v1alpha1.LabelInstance: l.cluster.Name}))
	for _, pod := range pods.Items {
		if are(pod) {
			out = append(out, pod.UID)
		}
	}
	return out
}

// allHave says whether all members' pods were made for a restart.
func (l *lab) allHave(restart string) bool {
	l.t.Helper()
	return len(l.uids(func(p corev1.Pod) bool { return p.Annotations[v1alpha1.AnnotationRestart] == restart })) == int(l.now().Spec.Replicas)
}

// evict deletes a pod.
func (l *lab) evict(place int) {
	l.t.Helper()
	pod := new(corev1.Pod)
	must(l.t, l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.PodName(place)}, pod))
	must(l.t, l.api.Delete(l.t.Context(), pod))
}
