// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
)

// roll has a pass see a roll, with the pods of some places still behind.
func roll(p *pass, behind ...int) {
	p.set = newSet("3")
	p.set.Annotations[annotationTemplate], p.set.Annotations[annotationRolled] = "b", "a"
	p.c.Spec.UpdateStrategy.NodeTimeout = &metav1.Duration{Duration: 15 * time.Minute}
	p.rollout = &rollout{hash: "b", running: true, known: true, behind: behind}
	p.seen.Size = len(p.pods)
}

// TestRoll: pods are replaced one at a time, when all is well, the one that leads last and not before it has handed over; and what does not
// run, or is the only one that does not serve, is replaced at once.
func TestRoll(t *testing.T) {
	done, waits := scaling.Step{Action: scaling.Done}, scaling.Step{Action: scaling.Wait, Reason: "a member is not current"}
	pull := corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: v1alpha1.NodeContainer,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}}
	for name, c := range map[string]struct {
		see    func(p *pass) // demo-2-0 leads
		step   scaling.Step
		want   scaling.Action
		detail string
	}{
		"nothing to do":           {func(p *pass) { roll(p); p.rollout.running = false }, done, scaling.Done, ""},
		"pods behind, no roll":    {func(p *pass) { roll(p, 0); p.rollout.running = false }, done, scaling.Done, ""},
		"a new template":          {func(p *pass) { roll(p); p.rollout.running, p.rollout.pending = false, true }, done, applyTemplate, ""},
		"a new template, later":   {func(p *pass) { roll(p); p.rollout.running, p.rollout.pending = false, true }, waits, scaling.Wait, ""},
		"a new one meanwhile":     {func(p *pass) { roll(p, 0); p.rollout.pending = true }, waits, applyTemplate, ""},
		"a new one for a failure": {func(p *pass) { roll(p); p.rollout.running, p.rollout.pending = false, true; p.pods[1].Status = pull }, waits, applyTemplate, ""},
		"the operator's":          {func(p *pass) { roll(p); p.rollout.running, p.rollout.pending, p.rollout.own = false, true, true }, done, scaling.Done, ""},
		"the operator's, wished": {func(p *pass) {
			roll(p)
			p.rollout.running, p.rollout.pending, p.rollout.own = false, true, true
			p.c.Spec.UpdateStrategy.OperatorChanges = v1alpha1.OperatorChangesRoll
		}, done, applyTemplate, ""},
		"not seen yet":          {func(p *pass) { roll(p); p.rollout.known = false }, done, scaling.Wait, "controller"},
		"a follower first":      {func(p *pass) { roll(p, 0, 1, 2) }, done, replacePod, "demo-1"},
		"then the other":        {func(p *pass) { roll(p, 0, 2) }, done, replacePod, "demo-0"},
		"the leader hands over": {func(p *pass) { roll(p, 2) }, done, scaling.MoveLeader, "demo-2-0 leads"},
		"and is replaced":       {func(p *pass) { roll(p, 2); p.Meta.Leader = "demo-0-0" }, done, replacePod, "demo-2"},
		"to one in sync":        {func(p *pass) { roll(p, 2); p.Meta.Members[1].Current = false }, done, scaling.MoveLeader, ""},
		"all":                   {func(p *pass) { roll(p) }, done, finishRoll, ""},
		"one is not ready":      {func(p *pass) { roll(p, 0, 1); p.pods[2].Status = corev1.PodStatus{} }, done, scaling.Wait, "demo-2"},
		"the last is not ready": {func(p *pass) { roll(p); p.pods[0].Status = corev1.PodStatus{} }, done, scaling.Wait, "demo-0"},
		"one is missing":        {func(p *pass) { roll(p, 0, 1); delete(p.pods, 2) }, done, scaling.Wait, "demo-2"},
		"one ends":              {func(p *pass) { roll(p, 0, 1); p.pods[2].DeletionTimestamp = ptr.To(metav1.Now()) }, done, scaling.Wait, "demo-2"},
		"a member is behind":    {func(p *pass) { roll(p, 0, 1) }, waits, scaling.Wait, ""},
		"a step is to be taken": {func(p *pass) { roll(p, 0, 1) }, scaling.Step{Action: scaling.SetReplicas}, scaling.SetReplicas, ""},
		"one does not run":      {func(p *pass) { roll(p, 1, 2); p.pods[1].Status = pull; p.Meta = nil }, waits, replacePod, "demo-1"},
		"one does not serve":    {func(p *pass) { roll(p, 2); p.pods[2].Status = corev1.PodStatus{} }, waits, replacePod, "demo-2"},
		"nor is another current": {func(p *pass) {
			roll(p, 2)
			p.pods[2].Status, p.Meta.Members[0].Current = corev1.PodStatus{}, false
		}, waits, scaling.Wait, ""},
		"nor has another all": {func(p *pass) {
			roll(p, 2)
			p.pods[2].Status, p.Streams[0].Members[0].Healthy = corev1.PodStatus{}, false
		}, waits, scaling.Wait, ""},
		"nor is another ready": {func(p *pass) {
			roll(p, 2)
			p.pods[2].Status, p.pods[0].Status = corev1.PodStatus{}, corev1.PodStatus{}
		}, waits, scaling.Wait, ""},
		"by hand":           {func(p *pass) { roll(p, 0, 1); p.c.Spec.UpdateStrategy.Type = v1alpha1.UpdateManual }, done, scaling.Done, ""},
		"all of it by hand": {func(p *pass) { roll(p); p.c.Spec.UpdateStrategy.Type = v1alpha1.UpdateManual }, done, finishRoll, ""},
	} {
		p := seen(3)
		c.see(p)
		got := p.roll(c.step)
		if got.Action != c.want || !strings.Contains(got.Reason, c.detail) {
			t.Errorf("%s: %s (%s), want %s with %q", name, got.Action, got.Reason, c.want, c.detail)
		}
		if got.Action == scaling.MoveLeader && (got.To == p.Meta.Leader || name == "to one in sync" && got.To != "demo-0-0") {
			t.Errorf("%s: led by %s", name, got.To)
		}
	}
	alone := seen(1)
	roll(alone, 0)
	if got := alone.roll(done); got.Action != replacePod || got.Place != 0 {
		t.Errorf("alone: %+v", got)
	}
}

