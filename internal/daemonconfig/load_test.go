// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func load(t testing.TB, args, environ []string) (*Loaded, error) {
	t.Helper()
	fs := pflag.NewFlagSet("membershipd", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return Load(fs, environ)
}

func mustLoad(t testing.TB, args, environ []string) *Loaded {
	t.Helper()
	l, err := load(t, args, environ)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBindDefault(t *testing.T) {
	c := mustLoad(t, nil, nil).Config
	if c.Bind != "127.0.0.1" || !c.Loopback() {
		t.Errorf("bound to %q by default, want 127.0.0.1", c.Bind)
	}
	got := map[string]string{}
	for name, port := range map[string]int{"nats": c.Port, "http": c.HTTPPort, "control": c.ControlPort, "cluster": c.ClusterPort} {
		got[name] = c.Address(port)
	}
	want := map[string]string{"nats": "127.0.0.1:4222", "http": "127.0.0.1:8222", "control": "127.0.0.1:6223", "cluster": "127.0.0.1:6222"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if c.NATSDebug || c.Open {
		t.Error("the server's debug log and monitoring, or an open server, without being asked for")
	}
}

// TestTable: every setting has a field of its own, a default that can be read, and help.
func TestTable(t *testing.T) {
	var c Config
	fields, seen := map[any]string{}, map[string]bool{}
	for _, s := range settings {
		if other, ok := fields[s.field(&c)]; ok {
			t.Errorf("%s and %s share a field", s.Name, other)
		}
		fields[s.field(&c)] = s.Name
		if seen[s.Name] || s.Name == ConfigFlag || s.Help == "" || strings.HasSuffix(s.Help, ".") || strings.Contains(s.Name, delim) {
			t.Errorf("%s: bad line of the table", s.Name)
		}
		seen[s.Name] = true
		if err := s.set(&c, []string{s.Default}); err != nil {
			t.Errorf("%s: default %q %v", s.Name, s.Default, err)
		}
	}
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Errorf("-Default() +table:\n%s", diff)
	}
	// The names that were there before this program, and are in use.
	for _, name := range []string{"bind", "cluster-name", "server-name", "cluster-port", "routes", "cluster-user", "cluster-pass",
		"route-tls-cert", "route-tls-key", "route-tls-ca"} {
		if !seen[name] {
			t.Errorf("--%s is missing", name)
		}
	}
	if s, ok := lookup("nats-debug"); !ok || s.Env() != "UNIBUS_NATS_DEBUG" {
		t.Error("UNIBUS_NATS_DEBUG is missing")
	}
}

func TestLayers(t *testing.T) {
	file := mustFile(t, `
port: 1
http-port: 1
control-port: "1"
routes: [nats://file:1, nats://file:2]
sync-always: true
stop-timeout: 1m
max-payload: 2MiB
cluster-id: "0123"
`)
	environ := []string{"PATH=/bin", "UNIBUS_CONTEXTS=contexts.json", "UNIBUS_HTTP_PORT=2", "UNIBUS_CONTROL_PORT=2", "UNIBUS_ROUTES=nats://env:1, nats://env:2", "UNIBUS_CONFIG=" + file, "UNIBUS_NATS_DEBUG=1"}
	args := []string{"--control-port=3", "--self-repair=false", "--operator-key=UA,UB", "--operator-key", "UC"}
	l := mustLoad(t, args, environ)
	want := Default()
	want.Port, want.HTTPPort, want.ControlPort = 1, 2, 3
	want.Routes = []string{"nats://env:1", "nats://env:2"}
	want.SyncAlways, want.NATSDebug, want.SelfRepair = true, true, false
	want.StopTimeout, want.MaxPayload, want.ClusterID = time.Minute, 2<<20, "0123"
	want.OperatorKeys = []string{"UA", "UB", "UC"}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got := map[string]Origin{}
	for _, name := range []string{"bind", "port", "http-port", "control-port", "routes", "self-repair", "nats-debug", "stop-timeout"} {
		got[name] = l.Origins[name]
	}
	wantOrigins := map[string]Origin{"bind": FromDefault, "port": FromFile, "http-port": FromEnvironment, "control-port": FromFlag,
		"routes": FromEnvironment, "self-repair": FromFlag, "nats-debug": FromEnvironment, "stop-timeout": FromFile}
	if diff := cmp.Diff(wantOrigins, got); diff != "" {
		t.Errorf("origins, -want +got:\n%s", diff)
	}
	if l := mustLoad(t, []string{"--port=3"}, []string{"UNIBUS_PORT=2"}); l.Port != 3 {
		t.Errorf("without a file: port %d, want the flag's", l.Port)
	}
	// The flag's file beats the environment's, as everywhere.
	if l := mustLoad(t, []string{"--config", mustFile(t, "port: 9\n")}, environ[5:6]); l.Port != 9 {
		t.Errorf("port %d, want that of the file which the flag names", l.Port)
	}
}

// TestEveryLayerCanSetEverything, so that no setting is forgotten in one.
func TestEveryLayerCanSetEverything(t *testing.T) {
	texts := map[string]string{"string": "some", "int": "7", "bool": "true", "duration": "7s", "bytes": "7MiB", "list": "a,b"}
	for _, s := range settings {
		text := texts[s.kind()]
		if s.Name == "self-repair" {
			text = "false"
		}
		for how, l := range map[string]*Loaded{
			"flag": mustLoad(t, []string{"--" + s.Name + "=" + text}, nil),
			"env":  mustLoad(t, nil, []string{s.Env() + "=" + text}),
			"file": mustLoad(t, []string{"--config", mustFile(t, s.Name+": "+text)}, nil),
		} {
			if l.Origins[s.Name] != Origin(how) {
				t.Errorf("%s by %s: origin %s", s.Name, how, l.Origins[s.Name])
			}
			if d := Default(); cmp.Equal(s.value(&l.Config), s.value(&d)) {
				t.Errorf("%s by %s: still %v", s.Name, how, s.value(&l.Config))
			}
		}
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	tests := []struct {
		name          string
		args, environ []string
		file          string
		want          []string
	}{
		{name: "unknown key", file: "clustername: x", want: []string{`unknown key "clustername"`, "did you mean cluster-name?"}},
		{name: "nested key", file: "cluster:\n  name: x", want: []string{`unknown key "cluster.name"`, "cluster-name?"}},
		{name: "key of another world", file: "zzzzzzzzzz: 1", want: []string{`unknown key "zzzzzzzzzz"`, "membershipd config"}},
		{name: "two unknown keys", file: "prot: 1\nroute: a", want: []string{"did you mean port?", "did you mean routes?"}},
		{name: "unknown variable", environ: []string{"UNIBUS_CLUSTER_PASSWORD=secret"}, want: []string{"UNIBUS_CLUSTER_PASSWORD", "did you mean UNIBUS_CLUSTER_PASS?"}},
		{name: "variable of somebody else", environ: []string{"UNIBUS_FOO=1"}, want: []string{"UNIBUS_FOO; `membershipd config` lists"}},
		{name: "short variable that is not near", environ: []string{"UNIBUS_HOST=1"}, want: []string{"UNIBUS_HOST; `membershipd config` lists"}},
		{name: "variable in small letters", environ: []string{"UNIBUS_port=1"}, want: []string{"UNIBUS_port", "UNIBUS_PORT?"}},
		{name: "service link", environ: []string{"UNIBUS_SERVICE_HOST=10.0.0.1"}, want: []string{"enableServiceLinks: false"}},
		{name: "service link in the way", environ: []string{"UNIBUS_PORT=tcp://10.0.0.1:4222"}, want: []string{"UNIBUS_PORT", "enableServiceLinks: false"}},
		{name: "unknown flag", args: []string{"--prot", "1"}, want: []string{"--prot"}},
		{name: "flag that is no number", args: []string{"--port", "many"}, want: []string{"--port", "is no whole number"}},
		{name: "variable that is no number", environ: []string{"UNIBUS_PORT="}, want: []string{"environment variable UNIBUS_PORT is no whole number"}},
		{name: "key that is no number", file: "port: many", want: []string{"node.yaml: port is no whole number"}},
		{name: "key that is half a number", file: "port: 42.5", want: []string{"port is no whole number"}},
		{name: "key that is a list", file: "port: [1, 2]", want: []string{"port is a list"}},
		{name: "key that is a map", file: "port: {}", want: []string{"port is neither"}},
		{name: "key without value", file: "port:", want: []string{"port has no value"}},
		{name: "text that YAML takes for a number", file: "cluster-pass: 0123", want: []string{"cluster-pass is not text; put it between quotes"}},
		{name: "list of numbers", file: "routes: [1]", want: []string{"routes has an item that is not text"}},
		{name: "no duration", file: "stop-timeout: 30", want: []string{"stop-timeout is no duration"}},
		{name: "no bytes", file: "max-payload: 1MB", want: []string{"max-payload is no number of bytes"}},
		{name: "too many bytes", file: "max-payload: 9999999999TiB", want: []string{"max-payload is no number of bytes"}},
		{name: "negative bytes", file: "max-payload: -1", want: []string{"max-payload is no number of bytes"}},
		{name: "neither true nor false", file: "sync-always: perhaps", want: []string{"is neither true nor false"}},
		{name: "same key twice", file: "port: 1\nport: 2", want: []string{"already defined"}},
		{name: "not YAML", file: "port: [", want: []string{"is not YAML of keys and values"}},
		{name: "a list for a file", file: "- port", want: []string{"is not YAML of keys and values"}},
		{name: "two documents", file: "port: 1\n---\nport: 2", want: []string{"more than one YAML document"}},
		{name: "no file", args: []string{"--config", "/nonexistent/x.yaml"}, want: []string{"--config", "/nonexistent/x.yaml"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := tt.args
			if tt.file != "" {
				args = append(args, "--config", mustFile(t, tt.file))
			}
			_, err := load(t, args, tt.environ)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "=secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestFileThatIsFine(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "comment": "# nothing\n", "marker first": "# a node\n---\nport: 1\n", "quoted": "cluster-pass: \"0123\"\n"} {
		if _, err := load(t, []string{"--config", mustFile(t, text)}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrintMasksSecretsAndTellsOrigins(t *testing.T) {
	const secret = "hunter2"
	for how, l := range map[string]*Loaded{
		"flag": mustLoad(t, []string{"--cluster-pass", secret}, nil),
		"env":  mustLoad(t, nil, []string{"UNIBUS_CLUSTER_PASS=" + secret, "UNIBUS_ROUTES=nats://a:1,nats://b:1"}),
		"file": mustLoad(t, []string{"--config", mustFile(t, "cluster-pass: "+secret)}, nil),
	} {
		var b bytes.Buffer
		if err := l.Print(&b); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if strings.Contains(text, secret) || !strings.Contains(text, masked) {
			t.Errorf("%s: the secret is not masked:\n%s", how, text)
		}
		for _, s := range settings {
			if !strings.Contains("\n"+text, "\n"+s.Name+":") {
				t.Errorf("%s: %s is not printed", how, s.Name)
			}
		}
		if !strings.Contains(text, "# "+how) || !strings.Contains(text, "# default") {
			t.Errorf("origins are missing:\n%s", text)
		}
		// What is printed is itself a file.
		c, err := Parse(b.Bytes())
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		c.ClusterPass = secret
		if diff := cmp.Diff(l.Config, c); diff != "" {
			t.Errorf("%s: printed and read again, -want +got:\n%s", how, diff)
		}
		if warned := strings.Contains(strings.Join(l.Warnings, "\n"), "--cluster-pass stands in the command line"); warned != (how == "flag") {
			t.Errorf("%s: warnings %q", how, l.Warnings)
		}
	}
}

func TestMarshal(t *testing.T) {
	c := Default()
	c.Bind, c.ServerName, c.Routes = "0.0.0.0", "bus-0-0", []string{"nats://a:6222", "nats://b:6222"}
	c.StopTimeout, c.MaxPayload, c.SelfRepair, c.ClusterID = 90*time.Second, 3<<20, false, "0123"
	b, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b)
	if err != nil {
		t.Fatalf("%v:\n%s", err, b)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("written and read again, -want +got:\n%s", diff)
	}
	if strings.Contains(string(b), "http-port") {
		t.Errorf("defaults are written:\n%s", b)
	}
	c.ClusterPass = "hunter2"
	if b, err := c.Marshal(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret was written or told: %v\n%s", err, b)
	}
}

func TestHelpHasNoSecretAndEveryDefault(t *testing.T) {
	fs := pflag.NewFlagSet("membershipd", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--cluster-pass", "hunter2"}); err != nil {
		t.Fatal(err)
	}
	help := fs.FlagUsages()
	if strings.Contains(help, "hunter2") || strings.Contains(fs.Lookup("cluster-pass").Value.String(), "hunter2") {
		t.Error("the secret is shown")
	}
	for _, s := range settings {
		if !strings.Contains(help, "--"+s.Name) || !strings.Contains(help, s.Env()) {
			t.Errorf("%s is not in the help", s.Name)
		}
	}
}
