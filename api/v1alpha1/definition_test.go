// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/crdtest"
)

const definition = "unibus.dev_unibusclusters"

// The API server takes the definition: structural schema, defaults, rules that compile, and their estimated cost within its limits.
func TestDefinition(t *testing.T) {
	d := crdtest.MustLoad(t, definition)
	for _, err := range validation.ValidateCustomResourceDefinition(context.Background(), d.CRD) {
		t.Error(err)
	}
}

// The rules compile with the functions of the lowest version of Kubernetes that is stated, and with no lower one.
func TestLowestKubernetes(t *testing.T) {
	d := crdtest.MustLoad(t, definition)
	lowest := version.MustParseGeneric(v1alpha1.LowestKubernetes)
	for _, err := range compiled(d.Structural, true, environment.MustBaseEnvSet(lowest)) {
		t.Error(err)
	}
	if lower := lowest.SubtractMinor(1); len(compiled(d.Structural, true, environment.MustBaseEnvSet(lower))) == 0 {
		t.Errorf("the rules compile with %s too: state that", lower)
	}
}

// compiled returns what fails to compile in a schema and below it.
func compiled(s *schema.Structural, root bool, env *environment.EnvSet) (errs []error) {
	results, err := cel.Compile(s, model.SchemaDeclType(s, root), celconfig.PerCallLimit, env, cel.NewExpressionsEnvLoader())
	if err != nil {
		errs = append(errs, err)
	}
	for _, r := range results {
		if r.Error != nil {
			errs = append(errs, r.Error)
		}
	}
	for name := range s.Properties {
		below := s.Properties[name]
		errs = append(errs, compiled(&below, false, env)...)
	}
	if s.Items != nil {
		errs = append(errs, compiled(s.Items, false, env)...)
	}
	return errs
}