var rollStates = []state{
	{"other pods wished", func(p *pass) *obstacle {
		p.rollout, p.step = &rollout{pending: true}, scaling.Step{Action: applyTemplate, Reason: "pods are to be made otherwise"}
		return nil
	}, map[string]string{"Ready": "-RollPending", "Progressing": "+Rolling", "Upgrading": "+RollPending"}},
	{"pods are replaced", func(p *pass) *obstacle {
		roll(p, 0, 1)
		p.pods[2].Status.Conditions, p.step = nil, scaling.Step{Action: scaling.Wait, Reason: "demo-2 is not ready yet"}
		p.seen.Quiet = scaling.Patience
		p.pods[2].CreationTimestamp.Time = time.Now()
		return nil
	}, map[string]string{"Ready": "-Rolling", "Progressing": "+Rolling", "Degraded": "+MemberNotReady", "Upgrading": "+Rolling"}},
	{"a changed pod does not come back", func(p *pass) *obstacle {
		roll(p, 0, 1)
		p.pods[2].Status.Conditions, p.step = nil, scaling.Step{Action: scaling.Wait, Reason: "demo-2 is not ready yet"}
		p.pods[2].CreationTimestamp.Time = time.Now().Add(-time.Hour)
		return nil
	}, map[string]string{"Ready": "-RollStopped", "Progressing": "+Rolling", "Degraded": "+MemberNotReady", "Stalled": "+RollStopped", "Upgrading": "+RollStopped"}},
	{"a changed pod is long there, and has just stopped to serve", func(p *pass) *obstacle {
		roll(p, 0, 1)
		p.pods[2].Status.Conditions, p.step = nil, scaling.Step{Action: scaling.Wait, Reason: "demo-2 is not ready yet"}
		p.pods[2].CreationTimestamp.Time = time.Now().Add(-time.Hour)
		p.pods[2].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.Now()}}
		return nil
	}, map[string]string{"Ready": "-Rolling", "Progressing": "+Rolling", "Degraded": "+MemberNotReady", "Upgrading": "+Rolling"}},
	{"a changed pod is not made", func(p *pass) *obstacle {
		roll(p, 0, 1)
		unmake(p, 2, time.Minute)
		return nil
	}, map[string]string{"Ready": "-PodsMissing", "Progressing": "+Rolling", "Degraded": "+PodsMissing", "Upgrading": "+Rolling"}},
	{"a changed pod is not made for long", func(p *pass) *obstacle {
		roll(p, 0, 1)
		unmake(p, 2, time.Hour)
		return nil
	}, map[string]string{"Ready": "-RollStopped", "Progressing": "+Rolling", "Degraded": "+PodsMissing", "Stalled": "+RollStopped", "Upgrading": "+RollStopped"}},
	{"somebody else deletes pods", func(p *pass) *obstacle {
		roll(p, 0, 1)
		p.c.Spec.UpdateStrategy.Type = v1alpha1.UpdateManual
		return nil
	}, map[string]string{"Upgrading": "+ManualRoll"}},
	{"a newer operator", func(p *pass) *obstacle {
		roll(p)
		p.rollout.pending, p.rollout.own, p.rollout.template = true, true, new(corev1.PodTemplateSpec)
		p.rollout.running, p.set.Annotations[annotationRolled] = false, "b"
		return nil
	}, map[string]string{"Upgrading": "+ConsentNeeded"}},
}

