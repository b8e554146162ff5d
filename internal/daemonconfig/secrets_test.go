// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"os"
	"strings"
	"testing"
)

func TestSecretsInFiles(t *testing.T) {
	config := mustFile(t, "cluster-pass: hunter2")
	pass := mustFile(t, "hunter2\n")
	c := Default()
	c.ClusterPassFile = pass
	for _, mode := range []os.FileMode{0o600, 0o640, 0o440} {
		for _, path := range []string{config, pass} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.RouteSecret(); got != "hunter2" || err != nil {
			t.Errorf("mode %04o: secret %q, %v", mode, got, err)
		}
		if l := mustLoad(t, []string{"--config", config}, nil); l.ClusterPass != "hunter2" {
			t.Errorf("mode %04o: secret %q of the configuration file", mode, l.ClusterPass)
		}
	}
	for _, path := range []string{config, pass} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, passErr := c.RouteSecret()
	_, configErr := load(t, []string{"--config", config}, nil)
	for what, err := range map[string]error{"secret": passErr, "configuration": configErr} {
		if err == nil || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s file that all may read: error %v", what, err)
		}
	}
	for what, text := range map[string]string{"empty": "\n", "two lines": "a\nb\n", "a hash": "$2a$11$abc"} {
		c.ClusterPassFile = mustFile(t, text)
		if got, err := c.RouteSecret(); err == nil || got != "" && what != "a hash" {
			t.Errorf("%s: secret %q, no error", what, got)
		}
	}
	c.ClusterPassFile = "/nonexistent/pass"
	if _, err := c.RouteSecret(); err == nil || !strings.Contains(err.Error(), "--cluster-pass-file") {
		t.Errorf("no file: error %v", err)
	}
}

func TestSecondSecretOfRoutes(t *testing.T) {
	c := Default()
	c.ClusterPassFile, c.ClusterPassAlsoFile = mustFile(t, "hunter2\n"), "/nonexistent/also"
	expect := func(what string, want RouteSecrets) {
		t.Helper()
		if got, err := c.RouteSecrets(); got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	expect("no file", RouteSecrets{Dial: "hunter2"})
	c.ClusterPassAlsoFile = mustFile(t, "\n")
	expect("an empty file", RouteSecrets{Dial: "hunter2"})
	c.ClusterPassAlsoFile = mustFile(t, "hunter3\n")
	expect("a secret", RouteSecrets{Dial: "hunter2", Also: "hunter3"})
	c.ClusterPass, c.ClusterPassFile = "hunter1", ""
	expect("a first one that is no file's", RouteSecrets{Dial: "hunter1", Also: "hunter3"})

	if err := os.Chmod(c.ClusterPassAlsoFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := c.RouteSecrets(); err == nil || got != (RouteSecrets{}) || !strings.Contains(err.Error(), "--cluster-pass-also-file") || strings.Contains(err.Error(), "hunter") {
		t.Errorf("a file that all may read: %+v, error %v", got, err)
	}
	for what, text := range map[string]string{"two lines": "a\nb\n", "a hash": "$2a$11$abc"} {
		c.ClusterPassAlsoFile = mustFile(t, text)
		if got, err := c.RouteSecrets(); err == nil || got != (RouteSecrets{}) {
			t.Errorf("%s: %+v, no error", what, got)
		}
	}
}
