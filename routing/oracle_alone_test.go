// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestOracleImportsOnlyRegistry holds what the oracle is worth: it cannot share a mistake with the package it judges.
func TestOracleImportsOnlyRegistry(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("oracle_*test.go")
	if err != nil || len(files) < 4 {
		t.Fatalf("got files %v (%v), want the oracle's", files, err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(path, ".") && !slices.Contains([]string{"github.com/pvgate/pvgate/registry"}, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}
