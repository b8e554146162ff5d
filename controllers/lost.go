// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// losses are the disks that are lost though no other one has taken their place yet.
type losses struct {
	// lost are the server names of members whose disks are lost, each with what says so.
	lost map[string]string
	// blind says why it can't be seen whether a machine is gone; empty when it can.
	blind string
}

// observeLost finds disks that are lost by what Kubernetes or a person says: the claim or the machine of a node that is silent was deleted,
// or unibus.dev/lost has its server name. A machine that is only not ready is waited for.
func (p *pass) observeLost(ctx context.Context) error {
	p.losses = losses{lost: map[string]string{}}
	if p.record == nil {
		return nil
	}
	words := p.words()
	for _, name := range slices.Sorted(maps.Keys(p.record.Names)) {
		n := p.record.Names[name]
		claim := p.claims[n.Place]
		switch {
		case n.Phase == scaling.Removed || n.Phase == scaling.Void || p.runs(name):
		case slices.Contains(words, name):
			p.lost[name] = v1alpha1.AnnotationLost + " has it"
		case claim == nil || p.answers(n.Place):
		case !claim.DeletionTimestamp.IsZero() && p.fewClaimsEnd():
			p.lost[name] = fmt.Sprintf("the PersistentVolumeClaim %s was deleted", claim.Name)
		default:
			why, err := p.machineGone(ctx, p.pods[n.Place], claim)
			if err != nil {
				return err
			}
			if why != "" {
				p.lost[name] = why
			}
		}
	}
	return nil
}

// words are the server names that a person says are lost.
func (p *pass) words() []string {
	return strings.FieldsFunc(p.c.Annotations[v1alpha1.AnnotationLost], func(r rune) bool { return r == ',' || r == ' ' })
}

// misword says what is wrong with a person's word; empty when nothing is. A pod's name would be another server's tomorrow, and a server that
// answers would be dead at its next silence.
func (p *pass) misword() string {
	for _, word := range p.words() {
		if p.record == nil {
			break
		}
		if n, known := p.record.Names[word]; !known {
			return fmt.Sprintf("has %q, which is no server name of this cluster: status.members has them", word)
		} else if n.Phase != scaling.Removed && p.runs(word) {
			return fmt.Sprintf("has %s, which answers: take it out", word)
		}
	}
	return ""
}

// runs says whether a node answers with a server name.
func (p *pass) runs(name string) bool {
	return slices.ContainsFunc(p.nodes, func(n *v1.NodeStatus) bool { return n != nil && n.ServerName == name })
}

func (p *pass) answers(place int) bool { return place < len(p.nodes) && p.nodes[place] != nil }

// fewClaimsEnd says whether most claims stay: those of a namespace that is deleted end all together, and nothing is to be saved from them.
func (p *pass) fewClaimsEnd() bool {
	ending := 0
	for _, claim := range p.claims {
		if !claim.DeletionTimestamp.IsZero() {
			ending++
		}
	}
	return 2*ending < len(p.claims)
}

// machineGone says so when a pod can't be placed because its volume is bound to a machine whose Node object was deleted.
func (p *pass) machineGone(ctx context.Context, pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) (string, error) {
	if pod == nil || pod.Spec.NodeName != "" || claim.Spec.VolumeName == "" {
		return "", nil
	}
	volume := new(corev1.PersistentVolume)
	var nodes metav1.PartialObjectMetadataList
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	err := p.Live.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume)
	if err == nil {
		err = p.Live.List(ctx, &nodes)
	}
	switch {
	case apierrors.IsForbidden(err):
		p.blind = fmt.Sprintf("whether the machine of its volume is gone can't be seen without rights outside of the namespace: "+
			"if it is for good, put the server name into %s", v1alpha1.AnnotationLost)
		return "", nil
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look for the machine of the volume %s: %w", claim.Spec.VolumeName, err)
	}
	machines := machinesOf(volume)
	for _, node := range nodes.Items {
		if slices.Contains(machines, node.Name) || slices.Contains(machines, node.Labels[corev1.LabelHostname]) {
			return "", nil
		}
	}
	if len(machines) == 0 {
		return "", nil
	}
	return fmt.Sprintf("its volume %s is on %s, whose Node object was deleted", volume.Name, strings.Join(machines, " or ")), nil
}

// machinesOf are the names of the machines that alone can mount a volume; none when others can. A zone without a machine is not lost.
func machinesOf(volume *corev1.PersistentVolume) (machines []string) {
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return nil
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		named := false
		for _, e := range slices.Concat(term.MatchExpressions, term.MatchFields) {
			if (e.Key == corev1.LabelHostname || e.Key == metav1.ObjectNameField) && e.Operator == corev1.NodeSelectorOpIn {
				machines, named = append(machines, e.Values...), true
			}
		}
		if !named {
			return nil
		}
	}
	return machines
}