// TestRollConditions: where a roll is, and why it is not further, is told.
func TestRollConditions(t *testing.T) { expectStates(t, rollStates) }

// unmake has a pass see no pod at a place for some time already.
func unmake(p *pass, place int, ago time.Duration) {
	delete(p.pods, place)
	p.seen.Size, p.seen.Now, p.nodes[place] = len(p.nodes), time.Now(), nil
	p.missing = map[int]time.Time{place: p.seen.Now.Add(-ago)}
	p.step = scaling.Step{Action: scaling.Wait, Reason: "the pod is not there"}
}

// TestMissingPod: a place that has no pod for a while is told, with where it is told why; after long nothing goes on without a person. Who has
// just been deleted is made anew.
func TestMissingPod(t *testing.T) {
	now := time.Now()
	for ago, want := range map[time.Duration]map[string]string{
		making - 1:       {"Ready": "-MemberNotReady", "Progressing": "+Repairing", "Degraded": "+MemberNotReady"},
		making:           {"Ready": "-PodsMissing", "Progressing": "+Repairing", "Degraded": "+PodsMissing"},
		scaling.Patience: {"Ready": "-PodsMissing", "Progressing": "+Repairing", "Degraded": "+PodsMissing", "Stalled": "+PodsMissing"},
	} {
		p := seen(3)
		unmake(p, 1, ago)
		p.step.Person = ago == scaling.Patience // as waiting has made it
		if p.step.Person {
			p.set, p.seen.Quiet = newSet("3"), ago
		}
		expectConditions(t, p, nil, want)
	}
	p := seen(3)
	delete(p.pods, 1)
	see := func(at time.Time, size int) time.Time {
		p.seen.Now, p.seen.Size = at, size
		p.miss(p.seen, p.pods)
		return p.missing[1]
	}
	if see(now, 1) != (time.Time{}) || see(now, 3) != now || see(now.Add(time.Hour), 3) != now || len(p.missing) != 1 {
		t.Errorf("missing: %v", p.missing)
	}
	if p.seen.Now = now.Add(time.Hour); !strings.Contains(p.unmade().message, "kubectl -n talk describe statefulset demo") {
		t.Errorf("it says %q", p.unmade().message)
	}
	p.pods[1] = pod(corev1.PodStatus{})
	if see(now.Add(time.Hour), 3) != (time.Time{}) {
		t.Errorf("it is there: %v", p.missing)
	}
}

