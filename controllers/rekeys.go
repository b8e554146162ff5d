// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"github.com/unibus/unibus/api/v1alpha1"
)

// keyring is how far the replacement of the operator's key and of the order key is. It follows from the Secret and from pods alone:
//
//	nodes are to obey both -> every pod is made anew, configured so -> the new keys are used, and nodes are to obey these alone
//	-> every pod is made anew -> the former keys are gone
type keyring struct{ replacement }

// keysName is the word of the annotation that asks for other keys.
const keysName = "keys"

// Changes of keys.
const (
	obeyBoth   change = "obey-both-keys"
	switchKeys change = "switch-keys"
	dropKeys   change = "drop-old-keys"
)

// also is where the second key of a kind is in the Secret.
func also(key string) string { return "also-" + key }

// keyringOf reads the Secret with keys.
func (p *pass) keyringOf() keyring {
	name := p.c.KeysSecretName()
	s := p.secrets[name]
	if s == nil {
		return keyring{}
	}
	return keyring{p.replacementOf(name, len(s.Data[also(keyOperator)]) > 0)}
}

// next is the change to be made next, nothing where none is due.
func (k keyring) next(wish string) change {
	switch {
	case k.phase() == phaseBothAccepted:
		return switchKeys
	case k.phase() == phaseSwitching:
		return dropKeys
	case k.asked(wish, keysName):
		return obeyBoth
	}
	return nothing
}

// obeyed are the public halves of a kind of key that nodes are to obey.
func (p *pass) obeyed(key string) (public []string, err error) {
	s, all := p.secrets[p.c.KeysSecretName()], []string{key}
	if p.keys.phase() == phaseBothAccepted {
		all = append(all, also(key))
	}
	for _, key := range all {
		one, err := publicKey(s, key)
		if err != nil {
			return nil, err
		}
		public = append(public, one)
	}
	return public, nil
}

// configured tells apart what nodes are to obey. It changes when a person wishes it, and later than that.
func (k keyring) configured() string {
	if k.phase() == phaseBothAccepted {
		return fmt.Sprintf("%d+%d", k.generation, k.other)
	}
	return fmt.Sprint(max(k.generation, 1))
}

// rotateKeys takes the next step of the keys' replacement, or says what it waits for. What pods are to be made of has been compared before.
func (p *pass) rotateKeys(ctx context.Context) error {
	k, name := &p.keys, p.c.KeysSecretName()
	if _, ok := p.secrets[name].Annotations[annotationGenerations]; !ok && k.other != 0 {
		return &obstacle{reason: v1alpha1.ReasonSecretLost, stalled: true, message: fmt.Sprintf(
			"The Secret %s has two keys of a kind, and no annotation %s that says which is newer. Restore it from a backup.", name, annotationGenerations)}
	}
	do := k.next(p.wish())
	if do == nothing {
		return p.takeWish(ctx, name, &k.replacement)
	}
	if do != obeyBoth {
		if k.waits = p.unrolled(); k.waits != "" {
			return nil
		}
	}
	next, data := k.replacement, p.secrets[name].Data
	write := map[string][]byte{}
	switch do {
	case obeyBoth:
		fresh, err := newKeys()
		if err != nil {
			return fmt.Errorf("make keys: %w", err)
		}
		next = next.begun(p.wish())
		for key, seed := range fresh {
			write[also(key)] = seed
		}
	case switchKeys:
		next = next.switched()
		for _, key := range []string{keyOperator, keyOrder} {
			write[key], write[also(key)] = data[also(key)], data[key]
		}
	default:
		next = next.ended()
		write[also(keyOperator)], write[also(keyOrder)] = nil, nil
	}
	if err := refusal("Secret", name, p.writeSecret(ctx, name, write, next.notes())); err != nil {
		return err
	}
	k.replacement = next
	p.turned(ctx, keysName, do, name)
	return nil
}

// unrolled says why pods are not all of the configuration that says which keys are obeyed, empty when they are.
func (p *pass) unrolled() string {
	if r := p.rollout; r == nil || r.pending || r.running || !r.known || len(r.behind) > 0 {
		return "pods are to be made anew first, see the condition Upgrading"
	}
	if name := p.unready(); name != "" {
		return fmt.Sprintf("the pod %s is not ready", name)
	}
	return ""
}

// words says how far it is and what it waits for, empty when nothing is under way.
func (k keyring) words() string {
	return k.replacement.words(keysName, map[string]string{
		phaseBothAccepted: "pods are made anew to obey a second operator's key and order key, which are used once all do (step 1 of 2)",
		phaseSwitching:    "pods are made anew to obey the new keys alone, and the former are dropped once all do (step 2 of 2)",
	})
}

// keysPlan is what is left to do.
func (f facts) keysPlan() []v1alpha1.PlannedStep {
	left := map[string][]string{phaseBothAccepted: {string(switchKeys), string(replacePod), string(dropKeys)}, phaseSwitching: {string(dropKeys)}}
	return f.keys.plan("the operator's key and the order key are replaced", left[f.keys.phase()]...)
}
