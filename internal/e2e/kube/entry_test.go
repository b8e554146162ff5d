// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestEntryNodePort: the nats command line, as it comes, enters from outside of Kubernetes by a port of a machine, with what the Secret and the
// ConfigMap hold; and what it appends is kept.
func TestEntryNodePort(t *testing.T) {
	const machine = "10.77.0.13"
	l := mustSpace(t, "demo", "")
	l.step("a bus that machines expose, and a writer", func() {
		l.apply(3, ", expose: {type: NodePort}, tls: {client: {names: ["+machine+"]}}")
		l.enter()
	})
	port := l.run("kubectl get -n " + l.Namespace + ` service/demo -o 'jsonpath={.spec.ports[?(@.port==4222)].nodePort}'`)
	// nats runs where there is no pod; admin.nk and ca.crt are what enter has read of the Secret and the ConfigMap.
	nats := func(key, command string) string {
		return l.run(fmt.Sprintf(`U=$(unibus key show %s) R=$(cat room)
			devcluster node exec control %s --server tls://%s:%s --tlsca "$PWD/ca.crt" --nkey "$PWD/%[1]s" --inbox-prefix "_INBOX.$U" %[5]s`,
			key, filepath.Join(l.Root, ".cache", "clients", "nats"), machine, port, command))
	}
	l.step("nats: rooms, append, history", func() {
		l.forwarded(`unibus room create talk --class lab; unibus member add talk writer
			unibus room show talk -o json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' > room`)
		if out := nats("admin.nk", `request "unibus.$U.rooms" ''`); !strings.Contains(out, `"rooms"`) {
			t.Errorf("rooms of the admin: %s", out)
		}
		if out := nats("writer.nk", `request "unibus.$U.rooms" ''`); !strings.Contains(out, `"name":"talk"`) {
			t.Errorf("rooms of the writer: %s", out)
		}
		if out := nats("writer.nk", `request -H "Nats-Msg-Id:one" "unibus.$U.append.$R" 'to be kept'`); !strings.Contains(out, `"seq"`) {
			t.Errorf("appended: %s", out)
		}
		if out := nats("writer.nk", `request --wait-for-empty --reply-timeout 5s "unibus.$U.history.$R" '{"last": 10}'`); !strings.Contains(out, "to be kept") {
			t.Errorf("history: %s", out)
		}
	})
	l.step("what the NetworkPolicy lets through, as an analyser judges", l.judge)
	l.conclude()
}

// judge asks about the ports of nodes: only nodes reach those for routes, only the operator reaches those for orders, and anybody enters as a client.
func (l *lab) judge() {
	l.Helper()
	node, other, stranger, operator := l.Namespace+"/demo-0", l.Namespace+"/demo-1", l.Namespace+"/"+l.writer, l.Operators+"/"+l.pods(l.Operators)[0].Name
	const routes, control, nats, api = 6222, 6223, 4222, 8223
	for _, c := range []struct {
		from    string
		port    int
		allowed bool
	}{
		{other, routes, true}, {other, control, false}, {operator, control, true}, {operator, routes, false},
		{stranger, routes, false}, {stranger, control, false}, {stranger, nats, true}, {stranger, api, true},
	} {
		said, err := l.shell(l.Context(), fmt.Sprintf("devcluster allows %s %s %d", c.from, node, c.port), "")
		if err != nil && !strings.Contains(err.Error(), "denied by NetworkPolicy "+l.Namespace+"/demo-node") {
			l.Fatal(err)
		}
		if allowed := err == nil && said == "allowed\n"; allowed != c.allowed {
			l.Errorf("from %s to port %d: allowed is %v, want %v", c.from, c.port, allowed, c.allowed)
		}
	}
}
