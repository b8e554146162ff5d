// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/doctor"
)

// TestDoctor: who is well is told so, and who is not by the exit code as well, in each format.
func TestDoctor(t *testing.T) {
	b := mustBus(t)
	if out := mustRun(t, "doctor"); !strings.Contains(out, "you are ann (token)") || strings.Contains(out, "to do:") {
		t.Errorf("of who is well it says:\n%s", out)
	}
	// Messages go on without the API, and doctor finds that out.
	lost := []string{"doctor", "--api", "http://" + strings.TrimPrefix(b.server, "nats://")}
	code, out, _ := invoke(t, "", append(lost, "-o", "json")...)
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != console.ExitFailed || r.Well || r.Findings[len(r.Findings)-1].Code != doctor.OnlyMessages {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	for format, want := range map[string]string{"yaml": "code: not-api", "table": "(not-api)\n         to do: ", "name": "\nnot-api\n"} {
		if code, out, said := invoke(t, "", append(lost, "-o", format)...); code != console.ExitFailed || !strings.Contains(out, want) || !strings.Contains(said, "not all is well") {
			t.Errorf("%s: exit code %d: %s%s", format, code, out, said)
		}
	}
}

// TestDoctorWithoutContext: what keeps other commands from beginning is a finding.
func TestDoctorWithoutContext(t *testing.T) {
	t.Setenv(contexts.EnvFile, filepath.Join(t.TempDir(), "contexts.json"))
	code, out, _ := invoke(t, "", "doctor", "-o", "name")
	if code != console.ExitFailed || out != doctor.ContextMissing+"\n" {
		t.Errorf("exit code %d: %s", code, out)
	}
	expectFailure(t, console.ExitUsage, "is not one of", "doctor", "-o", "xml")
}
