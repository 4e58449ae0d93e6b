// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad feeds any bytes as a route file and as pvgate.yaml. Load must not
// panic, every fault must have a place in the file, and what loads must print
// and load again.
func FuzzLoad(f *testing.F) {
	for _, glob := range []string{"testdata/bad/*.txtar", "testdata/good/*.txtar"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			a, err := txtar.ParseFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, m := range a.Files {
				if strings.HasSuffix(m.Name, ".yaml") {
					f.Add(m.Data, strings.HasPrefix(m.Name, "routes.d/"))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, route bool) {
		dir := t.TempDir()
		root, name := []byte("loops: 1\n"), "pvgate.yaml"
		if route {
			name = "routes.d/x.yaml"
			if err := os.MkdirAll(filepath.Join(dir, "routes.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			root = data
		}
		if err := os.WriteFile(filepath.Join(dir, "pvgate.yaml"), root, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{Reasons: testReasons})
		c.Settings()
		if err == nil {
			if !c.readsCSV() {
				printsItself(t, c.Path)
			}
			return
		}
		var list Errors
		if !errors.As(err, &list) {
			t.Fatalf("the error is a %T", err)
		}
		for _, e := range list {
			if o := e.Origin; o.Where == FromFile && o.Name == name && (o.Line < 1 || o.Col < 1 || o.Line > strings.Count(string(data), "\n")+2) {
				t.Fatalf("no such place: %v", e)
			}
		}
	})
}

func (c *Config) readsCSV() bool {
	for _, f := range c.Files {
		if f.Blocks.Adoptions.CSV.V != "" {
			return true
		}
	}
	return false
}
