// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.FromSlogHandler(natstest.Logger().Handler()))
	// An informer that is stopped while an event is on its way leaves this one behind, whoever stops it.
	ofInformers := goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop")
	goleak.VerifyTestMain(tests{m}, natstest.Leaks(ofInformers)...)
}

// tests are run, and then the control plane is stopped, before leaks are looked for.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	if plane == nil {
		return code
	}
	plane.stop()
	os.RemoveAll(plane.dir)
	if unused := plane.witness.unused(&plane.role); code == 0 && whole() && len(unused) > 0 {
		fmt.Fprintf(os.Stderr, "no test has the operator need these rights, take them out of rights.go or test what they are for:\n  %s\n", strings.Join(unused, "\n  "))
		return 1
	}
	return code
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
