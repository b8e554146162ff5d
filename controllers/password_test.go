// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
)

// dialer is a node of a model: what it mounts, some time behind the Secret, and what it dials with since its start; nothing while it is down.
type dialer struct{ mounts, also, dials string }

// status is what such a node says of itself, nil while it is down.
func (d *dialer) status(nonce string) *v1.NodeStatus {
	if d.dials == "" {
		return nil
	}
	s := &v1.NodeStatus{Nonce: nonce, RouteSecrets: &v1.RouteSecrets{Dials: v1.SecretMark(d.dials, nonce), Next: v1.SecretMark(d.mounts, nonce)}}
	for _, password := range []string{d.dials, d.mounts, d.also} {
		if password != "" {
			s.RouteSecrets.Accepts = append(s.RouteSecrets.Accepts, v1.SecretMark(password, nonce))
		}
	}
	return s
}

func (d *dialer) accepts(password string) bool {
	return slices.Contains([]string{d.dials, d.mounts, d.also}, password)
}

// dialers are a cluster of a model, whose Secret holds k.
type dialers struct {
	nodes []*dialer
	k     routePassword
	draw  *rand.Rand
	fresh int
}

func (m *dialers) mount(d *dialer) { d.mounts, d.also = m.k.dials, m.k.also }

// operate is a pass of the operator: at most one write, or one node that is stopped while all others run.
func (m *dialers) operate(wish string) {
	do, lacks := m.k.next(wish)
	stale, down := -1, false
	for i, d := range m.nodes {
		s := d.status(fmt.Sprint(m.draw.Uint64()))
		if down = down || s == nil; m.k.stale(s) {
			stale = i
		}
		if lacks != nil && lacks(s) != "" {
			do = nothing
		}
	}
	if do != nothing {
		m.fresh++
		m.k = m.k.after(do, fmt.Sprint("password-", m.fresh), wish)
	} else if stale >= 0 && !down {
		m.nodes[stale].dials = ""
	}
}

// stir lets one thing happen that nobody has asked for.
func (m *dialers) stir() {
	d := m.nodes[m.draw.IntN(len(m.nodes))]
	switch m.draw.IntN(6) {
	case 0: // its kubelet brings what the Secret holds
		m.mount(d)
	case 1, 2: // it is down, and started again with what it mounts
		if d.dials == "" {
			d.dials = d.mounts
		} else {
			d.dials = ""
		}
	case 3: // its pod is made anew
		m.mount(d)
		d.dials = d.mounts
	case 4: // a node joins
		if len(m.nodes) < v1alpha1.MaxReplicas {
			m.nodes = append(m.nodes, new(dialer))
			m.mount(m.nodes[len(m.nodes)-1])
		}
	default: // one leaves
		if len(m.nodes) > 1 {
			m.nodes = m.nodes[:len(m.nodes)-1]
		}
	}
}

// apart says which node would not let in another one that runs, empty when none would not.
func (m *dialers) apart() string {
	for i, from := range m.nodes {
		for j, to := range m.nodes {
			if from.dials != "" && to.dials != "" && !to.accepts(from.dials) {
				return fmt.Sprintf("node %d dials with %s, node %d accepts %+v", i, from.dials, j, *to)
			}
		}
	}
	return ""
}

