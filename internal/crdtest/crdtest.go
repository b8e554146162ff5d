// SPDX-License-Identifier: Apache-2.0

// Package crdtest judges manifests in the test process as an API server does, with the API server's own code: defaults, schema and CEL
// rules of the definitions in config/crd. Only tests import it.
package crdtest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Definition is a CustomResourceDefinition of which one version is judged.
type Definition struct {
	CRD        *apiextensions.CustomResourceDefinition
	Structural *schema.Structural

	schema validation.SchemaValidator
	cel    *cel.Validator
}

// Root is the folder of the repository: tests run within it.
func Root() string {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	return dir
}

// loaded are definitions by name: to compile their rules takes seconds.
var loaded struct {
	sync.Mutex
	by map[string]*Definition
}

// MustLoad reads the definition config/crd/bases/<name>.yaml, once in a process. It must not be changed.
func MustLoad(t testing.TB, name string) *Definition {
	t.Helper()
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.by[name] == nil {
		if loaded.by == nil {
			loaded.by = map[string]*Definition{}
		}
		loaded.by[name] = load(t, name)
	}
	return loaded.by[name]
}

func load(t testing.TB, name string) *Definition {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Root(), "config", "crd", "bases", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(b, &v1); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	d := &Definition{CRD: &apiextensions.CustomResourceDefinition{}}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, d.CRD, nil); err != nil {
		t.Fatal(err)
	}
	d.CRD.Status.StoredVersions = []string{v1.Spec.Versions[0].Name}
	// With a single version the conversion lifts its schema to the top.
	props := d.CRD.Spec.Validation
	if props == nil {
		props = d.CRD.Spec.Versions[0].Schema
	}
	if d.Structural, err = schema.NewStructural(props.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	if d.schema, _, err = validation.NewSchemaValidator(props.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	d.cel = cel.NewValidator(d.Structural, true, celconfig.PerCallLimit)
	return d
}

// MustParse reads one manifest and completes it with defaults. Field names that the definition does not know fail the test.
func (d *Definition) MustParse(t testing.TB, manifest string) map[string]any {
	t.Helper()
	obj, unknown, err := d.parse(manifest)
	if err != nil || len(unknown) > 0 {
		t.Fatalf("manifest: %v, unknown fields %v\n%s", err, unknown, manifest)
	}
	return obj
}

func (d *Definition) parse(manifest string) (obj map[string]any, unknown []string, err error) {
	b, err := yaml.YAMLToJSONStrict([]byte(manifest))
	if err != nil {
		return nil, nil, err
	}
	obj, err = decode(b)
	if err != nil {
		return nil, nil, err
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, d.Structural)
	unknown = pruning.PruneWithOptions(obj, d.Structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.Default(obj, d.Structural)
	return obj, unknown, nil
}

// decode is as the API server decodes: whole numbers are int64.
func decode(b []byte) (map[string]any, error) {
	var obj map[string]any
	if err := json.Unmarshal(b, &obj); err != nil {
		return nil, err
	}
	return whole(obj).(map[string]any), nil
}

func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	}
	return v
}

// Create says what is wrong with a manifest that is applied for the first time, as kubectl apply shows it; unknown fields too.
func (d *Definition) Create(t testing.TB, manifest string) field.ErrorList {
	t.Helper()
	return d.judge(t, manifest, "")
}

// Update says what is wrong with a manifest that is applied over another one.
func (d *Definition) Update(t testing.TB, old, manifest string) field.ErrorList {
	t.Helper()
	return d.judge(t, manifest, old)
}

func (d *Definition) judge(t testing.TB, manifest, old string) (errs field.ErrorList) {
	t.Helper()
	obj, unknown, err := d.parse(manifest)
	if err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	for _, name := range unknown {
		errs = append(errs, field.Forbidden(field.NewPath(name), "unknown field"))
	}
	var before map[string]any
	if old != "" {
		before = d.MustParse(t, old)
		errs = append(errs, validation.ValidateCustomResourceUpdate(nil, obj, before, d.schema)...)
	} else {
		errs = append(errs, validation.ValidateCustomResource(nil, obj, d.schema)...)
	}
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.Structural, obj)...)
	if blocking(errs) {
		return errs
	}
	var previous any
	if before != nil {
		previous = before
	}
	rules, _ := d.cel.Validate(context.Background(), nil, d.Structural, obj, previous, celconfig.RuntimeCELCostBudget)
	return append(errs, rules...)
}

// blocking is true for errors after which the API server does not evaluate rules.
func blocking(errs field.ErrorList) bool {
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}

// MustDecode reads a manifest, completed with defaults, into a typed object.
func (d *Definition) MustDecode(t testing.TB, manifest string, into any) {
	t.Helper()
	b, err := json.Marshal(d.MustParse(t, manifest))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, into); err != nil {
		t.Fatal(err)
	}
}
