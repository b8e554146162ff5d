// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// stockConfig is a member's configuration as the documentation of nats-server has it, JetStream clustering and accounts
// included; a lone server leaves the cluster block out.
var stockConfig = template.Must(template.New("stock").Parse(`server_name: {{.Name}}
listen: "127.0.0.1:{{.Client}}"
tls {
  cert_file: "{{.Files.Cert}}"
  key_file: "{{.Files.Key}}"
  ca_file: "{{.Files.CA}}"
}
jetstream {
  store_dir: "{{.Store}}"
}
{{if .Routes}}cluster {
  name: bench
  listen: "127.0.0.1:{{.Route}}"
  tls {
    cert_file: "{{.Files.Cert}}"
    key_file: "{{.Files.Key}}"
    ca_file: "{{.Files.CA}}"
    verify: true
  }
  routes: [
{{range .Routes}}    "{{.}}"
{{end}}  ]
}
{{end}}accounts {
  SYS { users: [ { nkey: {{.System}} } ] }
  HISTORY {
    jetstream: enabled
    users: [ { nkey: {{.Data}} } ]
  }
{{if .Users}}  CLIENTS {
    users: [
{{range .Users}}      { nkey: {{.Key}}, permissions: { publish: [ {{.Publish}} ], subscribe: [ {{.Subscribe}} ] } }
{{end}}    ]
  }
{{end}}}
system_account: SYS
`))

// stockUser is a static user, with the subjects that it may use.
type stockUser struct{ Key, Publish, Subscribe string }

// newStock lays out a cluster of size stock servers; it starts nothing.
func newStock(w *workshop, name string, size int) (*bus, error) {
	return newStockUsers(w, name, size, 0)
}

// newStockUsers is newStock with so many static nkeys, of the same users that ours have, with the same rights.
func newStockUsers(w *workshop, name string, size, users int) (*bus, error) {
	var static []stockUser
	for i := range users {
		p, err := newPerson(i)
		if err != nil {
			return nil, err
		}
		publish, subscribe := v1.Grants(p.key, map[string]v1.Role{roomID(i): v1.RoleMember})
		list := func(subjects []string) string { return `"` + strings.Join(subjects, `", "`) + `"` }
		static = append(static, stockUser{p.key, list(publish), list(subscribe)})
	}
	b := &bus{label: "stock", login: func(account string) []nats.Option {
		return []nats.Option{w.keys[account].option(), nats.Secure(w.clientTLS())}
	}}
	ports, err := natstest.FreePorts(2 * size)
	if err != nil {
		return nil, err
	}
	var routes []string
	for i := range size {
		if size > 1 {
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[size+i]))
		}
	}
	for i := range size {
		dir, err := w.folder(name, fmt.Sprint("stock-", i))
		if err != nil {
			return nil, err
		}
		n := &node{name: fmt.Sprint("stock-", i), url: fmt.Sprintf("tls://127.0.0.1:%d", ports[i]),
			store: filepath.Join(dir, "store"), log: filepath.Join(dir, "log")}
		var text strings.Builder
		err = stockConfig.Execute(&text, map[string]any{"Name": n.name, "Client": ports[i], "Route": ports[size+i], "Routes": routes,
			"Files": w.files, "Store": n.store, "System": w.keys[accountSystem].public, "Data": w.keys[accountData].public,
			"Users": static})
		if err != nil {
			return nil, err
		}
		config := filepath.Join(dir, "nats.conf")
		if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
			return nil, err
		}
		n.argv = []string{w.stock, "-c", config}
		b.nodes = append(b.nodes, n)
	}
	return b, nil
}