// TestPasswordIsReplaced: whatever nodes do meanwhile, start, stop, lag, join and leave, no node that runs would refuse another one; and when all
// have come back the new password is the only one.
func TestPasswordIsReplaced(t *testing.T) {
	for seed := range uint64(3000) {
		m := &dialers{draw: rand.New(rand.NewPCG(seed, 7)), k: routePassword{dials: "password-0", replacement: replacement{generation: 1}}}
		for range 1 + m.draw.IntN(3) {
			m.nodes = append(m.nodes, &dialer{mounts: "password-0", dials: "password-0"})
		}
		for range m.draw.IntN(200) {
			if m.draw.IntN(3) == 0 {
				m.operate("route-password/1")
			} else {
				m.stir()
			}
			if why := m.apart(); why != "" {
				t.Fatalf("seed %d, %s: %s", seed, m.k.phase(), why)
			}
		}
		for range 100 {
			for _, d := range m.nodes {
				if m.mount(d); d.dials == "" {
					d.dials = d.mounts
				}
			}
			m.operate("route-password/1")
			if why := m.apart(); why != "" {
				t.Fatalf("seed %d, at rest, %s: %s", seed, m.k.phase(), why)
			}
		}
		if m.k.phase() != phaseStable || m.k.generation != 2 || m.k.dials != "password-1" {
			t.Fatalf("seed %d ends with %+v", seed, m.k)
		}
		for _, d := range m.nodes {
			if d.accepts("password-0") {
				t.Fatalf("seed %d: a node accepts the former password: %+v", seed, *d)
			}
		}
	}
}

// passwords has a pass see the Secret of routes, and its nodes mount and dial with these.
func passwords(p *pass, k routePassword, nodes ...dialer) {
	p.secrets[p.c.RouteSecretName()] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: k.notes()},
		Data: map[string][]byte{manifests.RouteSecretKey: []byte(k.dials), manifests.RouteSecretAlsoKey: []byte(k.also)}}
	for place, d := range nodes {
		p.nodes[place].Nonce = fmt.Sprint("nonce-", place)
		p.nodes[place].RouteSecrets = d.status(p.nodes[place].Nonce).RouteSecrets
		p.pods[place].Status.PodIP = podIP(place)
	}
	p.seen.Size, p.seen.Places = len(p.nodes), make([]scaling.Place, len(p.nodes))
	p.password = p.routePasswordOf()
}

// TestLacking: the first node that holds it up is named, with what it lacks.
func TestLacking(t *testing.T) {
	both, switched := routePassword{dials: "a", also: "b", replacement: replacement{generation: 1, other: 2}}, routePassword{dials: "b", also: "a", replacement: replacement{generation: 2, other: 1}}
	old, knows, read, done := dialer{"a", "", "a"}, dialer{"a", "b", "a"}, dialer{"b", "a", "a"}, dialer{"b", "a", "b"}
	for name, c := range map[string]struct {
		k     routePassword
		nodes []dialer
		see   func(p *pass)
		want  string
		stale int
	}{
		"all accept both":        {both, []dialer{knows, knows, knows}, nil, "", 0},
		"one lags":               {both, []dialer{knows, old, old}, nil, "the node of the pod demo-1 does not accept both passwords yet", 0},
		"one does not answer":    {both, []dialer{knows, knows, knows}, func(p *pass) { p.nodes[2] = nil }, "the node of the pod demo-2 does not answer", 0},
		"one is missing":         {both, []dialer{knows, knows, knows}, func(p *pass) { delete(p.pods, 0) }, "the pod demo-0 does not run", 0},
		"one has no address":     {both, []dialer{knows, knows, knows}, func(p *pass) { p.pods[1].Status.PodIP = "" }, "the pod demo-1 does not run", 0},
		"one is of before":       {both, []dialer{knows, knows, knows}, func(p *pass) { p.nodes[1].RouteSecrets = nil }, "of an earlier version", 0},
		"one is yet to start":    {both, []dialer{knows, knows, knows}, func(p *pass) { p.seen.Size = 4 }, "the pod demo-3 does not run", 0},
		"a volume is kept":       {both, []dialer{knows, knows, knows}, func(p *pass) { p.seen.Size = 2; delete(p.pods, 2); p.nodes[2] = nil }, "", 0},
		"all dial with it":       {switched, []dialer{done, done, done}, nil, "", 0},
		"one dials the former":   {switched, []dialer{done, read, done}, nil, "the node of the pod demo-1 dials with the former password yet", 1},
		"and has not read it":    {switched, []dialer{done, knows, done}, nil, "the node of the pod demo-1 dials with the former password yet", 0},
		"one would go back":      {switched, []dialer{done, {"a", "b", "b"}, done}, nil, "the node of the pod demo-1 dials with the former password yet", 0},
		"one of before is there": {switched, []dialer{done, done, done}, func(p *pass) { p.nodes[0].RouteSecrets = nil }, "of an earlier version", 0},
	} {
		p := seen(3)
		passwords(p, c.k, c.nodes...)
		if c.see != nil {
			c.see(p)
		}
		_, lacks := p.password.next("")
		if got := p.lacking(lacks); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got := len(p.stale()); got != c.stale {
			t.Errorf("%s: %d are to be started anew, want %d", name, got, c.stale)
		}
	}
}