// TestNote: a person changes what pods depend on exactly when the note says so.
func TestNote(t *testing.T) {
	d := crdtest.MustLoad(t, "unibus.dev_unibusclusters")
	cluster := func(change func(*v1alpha1.UnibusCluster)) *v1alpha1.UnibusCluster {
		c := new(v1alpha1.UnibusCluster)
		d.MustDecode(t, "{apiVersion: unibus.dev/v1alpha1, kind: UnibusCluster, metadata: {name: demo}, spec: {storage: {size: 1Gi}}}", c)
		c.UID, c.Namespace, c.Generation = "u", "talk", 1
		change(c)
		return c
	}
	template := func(c *v1alpha1.UnibusCluster) string {
		one := manifests.Authority{1}
		objects, err := manifests.Objects(c, manifests.Inputs{Image: image(c.Spec, Options{Repository: "node", Version: "1.0.0"}), OperatorKeys: []string{"U"}, OrderKeys: []string{"O"}, Admin: "U", Volume: resource.MustParse("1Gi"),
			RouteCA: one, ClientCA: one, OperatorNamespace: "unibus-system", OperatorLabels: map[string]string{"a": "b"}})
		must(t, err)
		for _, o := range objects {
			if set, ok := o.(*applyappsv1.StatefulSetApplyConfiguration); ok {
				return digest(set.Spec.Template)
			}
		}
		t.Fatal("no StatefulSet")
		return ""
	}
	before := cluster(func(*v1alpha1.UnibusCluster) {})
	for name, c := range map[string]struct {
		change func(*v1alpha1.UnibusCluster)
		pods   bool
	}{
		"nothing":        {func(*v1alpha1.UnibusCluster) {}, false},
		"replicas":       {func(c *v1alpha1.UnibusCluster) { c.Spec.Replicas = 3 }, false},
		"pause":          {func(c *v1alpha1.UnibusCluster) { c.Spec.Pause = true }, false},
		"expose":         {func(c *v1alpha1.UnibusCluster) { c.Spec.Expose.Type = corev1.ServiceTypeNodePort }, false},
		"updateStrategy": {func(c *v1alpha1.UnibusCluster) { c.Spec.UpdateStrategy.Type = v1alpha1.UpdateManual }, false},
		"monitoring":     {func(c *v1alpha1.UnibusCluster) { c.Spec.Monitoring.PodMonitor = ptr.To(false) }, false},
		"networkPolicy":  {func(c *v1alpha1.UnibusCluster) { c.Spec.NetworkPolicy.Enabled = ptr.To(false) }, false},
		"tls":            {func(c *v1alpha1.UnibusCluster) { c.Spec.TLS.Client.Names = []string{"a.example"} }, false},
		"historyClasses": {func(c *v1alpha1.UnibusCluster) {
			c.Spec.JetStream.HistoryClasses = []v1alpha1.HistoryClass{{Name: "chat"}}
		}, false},
		"deletionProtection": {func(c *v1alpha1.UnibusCluster) { c.Spec.DeletionProtection = true }, false},
		"image":              {func(c *v1alpha1.UnibusCluster) { c.Spec.Image = "own:3" }, true},
		"version":            {func(c *v1alpha1.UnibusCluster) { c.Spec.Version = "2.0.0" }, true},
		"imagePullPolicy":    {func(c *v1alpha1.UnibusCluster) { c.Spec.ImagePullPolicy = corev1.PullAlways }, true},
		"imagePullSecrets":   {func(c *v1alpha1.UnibusCluster) { c.Spec.ImagePullSecrets = []v1alpha1.SecretReference{{Name: "a"}} }, true},
		"size":               {func(c *v1alpha1.UnibusCluster) { c.Spec.Storage.Size.Quantity = resource.MustParse("2Gi") }, false},
		"jetStream":          {func(c *v1alpha1.UnibusCluster) { c.Spec.JetStream.SyncAlways = true }, true},
		"limits":             {func(c *v1alpha1.UnibusCluster) { c.Spec.Limits.MaxConnections = ptr.To[int32](7) }, true},
		"admins":             {func(c *v1alpha1.UnibusCluster) { c.Spec.Admins = []string{"UA"} }, true},
		"resources": {func(c *v1alpha1.UnibusCluster) {
			c.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
		}, true},
		"scheduling": {func(c *v1alpha1.UnibusCluster) { c.Spec.Scheduling.AntiAffinity = v1alpha1.PreferenceNone }, true},
		"podTemplate": {func(c *v1alpha1.UnibusCluster) {
			c.Spec.PodTemplate = &v1alpha1.PodTemplatePatch{Metadata: v1alpha1.PodMetadata{Annotations: map[string]string{"a": "b"}}}
		}, true},
		"log":     {func(c *v1alpha1.UnibusCluster) { c.Spec.Log.Level = "Debug" }, true},
		"restart": {func(c *v1alpha1.UnibusCluster) { c.Annotations = map[string]string{v1alpha1.AnnotationRestart: "now"} }, true},
	} {
		after := cluster(c.change)
		after.Generation++
		if got := template(after) != template(before); got != c.pods {
			t.Errorf("%s: pods change: %v, want %v", name, got, c.pods)
		}
		if got := changedByUser(note(before), note(after)); got != c.pods {
			t.Errorf("%s: a person's change: %v, want %v", name, got, c.pods)
		}
		if after.Generation--; name != "restart" && changedByUser(note(before), note(after)) {
			t.Errorf("%s: with the same generation it is no person's change", name)
		}
	}
}

