// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzConfig: whatever a file holds, it is read or refused; what was read can be judged, and is the same when written and read again.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"", "port: 1", "port: [", "a: &a [*a]", "routes: [nats://a:1, \"nats://[::1]:2\"]", "stop-timeout: 1h2m", "max-payload: 1KiB",
		"? {a: b}\n: c", "<<: {port: 1}", "cluster-pass: x", "port: 1\n---\nport: 2", "bind: \"\\0\"", "1: 2", "sync-always: yes", "bind: !!binary AA==",
		"cluster-name: |\n  a\n  b\n", "operator-key: \"S,U,,\"", "max-payload: 9223372036854775807", "port: 0x10", "%YAML 1.1\n---\nport: 1",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil && !strings.Contains(err.Error(), "--") {
			t.Errorf("a problem names no flag: %v", err)
		}
		c.ClusterPass = "" // never written
		again, err := c.Marshal()
		if err != nil {
			t.Fatalf("write %+v: %v", c, err)
		}
		d, err := Parse(again)
		if err != nil {
			t.Fatalf("read what was written: %v\n%s", err, again)
		}
		if diff := cmp.Diff(c, d); diff != "" {
			t.Errorf("written and read again, -first +second:\n%s\n%s", diff, again)
		}
	})
}