// TestRoutePasswordOf: a Secret tells how far it is; one that tells nothing is gone through all steps.
func TestRoutePasswordOf(t *testing.T) {
	for name, c := range map[string]struct {
		also  string
		notes map[string]string
		want  routePassword
	}{
		"made":             {"", map[string]string{annotationGenerations: "1", v1alpha1.AnnotationRotate: ""}, routePassword{dials: "a", replacement: replacement{generation: 1}}},
		"of before":        {"", nil, routePassword{dials: "a", replacement: replacement{generation: 1, taken: "route-password/0"}}},
		"both accepted":    {"b", map[string]string{annotationGenerations: "3,4", v1alpha1.AnnotationRotate: "w"}, routePassword{dials: "a", also: "b", replacement: replacement{generation: 3, other: 4, taken: "w"}}},
		"switched":         {"b", map[string]string{annotationGenerations: "4,3", v1alpha1.AnnotationRotate: "w"}, routePassword{dials: "a", also: "b", replacement: replacement{generation: 4, other: 3, taken: "w"}}},
		"dropped":          {"", map[string]string{annotationGenerations: "4", v1alpha1.AnnotationRotate: "w"}, routePassword{dials: "a", replacement: replacement{generation: 4, taken: "w"}}},
		"without its note": {"b", nil, routePassword{dials: "a", also: "b", replacement: replacement{generation: 1, other: 2, taken: "route-password/0"}}},
		"of a wrong note":  {"b", map[string]string{annotationGenerations: "x,-1", v1alpha1.AnnotationRotate: "w"}, routePassword{dials: "a", also: "b", replacement: replacement{generation: 1, other: 2, taken: "w"}}},
	} {
		p := seen(1)
		p.secrets[p.c.RouteTLSName()] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationRotate: "route-password/0"}}}
		p.secrets[p.c.RouteSecretName()] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: c.notes},
			Data: map[string][]byte{manifests.RouteSecretKey: []byte("a"), manifests.RouteSecretAlsoKey: []byte(c.also)}}
		got := p.routePasswordOf()
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(routePassword{}, replacement{})); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
	}
	p := seen(1)
	passwords(p, routePassword{dials: "a", replacement: replacement{generation: 1, taken: "route-password/1"}})
	for wish, want := range map[string]change{"route-password/1": nothing, "route-password/2": acceptBoth, "route-password": acceptBoth, "route-ca/1": nothing, "": nothing, "keys/1": nothing} {
		if do, _ := p.password.next(wish); do != want {
			t.Errorf("the wish %q: %q, want %q", wish, do, want)
		}
	}
}

