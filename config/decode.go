// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder turns the nodes of one file into the structs of the schema and
// collects every fault it meets.
type decoder struct {
	file  string
	errs  Errors
	known map[reflect.Type][]field
}

// fields are the keys of a block; tags are read once for each type.
func (d *decoder) fields(t reflect.Type) []field {
	fs, ok := d.known[t]
	if !ok {
		if d.known == nil {
			d.known = map[reflect.Type][]field{}
		}
		fs = fieldsOf(t)
		d.known[t] = fs
	}
	return fs
}

// at is the place of a node.
func (d *decoder) at(n *yaml.Node) Origin {
	return Origin{Where: FromFile, Name: d.file, Line: n.Line, Col: n.Column}
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, At(d.at(n), format, args...))
}

// field is one key of the schema.
type field struct {
	key   string
	def   string // default in the form of the file; "" for none
	is    string // name of a form
	need  string // "", "yes", or the text for its absence
	some  bool   // an empty list is an error
	help  string
	index []int // of the struct field
}

// nodeDecoder is a type that reads its own node.
type nodeDecoder interface {
	decodeNode(d *decoder, n *yaml.Node, f *field)
}

var originType = reflect.TypeFor[Origin]()

// fieldsOf lists the keys of a block, those of inline blocks included.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, ok := sf.Tag.Lookup("key")
		if !ok || key == "-" {
			continue
		}
		if key == ",inline" {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				out = append(out, f)
			}
			continue
		}
		out = append(out, field{
			key: key, def: sf.Tag.Get("default"), is: sf.Tag.Get("is"),
			need: sf.Tag.Get("need"), some: sf.Tag.Get("some") == "yes", help: sf.Tag.Get("help"), index: []int{i},
		})
	}
	return out
}

func keysOf(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.key
	}
	return out
}

// block decodes a mapping node into the struct v points to.
func (d *decoder) block(n *yaml.Node, v reflect.Value, f *field) {
	if at := v.FieldByName("At"); at.IsValid() && at.Type() == originType {
		at.Set(reflect.ValueOf(d.at(n)))
	}
	if n.Kind != yaml.MappingNode {
		d.wrongKind(n, f, "a mapping of keys")
		d.setDefaults(v)
		return
	}
	fields := d.fields(v.Type())
	seen := make([]bool, len(fields))
	meant := make([]*yaml.Node, len(fields)) // unknown keys by what they look like
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		j := slices.IndexFunc(fields, func(f field) bool { return f.key == k.Value })
		if j < 0 {
			if near := d.unknownKey(k, keysOf(fields)); near >= 0 {
				meant[near] = k
			}
			continue
		}
		if seen[j] {
			continue // twice: reported by strictKeys
		}
		seen[j] = true
		d.value(val, v.FieldByIndex(fields[j].index), &fields[j])
	}
	for j := range fields {
		if seen[j] {
			continue
		}
		if meant[j] != nil { // its name is reported; what follows from that is not
			d.present(meant[j], v.FieldByIndex(fields[j].index))
			continue
		}
		switch fields[j].need {
		case "":
		case "yes":
			d.fail(n, "%s is missing; write %s: …", fields[j].key, fields[j].key)
		default:
			d.fail(n, "%s", fields[j].need)
		}
		d.setDefault(v.FieldByIndex(fields[j].index), fields[j])
	}
}

// unknownKey reports a key and returns which known one it was meant to be, or -1.
func (d *decoder) unknownKey(k *yaml.Node, known []string) int {
	if near, ok := Nearest(k.Value, known); ok {
		d.fail(k, "unknown key %q; did you mean %q?", k.Value, near)
		return slices.Index(known, near)
	}
	d.fail(k, "unknown key %q; known here: %s", k.Value, strings.Join(known, " "))
	return -1
}

// present marks a value as written but unreadable, so that nothing is said
// about its absence.
func (d *decoder) present(n *yaml.Node, v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *Text:
		p.Origin = d.at(n)
	case *[]Text:
		*p = []Text{{Origin: d.at(n)}}
	case *[]Endpoint:
		*p = []Endpoint{{Text: Text{Origin: d.at(n)}}}
	case *To:
		p.Origin = d.at(n)
	default:
		d.setDefault(v, field{})
	}
}

