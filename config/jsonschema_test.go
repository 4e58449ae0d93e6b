// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// compiled reads a schema with somebody else's implementation of JSON Schema.
func compiled(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plainYAML is what an editor makes of a file: the values of YAML 1.2's core schema.
func plainYAML(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return plainYAML(n.Content[0])
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plainYAML(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, plainYAML(c))
		}
		return list
	}
	switch n.Tag {
	case "!!int", "!!float":
		var v float64
		_ = n.Decode(&v)
		return v
	case "!!bool":
		return n.Value == "true"
	case "!!null":
		return nil
	}
	return n.Value
}

// judged validates the configuration files of an archive; unread ones are nobody's.
func judged(t *testing.T, root, routes *jsonschema.Schema, file string) (read int, err error) {
	t.Helper()
	a, failed := txtar.ParseFile(file)
	if failed != nil {
		t.Fatal(failed)
	}
	for _, f := range a.Files {
		s := root
		switch {
		case strings.HasPrefix(f.Name, "routes.d/") && strings.HasSuffix(f.Name, ".yaml"):
			s = routes
		case f.Name != "pvgate.yaml":
			continue
		}
		var doc yaml.Node
		if yaml.Unmarshal(f.Data, &doc) != nil || doc.Kind == 0 {
			continue
		}
		read++
		if wrong := s.Validate(plainYAML(&doc)); wrong != nil && err == nil {
			err = wrong
		}
	}
	return read, err
}

// TestJSONSchemaTakesWhatTheLoaderTakes and refuses what has a wrong key or a number where digits belong, so that an editor
// says it while it is typed.
func TestJSONSchemaTakesWhatTheLoaderTakes(t *testing.T) {
	t.Parallel()
	root, routes := compiled(t, RootSchema()), compiled(t, RouteSchema())
	good, _ := filepath.Glob("testdata/good/*.txtar")
	for _, file := range good {
		if read, err := judged(t, root, routes, file); err != nil || read == 0 {
			t.Errorf("%s: %d files read: %v", file, read, err)
		}
	}
	bad, _ := filepath.Glob("testdata/bad/*.txtar")
	refused := 0
	for _, file := range bad {
		read, err := judged(t, root, routes, file)
		if err != nil {
			refused++
		}
		a, _ := txtar.ParseFile(file)
		want := string(a.Files[len(a.Files)-1].Data)
		if read > 0 && err == nil && (strings.Contains(want, "unknown key") || strings.Contains(want, "is a number")) {
			t.Errorf("%s: the schema takes it, though\n%s", file, want)
		}
	}
	if refused < len(bad)/2 {
		t.Errorf("the schema refuses %d of %d bad configurations, want half of them at least", refused, len(bad))
	}
}

// TestJSONSchemaNamesEveryKey of the reference, with its meaning.
func TestJSONSchemaNamesEveryKey(t *testing.T) {
	t.Parallel()
	all := string(RootSchema()) + string(RouteSchema())
	for line := range strings.Lines(Reference()) {
		if key, ok := strings.CutPrefix(line, "| `"); ok {
			key, _, _ = strings.Cut(key, "`")
			if !strings.Contains(all, `"`+key+`": {`) && key != "aliases" && key != "from" && key != "on" {
				t.Errorf("no JSON Schema has the key %s", key)
			}
		}
	}
}