// TestPasswordConditions: how far it is, what it waits for and what is next is told, and no password.
func TestPasswordConditions(t *testing.T) {
	both, switched := routePassword{dials: "pass-a", also: "pass-b", replacement: replacement{generation: 1, other: 2}}, routePassword{dials: "pass-b", also: "pass-a", replacement: replacement{generation: 2, other: 1}}
	knows, read, done := dialer{"pass-a", "pass-b", "pass-a"}, dialer{"pass-b", "pass-a", "pass-a"}, dialer{"pass-b", "pass-a", "pass-b"}
	for name, c := range map[string]struct {
		see    func(p *pass)
		want   map[string]string
		told   string
		plan   []string
		status v1alpha1.SecretStatus
	}{
		"nothing": {func(p *pass) {
			passwords(p, routePassword{dials: "pass-a", replacement: replacement{generation: 1}}, knows, knows, knows)
		}, nil, "", nil,
			v1alpha1.SecretStatus{Generation: 1, Phase: phaseStable}},
		"a node holds it up": {func(p *pass) {
			passwords(p, both, knows, knows, knows)
			p.password.waits = "the pod demo-2 does not run"
		}, map[string]string{"Progressing": "+Rotating"}, "demo-2 does not run", []string{"switch-password", "replace-pod", "drop-old-password"},
			v1alpha1.SecretStatus{Generation: 1, Phase: phaseBothAccepted}},
		"pods are replaced": {func(p *pass) {
			passwords(p, switched, read, read, done)
			p.set = newSet("3")
			p.rollout = &rollout{known: true, running: true, behind: p.stale(), stale: p.stale()}
			p.step = p.roll(p.step)
		}, map[string]string{"Ready": "-Rolling", "Progressing": "+Rolling", "Upgrading": "+Rolling"}, "demo-1 is replaced: its node dials with the former password",
			[]string{"replace-pod", "drop-old-password"}, v1alpha1.SecretStatus{Generation: 2, Phase: phaseSwitching}},
		"by hand": {func(p *pass) {
			passwords(p, switched, read, read, done)
			p.set, p.c.Spec.UpdateStrategy.Type = newSet("3"), v1alpha1.UpdateManual
			p.rollout = &rollout{known: true, running: true, behind: p.stale(), stale: p.stale()}
			p.step, p.password.waits = p.roll(p.step), "demo-0 waits"
		}, map[string]string{"Progressing": "+Rotating", "Upgrading": "+ManualRoll"}, "demo-0 waits", []string{"drop-old-password"},
			v1alpha1.SecretStatus{Generation: 2, Phase: phaseSwitching}},
		"paused": {func(p *pass) { passwords(p, both, knows, knows, knows); p.c.Spec.Pause = true },
			map[string]string{"Ready": "-Paused", "Progressing": "-Paused", "Stalled": "-Paused"}, "", []string{"switch-password", "replace-pod", "drop-old-password"},
			v1alpha1.SecretStatus{Generation: 1, Phase: phaseBothAccepted}},
	} {
		t.Run(name, func(t *testing.T) {
			p := seen(3)
			c.see(p)
			expectConditions(t, p, nil, c.want)
			told := status(p.facts(nil))
			if said := message(&v1alpha1.UnibusCluster{Status: told}, v1alpha1.ConditionProgressing); !strings.Contains(said, c.told) {
				t.Errorf("it tells %q, want %q in it", said, c.told)
			}
			var plan []string
			for _, s := range told.Plan {
				plan = append(plan, s.Do)
			}
			if d := cmp.Diff(c.plan, plan); d != "" {
				t.Errorf("plan, -want +got:\n%s", d)
			}
			if d := cmp.Diff(&c.status, told.RoutePassword); d != "" {
				t.Errorf("status, -want +got:\n%s", d)
			}
			b, err := json.Marshal(told)
			must(t, err)
			if strings.Contains(string(b), "pass-a") || strings.Contains(string(b), "pass-b") {
				t.Error("the status tells a password")
			}
		})
	}
}

// TestStaleNodesRoll: nodes that dial with the former password are behind, also where all pods are of the template, and no pod may be evicted.
func TestStaleNodesRoll(t *testing.T) {
	p := seen(3)
	p.set = newSet("3")
	if p.rolling() || p.maxUnavailable() != 1 {
		t.Error("a roll is seen where there is none")
	}
	passwords(p, routePassword{dials: "b", also: "a", replacement: replacement{generation: 2, other: 1}}, dialer{"b", "a", "a"}, dialer{"b", "a", "b"}, dialer{"b", "a", "a"})
	must(t, p.compare(nil))
	if r := p.rollout; !r.running || !slices.Equal(r.stale, []int{0, 2}) || !slices.Equal(r.behind, []int{0, 2}) || !p.rolling() || p.maxUnavailable() != 0 {
		t.Errorf("not seen: %+v", r)
	}
}