// value decodes a node into one field.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f *field) {
	switch p := v.Addr().Interface().(type) {
	case nodeDecoder:
		p.decodeNode(d, n, f)
		return
	case *Text:
		d.text(n, p, f)
		return
	case *Int:
		d.number(n, p, f)
		return
	case *Bool:
		d.boolean(n, p, f)
		return
	case *Duration:
		d.duration(n, p, f)
		return
	case *Rate:
		d.rate(n, p, f)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.block(n, v.Elem(), f)
	case reflect.Slice:
		d.list(n, v, f)
	case reflect.Struct:
		d.block(n, v, f)
	default:
		panic("config: the schema holds a " + v.Type().String())
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f *field) {
	if n.Kind != yaml.SequenceNode {
		want := "a list, each member after a -"
		if n.Kind == yaml.ScalarNode && n.Value != "" {
			want = "a list: [" + n.Value + "]"
		}
		d.wrongKind(n, f, want)
		d.present(n, v)
		return
	}
	switch {
	case len(n.Content) > 0:
	case f.need != "":
		d.fail(n, "%s is empty; name at least one", f.key)
	case f.some:
		d.fail(n, "%s is empty, which is not the same as absent; name at least one, or remove it", f.key)
	}
	member := *f
	member.key = singular(f.key)
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.value(c, v.Index(i), &member)
	}
}

// wrongKind reports a node that is none of what the key wants. A mapping where
// a text belongs is mostly a placeholder that YAML took for one.
func (d *decoder) wrongKind(n *yaml.Node, f *field, want string) {
	if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && len(n.Content) == 2 &&
		n.Content[1].Tag == "!!null" && n.Content[1].Value == "" {
		ph := "{" + n.Content[0].Value + "}"
		d.fail(n, "placeholder %s must be quoted; write %q", ph, ph)
		return
	}
	d.fail(n, "%s is %s; it must be %s", f.key, kindName(n), want)
}

// decodeNode reads a mapping with names chosen by the operator.
func (m *Map[T]) decodeNode(d *decoder, n *yaml.Node, f *field) {
	if n.Kind != yaml.MappingNode {
		d.wrongKind(n, f, "a mapping of names")
		return
	}
	if len(n.Content) == 0 && f.need != "" {
		d.fail(n, "%s is empty; name at least one", f.key)
	}
	names := field{key: singular(f.key), is: f.is}
	members := field{key: f.key}
	*m = make(Map[T], len(n.Content)/2)
	for i := range *m {
		k, val := n.Content[2*i], n.Content[2*i+1]
		item := &(*m)[i]
		d.text(k, &item.Name, &names)
		members.key = item.Name.V
		d.value(val, reflect.ValueOf(&item.V).Elem(), &members)
	}
}

// singular is the noun for one member of a mapping.
func singular(key string) string {
	switch key {
	case "leistungen":
		return "leistung"
	case "entries":
		return "entry"
	case "trusted_proxies":
		return "proxy"
	case "aliases":
		return "alias"
	case "to":
		return "backend"
	}
	return strings.TrimSuffix(key, "s")
}

// setDefaults fills a block that is absent.
func (d *decoder) setDefaults(v reflect.Value) {
	for _, f := range d.fields(v.Type()) {
		d.setDefault(v.FieldByIndex(f.index), f)
	}
}

// setDefault gives a field the default of its tag. Optional blocks (pointers),
// lists and maps stay empty.
func (d *decoder) setDefault(v reflect.Value, f field) {
	own, def := decoder{}, f.def
	n := yaml.Node{Kind: yaml.ScalarNode, Value: def}
	switch p := v.Addr().Interface().(type) {
	case nodeDecoder:
	case *Text:
		p.V = def
	case *Int:
		n.Tag = "!!int"
		if def != "" {
			own.number(&n, p, &f)
		}
		p.Origin = Origin{}
	case *Bool:
		p.V = def == "true"
	case *Duration:
		n.Tag = "!!str"
		if def != "" {
			own.duration(&n, p, &f)
		}
		p.Origin = Origin{}
	case *Rate:
		n.Tag = "!!str"
		if def != "" {
			own.rate(&n, p, &f)
		}
		p.Origin = Origin{}
	default:
		if v.Kind() == reflect.Struct {
			d.setDefaults(v)
		}
	}
	if len(own.errs) > 0 {
		panic("config: the default " + def + " does not fit the schema") // held by a test
	}
}
