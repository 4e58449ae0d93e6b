// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
)

// dialect is the version of JSON Schema that is written.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// RootSchema returns the JSON Schema of pvgate.yaml, RouteSchema that of the files of routes.d: for editors, which complete
// keys and show faults while one types. Like [Reference] they are made from the tags that the loader itself obeys. They
// hold keys, kinds of values and forms; what spans several keys or files is for check to say.
func RootSchema() []byte { return schemaOf("pvgate.yaml", reflect.TypeFor[Root]()) }

// RouteSchema returns the JSON Schema of the files of routes.d; see [RootSchema].
func RouteSchema() []byte { return schemaOf("routes.d/**.yaml", reflect.TypeFor[RouteFile]()) }

// node is a schema, or a part of one.
type node = map[string]any

func schemaOf(title string, t reflect.Type) []byte {
	s := schemas{defs: node{}}
	top := s.block(t)
	top["$schema"], top["title"], top["$defs"] = dialect, title, s.defs
	text, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // nothing in it cannot be written
	}
	return append(text, '\n')
}

// schemas gathers the blocks that a file may hold, by their names.
type schemas struct{ defs node }

// nodeSchema is a type that describes the nodes it reads.
type nodeSchema interface{ schema(s *schemas) node }

// block describes a mapping of the keys of a struct.
func (s *schemas) block(t reflect.Type) node {
	properties, required := node{}, []string{}
	for _, f := range fieldsOf(t) {
		p := s.value(t.FieldByIndex(f.index).Type, &f)
		if f.help != "" {
			p["description"] = f.help
		}
		properties[f.key] = p
		if f.need != "" {
			required = append(required, f.key)
		}
	}
	n := node{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		n["required"] = required
	}
	return n
}

// reference describes a block by its name.
func (s *schemas) reference(t reflect.Type) node {
	name := strings.ToLower(t.Name())
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = nil // a block may hold itself
		s.defs[name] = s.block(t)
	}
	return node{"$ref": "#/$defs/" + name}
}

// value describes what one key takes.
func (s *schemas) value(t reflect.Type, f *field) node {
	if special, ok := reflect.New(t).Interface().(nodeSchema); ok {
		return special.schema(s)
	}
	switch t {
	case reflect.TypeFor[Text]():
		return withDefault(textSchema(f.is), f.def)
	case reflect.TypeFor[Int]():
		n := node{"type": "integer"}
		for _, r := range ranges {
			if r.is == f.is {
				n["minimum"], n["maximum"] = r.lo, r.hi
			}
		}
		return withDefault(n, json.Number(f.def))
	case reflect.TypeFor[Bool]():
		n := node{"type": "boolean"}
		if f.def != "" {
			n["default"] = f.def == "true"
		}
		return n
	case reflect.TypeFor[Duration]():
		return withDefault(node{"type": "string", "pattern": durationForm}, f.def)
	case reflect.TypeFor[Rate]():
		return node{"type": "string", "pattern": rateForm.String()}
	}
	member := field{is: f.is}
	switch t.Kind() {
	case reflect.Pointer:
		return s.reference(t.Elem())
	case reflect.Struct:
		return s.reference(t)
	case reflect.Slice:
		if v, ok := memberType(t); ok {
			n := node{"type": "object", "propertyNames": textSchema(f.is), "additionalProperties": s.value(v, &field{})}
			return atLeastOne(n, "minProperties", f)
		}
		return atLeastOne(node{"type": "array", "items": s.value(t.Elem(), &member)}, "minItems", f)
	}
	panic("config: no JSON Schema for " + t.String())
}

// durationForm is the form of time.ParseDuration without its sign.
const durationForm = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`

// textSchema describes a text of a form. Forms that are judged by code alone are any text.
func textSchema(is string) node {
	n := node{"type": "string", "minLength": 1}
	if strings.Contains(is, "|") {
		return node{"enum": strings.Split(is, "|")}
	}
	for _, f := range [...]struct {
		is   string
		form *regexp.Regexp
	}{
		{"size", sizeForm},
		{"share", shareForm},
		{"host", hostnameForm},
		{"hostname", hostnameForm},
		{"time", timeForm},
		{"lang", langForm},
		{"mail", mailForm},
		{"phone", phoneForm},
		{"name", labelForm},
		{"sendername", labelForm},
		{"backendname", labelForm},
	} {
		if f.is == is {
			n["pattern"] = f.form.String()
		}
	}
	return n
}

func withDefault[T ~string](n node, def T) node {
	if def != "" {
		n["default"] = def
	}
	return n
}

func atLeastOne(n node, keyword string, f *field) node {
	if f.need != "" {
		n[keyword] = 1
	}
	return n
}

func oneOf(forms ...node) node { return node{"oneOf": forms} }

func listOf(member node) node { return node{"type": "array", "minItems": 1, "items": member} }

func (*Hosts) schema(*schemas) node { return oneOf(node{"const": "any"}, listOf(textSchema(""))) }

func (*OneList) schema(*schemas) node { return oneOf(textSchema(""), listOf(textSchema(""))) }

func (*Endpoint) schema(s *schemas) node {
	return oneOf(textSchema("endpoint"), s.block(reflect.TypeFor[weighted]()))
}

func (*To) schema(*schemas) node {
	weight := node{"type": "integer", "minimum": 1, "maximum": 100}
	return oneOf(textSchema(""), node{"type": "object", "minProperties": 1, "additionalProperties": weight})
}

func (*AdoptionAreas) schema(*schemas) node {
	none := node{"type": "null"}
	return oneOf(listOf(textSchema("")), node{
		"type": "object", "minProperties": 1, "additionalProperties": oneOf(textSchema(""), none, node{"const": ""}),
	})
}

func (*Adoptions) schema(s *schemas) node {
	file := node{"type": "object", "properties": node{"csv": textSchema("path")}, "required": []string{"csv"}, "additionalProperties": false}
	return oneOf(node{"type": "array", "items": s.reference(reflect.TypeFor[Adoption]())}, file)
}
