// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
)

// foreign are the modules that the cases import.
var foreign = []string{
	"github.com/nats-io/nats-server/v2",
	"github.com/nats-io/nats.go",
	"github.com/nats-io/jsm.go",
	"github.com/stretchr/testify",
	"github.com/cert-manager/cert-manager",
	"k8s.io/api",
	"k8s.io/apimachinery",
	"k8s.io/client-go",
	"sigs.k8s.io/controller-runtime",
}

type importCase struct {
	folder, imports string
	test            bool // in a test file
	allowed         bool // to see that not everything is reported
}

// file is in a package of its own for each case: none can hide behind another, and no two import each other.
func (c importCase) file(i int) string {
	name := "case.go"
	if c.test {
		name = "case_test.go"
	}
	return filepath.Join(c.folder, fmt.Sprintf("case%d", i), name)
}

var cases = []importCase{
	{folder: "api/membership/v1", imports: "github.com/nats-io/nats.go"},
	{folder: "api/membership/v1", imports: module + "/internal/scaling"},
	{folder: "api/v1alpha1", imports: "k8s.io/client-go/applyconfigurations/core/v1"},
	{folder: "api/v1alpha1", imports: "sigs.k8s.io/controller-runtime/pkg/client"},
	{folder: "api/v1alpha1", imports: module + "/internal/manifests"},
	{folder: "api/v1alpha1", imports: "k8s.io/apimachinery/pkg/apis/meta/v1", allowed: true},
	{folder: "api/client", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "api/client", imports: module + "/internal/jsadmin"},
	{folder: "internal/scaling", imports: "github.com/nats-io/nats.go"},
	{folder: "internal/scaling", imports: module + "/api/membership/v1"},
	{folder: "internal/jsadmin", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "internal/jsadmin", imports: "github.com/nats-io/jsm.go"},
	{folder: "internal/jsadmin", imports: module + "/internal/embeddednats"},
	{folder: "internal/jsadmin", imports: module + "/internal/cli"},
	{folder: "internal/manifests", imports: "k8s.io/client-go/kubernetes"},
	{folder: "internal/manifests", imports: "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned"},
	{folder: "internal/manifests", imports: "sigs.k8s.io/controller-runtime/pkg/client"},
	{folder: "internal/manifests", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "internal/manifests", imports: module + "/internal/scaling"},
	{folder: "internal/manifests", imports: module + "/internal/crdtest"},
	{folder: "internal/manifests", imports: "k8s.io/client-go/applyconfigurations/apps/v1", allowed: true},
	{folder: "internal/manifests", imports: "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1", allowed: true},
	{folder: "internal/manifests", imports: module + "/internal/daemonconfig", allowed: true},
	{folder: "internal/manifests", imports: module + "/internal/crdtest", test: true, allowed: true},
	{folder: "internal/steering", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "internal/steering", imports: "k8s.io/api/core/v1"},
	{folder: "internal/steering", imports: module + "/internal/cli"},
	{folder: "controllers", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "controllers", imports: "github.com/nats-io/nats.go"},
	{folder: "controllers", imports: module + "/internal/formation"},
	{folder: "controllers", imports: module + "/internal/crdtest"},
	{folder: "controllers", imports: "sigs.k8s.io/controller-runtime/pkg/client", allowed: true},
	{folder: "controllers", imports: module + "/internal/steering", allowed: true},
	{folder: "internal/operator", imports: module + "/internal/jsadmin"},
	{folder: "internal/operator", imports: module + "/controllers", allowed: true},
	{folder: "cmd/unibus-operator", imports: module + "/controllers"},
	{folder: "cmd/unibus-operator", imports: module + "/internal/operator", allowed: true},
	{folder: "internal/cli", imports: module + "/internal/operator"},
	{folder: "internal/daemonconfig", imports: module + "/internal/manifests"},
	{folder: "internal/membershipd", imports: module + "/api/v1alpha1"},
	{folder: "internal/cli", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "internal/cli", imports: module + "/internal/formation"},
	{folder: "internal/console", imports: "github.com/nats-io/nats.go"},
	{folder: "internal/file", imports: module + "/internal/console"},
	{folder: "internal/contexts", imports: module + "/internal/jsadmin"},
	{folder: "internal/doctor", imports: "github.com/nats-io/nats.go"},
	{folder: "internal/doctor", imports: module + "/internal/httpapi"},
	{folder: "internal/benchmark", imports: "github.com/nats-io/nats.go"},
	{folder: "internal/benchmark", imports: module + "/internal/console"},
	{folder: "internal/chat", imports: "github.com/nats-io/nats.go"},
	{folder: "internal/chat", imports: module + "/internal/talk"},
	{folder: "internal/talk", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "internal/talk", imports: "github.com/nats-io/nats.go"},
	{folder: "internal/talk", imports: module + "/internal/scaling"},
	{folder: "cmd/unibus", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "cmd/unibus", imports: module + "/internal/membershipd"},
	{folder: "cmd/membershipd", imports: "k8s.io/client-go/rest"},
	{folder: "internal/embeddednats", imports: "k8s.io/api/core/v1"},
	{folder: "internal/embeddednats", imports: "k8s.io/api/apps/v1", test: true},
	{folder: "internal/busauth", imports: "sigs.k8s.io/controller-runtime/pkg/client"},
	{folder: "internal/busauth", imports: module + "/internal/formation"},
	{folder: "internal/formation", imports: "k8s.io/client-go/kubernetes"},
	{folder: "internal/formation", imports: module + "/internal/busauth"},
	{folder: "internal/httpapi", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "internal/httpapi", imports: "github.com/nats-io/nats.go"},
	{folder: "internal/httpapi", imports: module + "/internal/rooms"},
	{folder: "internal/daemonconfig", imports: "github.com/nats-io/nats-server/v2/server"},
	{folder: "internal/membershipd", imports: "k8s.io/client-go/rest"},
	{folder: "internal/membershipd", imports: module + "/internal/scaling"},
	{folder: "internal/membershipd", imports: module + "/internal/natstest"},
	{folder: "internal/trial", imports: module + "/internal/talk"},
	{folder: "internal/embeddednats", imports: module + "/internal/membershipd"},
	{folder: "internal/membershipd", imports: module + "/internal/e2e/load"},
	{folder: "internal/e2e/load", imports: module + "/internal/natstest", allowed: true},
	{folder: "internal/scaling", imports: "github.com/stretchr/testify/require", test: true},
	{folder: "internal/jsadmin", imports: "github.com/nats-io/nats.go/jetstream", allowed: true},
	{folder: "internal/embeddednats", imports: "github.com/nats-io/nats-server/v2/server", allowed: true},
	{folder: "internal/jsadmin", imports: module + "/internal/natstest", test: true, allowed: true},
	{folder: "cmd/unibus", imports: module + "/internal/cli", allowed: true},
}
