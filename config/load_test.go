// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// testReasons stand for the closed list of reasons the caller hands in.
var testReasons = []string{"no_route", "not_joined", "unknown_leistung", "area_required", "gone", "ambiguous", "overloaded"}

var update = flag.Bool("update", false, "rewrite the wanted messages in testdata/bad from what the loader says; review the diff")

// unpack writes the files of an archive into a new folder and returns the
// archive's other files by name.
func unpack(t *testing.T, a *txtar.Archive) (dir string, want string) {
	t.Helper()
	dir = t.TempDir()
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		p := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, want
}

func loadText(t *testing.T, archive string) (*Config, error) {
	t.Helper()
	dir, _ := unpack(t, txtar.Parse([]byte(archive)))
	return Load(filepath.Join(dir, "pvgate.yaml"), Options{Reasons: testReasons})
}

// TestBadConfigsAreRefusedWithTheirMessages loads each testdata/bad archive; its
// file "want" holds every line the loader must say, no more and no less.
func TestBadConfigsAreRefusedWithTheirMessages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d bad configurations (%v), want at least 60", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, a)
			_, err = Load(filepath.Join(dir, "pvgate.yaml"), Options{Reasons: testReasons})
			if err == nil {
				t.Fatal("loaded without an error")
			}
			got := err.Error() + "\n"
			if *update {
				rewrite(t, file, a, got)
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("messages (-want +got):\n%s", d)
			}
			var list Errors
			if !errors.As(err, &list) || len(list) != strings.Count(got, "\n") {
				t.Errorf("the error is no Errors with one member for each line")
			}
		})
	}
}

func rewrite(t *testing.T, file string, a *txtar.Archive, got string) {
	t.Helper()
	kept := a.Files[:0]
	for _, f := range a.Files {
		if f.Name != "want" {
			kept = append(kept, f)
		}
	}
	a.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestGoodConfigsLoad loads each testdata/good archive and compares what it
// means, as the effective configuration prints it, with the file "want".
func TestGoodConfigsLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/good/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no good configurations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, a)
			c, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{Reasons: testReasons})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := c.WriteYAML(&b); err != nil {
				t.Fatal(err)
			}
			if *update {
				rewrite(t, file, a, b.String())
				return
			}
			if d := cmp.Diff(want, b.String()); d != "" {
				t.Errorf("effective configuration (-want +got):\n%s", d)
			}
		})
	}
}
