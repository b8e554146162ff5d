// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bytes"
	"strings"
	"testing"
)

// TestParse: what would leave the operator without its place, or nodes without protection, is refused before anything is started.
func TestParse(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--operator-namespace", "unibus-system"}, ""},
		{nil, "--operator-namespace"},
		{[]string{"--operator-namespace", "a", "b"}, `"b" is no flag`},
		{[]string{"--operator-namespace", "a", "--operator-labels", ""}, "--operator-labels"},
		{[]string{"--operator-namespace", "a", "--client-ca-grace", "24h"}, ""},
		{[]string{"--operator-namespace", "a", "--client-ca-grace", "0s"}, "--client-ca-grace"},
		{[]string{"--operator-namespace", "a", "--nothing"}, "unknown flag"},
	} {
		var out bytes.Buffer
		_, err := parse(c.args, &out)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.args, err, c.says)
		}
	}
	if code := Main([]string{"--operator-namespace", "a", "--log-level", "loud"}, new(bytes.Buffer)); code != ExitRefused {
		t.Errorf("exit code %d", code)
	}
	if code := Main([]string{"--help"}, new(bytes.Buffer)); code != ExitOK {
		t.Errorf("exit code %d of --help", code)
	}
}
