// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Setting is one effective value with its place in the schema and its origin.
type Setting struct {
	File   string `json:"file"`
	Key    string `json:"key"` // path, such as backends.hessen.limits.rate or listen[0].address
	Value  string `json:"value"`
	Origin string `json:"origin"` // default, file:line:col, env PVGATE_X or flag --x
}

// Settings lists every effective value in the order of the schema, defaults
// included. Secrets never stand in a configuration, only the paths of the files
// that hold them, so nothing is hidden here.
func (c *Config) Settings() []Setting {
	var out []Setting
	for _, f := range c.shown() {
		walkNode(f.name, "", f.node, &out)
	}
	return out
}

// WriteYAML prints the effective configuration as YAML, one document for each
// file, with the origin of each value as a comment.
func (c *Config) WriteYAML(w io.Writer) error {
	for i, f := range c.shown() {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return fmt.Errorf("print the configuration: %w", err)
			}
		}
		var buf bytes.Buffer
		fmt.Fprintf(&buf, "--- # %s\n", f.name)
		enc := yaml.NewEncoder(&buf)
		enc.SetIndent(2)
		if err := enc.Encode(f.node); err != nil {
			return fmt.Errorf("print the configuration: %w", err)
		}
		if _, err := w.Write(buf.Bytes()); err != nil {
			return fmt.Errorf("print the configuration: %w", err)
		}
	}
	return nil
}

type shownFile struct {
	name string
	node *yaml.Node
}

// shown renders the files: pvgate.yaml with its own route blocks, then the
// route files.
func (c *Config) shown() []shownFile {
	root := c.Root
	if len(c.Files) > 0 {
		root.Routes = c.Files[0].Blocks
	}
	name := "pvgate.yaml"
	if len(c.Files) > 0 {
		name = c.Files[0].Name
	}
	out := []shownFile{{name, showBlock(reflect.ValueOf(&root).Elem())}}
	for i := 1; i < len(c.Files); i++ {
		f := c.Files[i]
		out = append(out, shownFile{f.Name, showBlock(reflect.ValueOf(f).Elem())})
	}
	return out
}

// shower is a type that renders itself; nil is nothing to show.
type shower interface{ show() *yaml.Node }

func showBlock(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if p, ok := fv.Addr().Interface().(*Int); ok && f.def == "" && !p.Set() {
			continue // no number at all, not 0
		}
		if p, ok := fv.Addr().Interface().(*Duration); ok && f.def == "" && !p.Set() {
			continue
		}
		if val := showValue(fv); val != nil {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.key}, val)
		}
	}
	if len(n.Content) == 0 {
		return nil
	}
	return n
}

func showValue(v reflect.Value) *yaml.Node {
	switch p := v.Addr().Interface().(type) {
	case shower:
		return p.show()
	case *Text:
		if p.V == "" && !p.Set() {
			return nil
		}
		return showScalar("!!str", p.V, p.Origin)
	case *Int:
		return showScalar("!!int", strconv.Itoa(p.V), p.Origin)
	case *Bool:
		return showScalar("!!bool", strconv.FormatBool(p.V), p.Origin)
	case *Duration:
		return showScalar("!!str", shortDuration(p.V), p.Origin)
	case *Rate:
		if p.V.Count == 0 {
			return nil
		}
		return showScalar("!!str", p.V.String(), p.Origin)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return showBlock(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			if item := showValue(v.Index(i)); item != nil {
				n.Content = append(n.Content, item)
			}
		}
		return n
	default:
		return showBlock(v)
	}
}

func showScalar(tag, value string, o Origin) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value, LineComment: "# " + o.String()}
}

// shortDuration drops the zero parts Go prints: 1m0s is 1m.
func shortDuration(d time.Duration) string {
	switch {
	case d > 0 && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d > 0 && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return d.String()
}

func (m *Map[T]) show() *yaml.Node {
	if len(*m) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := range *m {
		item := &(*m)[i]
		val := showValue(valueOf(&item.V))
		if val == nil {
			val = showScalar("!!str", "", item.Name.Origin)
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: item.Name.V}, val)
	}
	return n
}

// show leaves out the defaults of keys that mean nothing in the backend's mode;
// what is printed can be loaded.
func (b *Backend) show() *yaml.Node {
	n := showBlock(valueOf(b))
	if b.Mode.V == "redirect" {
		dropKey(n, "isolation", !b.Isolation.Set())
		dropKey(n, "pick", !b.Pick.Set())
		dropKey(n, "timeouts", b.Timeouts.At.Where == FromDefault)
		dropKey(n, "tunnels", b.Tunnels.At.Where == FromDefault)
	}
	return n
}

func (s *Source) show() *yaml.Node {
	n := showBlock(valueOf(s))
	dropKey(n, "columns", s.Type.V != "csv" && s.Columns.At.Where == FromDefault)
	dropKey(n, "lookup", !s.LookedUp() && s.Lookup.At.Where == FromDefault)
	return n
}

func dropKey(n *yaml.Node, key string, drop bool) {
	for i := 0; drop && n != nil && i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
		}
	}
}

func (h *Hosts) show() *yaml.Node {
	if h.Any {
		return showScalar("!!str", "any", h.Origin)
	}
	return showValue(valueOf(&h.Names))
}

func (a *Adoptions) show() *yaml.Node {
	if a.CSV.V != "" {
		n := &yaml.Node{Kind: yaml.MappingNode}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "csv"},
			showScalar("!!str", a.CSV.V, a.CSV.Origin))
		return n
	}
	return showValue(valueOf(&a.List))
}

func (a *AdoptionAreas) show() *yaml.Node { return (*Map[Text])(a).show() }

func (l *OneList) show() *yaml.Node {
	list := []Text(*l)
	return showValue(valueOf(&list))
}

func (e *Endpoint) show() *yaml.Node {
	if !e.Weight.Set() {
		return showScalar("!!str", e.V, e.Origin)
	}
	return showValue(valueOf(&weighted{e.Text, e.Weight}))
}

func (t *To) show() *yaml.Node {
	if t.Origin.Where == FromDefault {
		return nil
	}
	if len(t.Weights) > 0 {
		return t.Weights.show()
	}
	return showScalar("!!str", t.Target.V, t.Target.Origin)
}

// walkNode flattens a rendered file into settings.
func walkNode(file, key string, n *yaml.Node, out *[]Setting) {
	if n == nil {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			k := n.Content[i].Value
			if key != "" {
				k = key + "." + k
			}
			walkNode(file, k, n.Content[i+1], out)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			walkNode(file, fmt.Sprintf("%s[%d]", key, i), c, out)
		}
	default:
		*out = append(*out, Setting{File: file, Key: key, Value: n.Value, Origin: n.LineComment[2:]})
	}
}