// TestNoteOfPass: what a person changes later than the spec, or beside it, is that person's too, as far as a note tells.
func TestNoteOfPass(t *testing.T) {
	before := &v1alpha1.UnibusCluster{}
	p := &pass{c: before, volume: resource.MustParse("1Gi")}
	small := p.note()
	p.volume = resource.MustParse("2Gi")
	if !changedByUser(small, p.note()) || changedByUser(note(before), p.note()) || changedByUser(small, small) {
		t.Error("volumes grow because a person wishes it, however late; an older operator's note has no size")
	}
	first := p.note()
	if p.firstAdmin = "UA"; !changedByUser(first, p.note()) || changedByUser(first[:strings.LastIndex(first, "/")], p.note()) {
		t.Error("another seed in the Secret of the first admin is a person's; an older operator's note has no admin")
	}
	if changedByUser("", note(before)) {
		t.Error("without a note nobody is known to have changed anything")
	}
}

// TestCompare: the annotations of a StatefulSet and the labels of its pods tell how far a roll is.
func TestCompare(t *testing.T) {
	p := seen(3)
	set := applyappsv1.StatefulSet("demo", "talk").WithSpec(applyappsv1.StatefulSetSpec().WithTemplate(nil))
	p.set = newSet("3")
	p.set.Generation, p.set.Status = 2, appsv1.StatefulSetStatus{ObservedGeneration: 2, UpdateRevision: "new"}
	for place, pod := range p.pods {
		pod.Labels = map[string]string{appsv1.StatefulSetRevisionLabel: "new"}
		if place != 1 {
			pod.Labels[appsv1.StatefulSetRevisionLabel] = "old"
		}
	}
	hash := digest(set.Spec.Template)
	p.set.Annotations = map[string]string{annotationTemplate: hash, annotationRolled: "", annotationNote: p.note()}
	must(t, p.compare(set.Spec.Template))
	if r := p.rollout; r.pending || r.own || !r.running || !r.known || len(r.behind) != 2 || r.behind[0] != 0 || r.behind[1] != 2 || !p.rolling() || p.maxUnavailable() != 0 {
		t.Errorf("under way: %+v", r)
	}
	p.set.Annotations[annotationRolled], p.set.Generation = hash, 3
	must(t, p.compare(set.Spec.Template))
	if r := p.rollout; r.running || r.known || p.rolling() || p.unnoted() || p.maxUnavailable() != 1 {
		t.Errorf("done: %+v", r)
	}
	p.set.Annotations[annotationTemplate], p.c.Generation = "other", p.c.Generation+1
	must(t, p.compare(set.Spec.Template))
	if r := p.rollout; !r.pending || !r.own || !r.waits(p.c.Spec.UpdateStrategy) || !p.unnoted() {
		t.Errorf("a newer operator: %+v", r)
	}
	p.c.Spec.Image = "other"
	must(t, p.compare(set.Spec.Template))
	if r := p.rollout; !r.pending || r.own || p.unnoted() {
		t.Errorf("a person: %+v", r)
	}
}
