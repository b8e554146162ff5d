// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"testing"

	"github.com/unibus/unibus/internal/crdtest"
)

// What may become of what. Immutable fields say how to get there otherwise.
func TestUpdate(t *testing.T) {
	d := crdtest.MustLoad(t, definition)
	for _, c := range []struct {
		old string
		change
	}{
		{`{}`, change{"grow", `spec: {replicas: 5}`, "", ""}},
		{`spec: {replicas: 5}`, change{"shrink", `spec: {replicas: 1}`, "", ""}},
		{`spec: {replicas: 3}`, change{"to an even number", `spec: {replicas: 2}`, "spec.replicas", "1, 3 or 5"}},
		{`{}`, change{"larger volumes", `spec: {storage: {size: 20Gi}}`, "", ""}},
		{`{}`, change{"the same size in other words", `spec: {storage: {size: 10240Mi}}`, "", ""}},
		{`{}`, change{"smaller volumes", `spec: {storage: {size: 9Gi}}`, "spec.storage.size", "volumes only grow"}},
		{`{}`, change{"volumes of a class", `spec: {storage: {class: fast}}`, "spec.storage.class", "make a cluster of the other class beside"}},
		{`spec: {storage: {class: fast}}`, change{"volumes of another class", `spec: {storage: {class: slow}}`, "spec.storage.class", "make a cluster of the other class beside"}},
		{`spec: {storage: {class: fast}}`, change{"volumes of no class", `{}`, "spec.storage.class", "make a cluster of the other class beside"}},
		{`spec: {storage: {class: fast}}`, change{"volumes of the same class", `spec: {storage: {class: fast, size: 11Gi}}`, "", ""}},
		{`{}`, change{"what happens to volumes", `spec: {storage: {whenScaled: Delete, whenDeleted: Delete}}`, "", ""}},
		{`{}`, change{"other timers", `spec: {jetStream: {raftTimers: Stock}}`, "spec.jetStream.raftTimers", "make a cluster beside this one"}},
		{`spec: {jetStream: {raftTimers: Stock}}`, change{"timers left out", `{}`, "spec.jetStream.raftTimers", "make a cluster beside this one"}},
		{`spec: {jetStream: {raftTimers: Stock}}`, change{"the same timers", `spec: {jetStream: {raftTimers: Stock, syncAlways: true}}`, "", ""}},
		{`spec: {jetStream: {historyClasses: [{name: a}]}}`, change{"a class taken out", `{}`, "", ""}},
		{`{}`, change{"another image", `spec: {image: a}`, "", ""}},
		{`spec: {image: a}`, change{"a version in place of an image", `spec: {version: 1.2.0}`, "", ""}},
		{`{}`, change{"an issuer", `spec: {tls: {route: {issuerRef: {name: a}}}}`, "", ""}},
		{`{}`, change{"a balancer", `spec: {expose: {type: LoadBalancer, loadBalancerClass: a}}`, "", ""}},
		{`spec: {expose: {type: LoadBalancer, loadBalancerClass: a}}`, change{"no balancer", `{}`, "", ""}},
		{`spec: {expose: {type: LoadBalancer, loadBalancerClass: a}}`,
			change{"another balancer", `spec: {expose: {type: LoadBalancer, loadBalancerClass: b}}`, "spec.expose.loadBalancerClass", "ClusterIP first"}},
		{`spec: {expose: {type: LoadBalancer}}`,
			change{"a balancer's class", `spec: {expose: {type: LoadBalancer, loadBalancerClass: b}}`, "spec.expose.loadBalancerClass", "ClusterIP first"}},
	} {
		t.Run(c.name, func(t *testing.T) { c.judge(t, d.Update(t, laid(t, least, c.old), laid(t, least, c.over))) })
	}
}
