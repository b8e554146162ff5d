// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"maps"
	"reflect"
	"regexp"
	"strings"
)

// fields are what the comments say of the fields of each struct, by their names in JSON. Fields and constants that a comment names have there
// the name and the value that a reader of JSON meets.
func fields(files []*ast.File) map[string]map[string]string {
	structs, texts := map[string]*ast.StructType{}, map[string]string{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if t, ok := n.(*ast.TypeSpec); ok {
				if s, ok := t.Type.(*ast.StructType); ok {
					structs[t.Name.Name] = s
				}
			}
			return true
		})
		for _, d := range f.Decls {
			if _, ok := d.(*ast.GenDecl); ok {
				name(texts, d)
			}
		}
	}
	all := map[string]map[string]string{}
	for name, s := range structs {
		all[name] = fieldsOf(structs, s, texts)
	}
	return all
}

func fieldsOf(structs map[string]*ast.StructType, s *ast.StructType, texts map[string]string) map[string]string {
	abouts, names := map[string]string{}, maps.Clone(texts)
	for _, f := range s.Fields.List {
		if id, ok := f.Type.(*ast.Ident); ok && len(f.Names) == 0 && structs[id.Name] != nil { // what is in a struct within is in this one
			maps.Copy(abouts, fieldsOf(structs, structs[id.Name], texts))
		}
		if len(f.Names) == 0 || f.Tag == nil {
			continue
		}
		name, _, _ := strings.Cut(reflect.StructTag(text(nil, f.Tag)).Get("json"), ",")
		names[f.Names[0].Name] = name
		abouts[name] = withoutName(f.Names[0].Name, strings.Join(strings.Fields(f.Doc.Text()), " "))
	}
	for name, about := range abouts {
		about = strings.ReplaceAll(about, "ne of the Code constants", "ne of the [codes](errors.md#codes)")
		abouts[name] = word.ReplaceAllStringFunc(about, func(w string) string {
			if known, ok := names[w]; ok {
				return "`" + known + "`"
			}
			return w
		})
	}
	return abouts
}

// word is what may be a name of the sources.
var word = regexp.MustCompile(`\b[A-Z][A-Za-z]*\b`)

// withoutName takes "Name is" from the begin of a comment.
func withoutName(name, about string) string {
	rest, found := strings.CutPrefix(about, name+" is ")
	if !found {
		return about
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}
