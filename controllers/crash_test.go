// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

var (
	every = flag.Bool("every", false, "end the operator after every write and step in tests of that, not after a tenth of them")
	seed  = flag.Uint64("seed", 1, "after which tenth")
)

// fuse says after what an operator ends. A nil one never burns.
type fuse struct {
	mu   sync.Mutex
	draw *rand.Rand
	// always has it burn every time.
	always atomic.Bool
}

// withFuse has operators end in the middle of what they do, in tests of what they do: each is to end as it would without.
func withFuse(l *lab) {
	natstest.Logger().Info("fuse", "every", *every, "seed", *seed)
	l.fuse = &fuse{draw: rand.New(rand.NewPCG(*seed, 0))}
}

// burns says whether the operator ends here.
func (f *fuse) burns() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return *every || f.always.Load() || f.draw.IntN(10) == 0
}

// mourner ends an operator after a step that is no write, before that is reported, when the fuse says so.
type mourner struct {
	events.EventRecorder
	fuse  *fuse
	die   context.CancelFunc
	after func(action scaling.Action, why string)
}

// elsewhere are the steps that change nodes and JetStream.
var elsewhere = []scaling.Action{scaling.SendOrder, scaling.RemovePeer, scaling.MoveReplica, scaling.SetReplicas, scaling.MoveLeader, lowerQuorum, putClass, dropClass}

func (m mourner) Eventf(about, related runtime.Object, kind, reason, action, note string, args ...any) {
	m.EventRecorder.Eventf(about, related, kind, reason, action, note, args...)
	if m.after != nil {
		m.after(scaling.Action(action), fmt.Sprintf(note, args...))
	}
	if slices.Contains(elsewhere, scaling.Action(action)) && m.fuse.burns() {
		natstest.Logger().Debug("operator ends", "after", action)
		m.die()
	}
}

// TestKilledAfterWrites: an operator that ends right after a write that changes something, or after a step on nodes or in JetStream, and is
// replaced by one that does the same, again and again, gets where an undisturbed one gets.
func TestKilledAfterWrites(t *testing.T) {
	l := mustLab(t, sample(t, "one"), withFuse)
	formed := l.within("a cluster of one", ready)
	l.scale(3)
	grown := l.within("three members", ready)
	if want := "demo-0-0=member demo-1-0=member demo-2-0=member"; names(grown) != want || grown.Status.ClusterID != formed.Status.ClusterID {
		t.Errorf("members: %s of %s, want %s of %s", names(grown), grown.Status.ClusterID, want, formed.Status.ClusterID)
	}
	l.change(func(c *v1alpha1.UnibusCluster) { c.Annotations = map[string]string{v1alpha1.AnnotationRestart: "once"} })
	rolled := l.within("pods that were replaced", func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && l.allHave("once") && l.pods() >= 6 // the kubelet may see the last one later
	})
	if names(rolled) != names(grown) || l.pods() != 6 {
		t.Errorf("members: %s in %d pods, want %s in 6", names(rolled), l.pods(), names(grown))
	}
	l.scale(1)
	shrunk := l.within("one member again", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && c.Status.Replicas == 1 })
	if want := "demo-0-0=member"; names(shrunk) != want {
		t.Errorf("members: %s, want %s", names(shrunk), want)
	}
	lives := l.lives.Load()
	natstest.Logger().Info("operators", "lives", lives)
	if least := int64(3); lives < least || *every && lives < 8*least {
		t.Errorf("operators lived only %d times", lives)
	}
}

// TestBothKilledWhileOneLeaves: of two members one is about to be removed, and starts by itself no more, when both are killed. The other one, which has
// not met it since, has no quorum without it, and knows it by an id alone: it is resumed, and then it leaves.
func TestBothKilledWhileOneLeaves(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Replicas = 3
	var kills atomic.Int32
	l := mustLab(t, c, func(l *lab) {
		l.after = func(action scaling.Action, why string) {
			if action == scaling.SendOrder && strings.HasPrefix(why, "demo-1-0 is about to be removed") && kills.Add(1) == 1 {
				l.kill(1)
				l.kill(0)
			}
		}
	})
	l.within("three members", ready)
	said := l.mustSay(0, 0, 50)
	l.scale(1)
	l.within("one member", is("demo-0-0=member"))
	l.expectHeard(0, said)
	if kills.Load() == 0 {
		t.Error("none was killed")
	}
}
