// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const owned = "ownership:\n  required: true\n  owners:\n    hessen: {area: \"06\", keys: hessen.pem}\n    marburg: {area: \"065340014014\", keys: marburg.pem}\n"

// tree writes files and returns the path of pvgate.yaml.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if to, link := strings.CutPrefix(text, "-> "); link {
			if err := os.Symlink(to, name); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "pvgate.yaml")
}

// Who signs lists the same files as who judges: links as Kubernetes makes them, folders inside that are signed by
// themselves, and names that nobody reads.
func TestFolderFilesAreThoseThatAreJudged(t *testing.T) {
	t.Parallel()
	path := tree(t, map[string]string{
		"pvgate.yaml":                             owned,
		"routes.d/06/SIGNATURE":                   "hessen",
		"routes.d/06/06.yaml":                     "area: \"06\"\n",
		"routes.d/06/data.csv":                    "offer,area\n",
		"routes.d/06/README.md":                   "read me",
		"routes.d/06/.old.yaml":                   "area",
		"routes.d/06/kreis/06534.yaml":            "area: \"06534\"\n",
		"routes.d/06/marburg/..data":              "-> ..2026",
		"routes.d/06/marburg/..2026/SIGNATURE":    "marburg",
		"routes.d/06/marburg/..2026/marburg.yaml": "area: \"065340014014\"\n",
		"routes.d/06/marburg/SIGNATURE":           "-> ..data/SIGNATURE",
		"routes.d/06/marburg/marburg.yaml":        "-> ..data/marburg.yaml",
	})
	judged := map[string]map[string]Hash{}
	cfg, err := Load(path, Options{Owner: func(_ *Config, f *Folder) (Seal, Errors) {
		judged[f.Name] = f.Files
		return Seal{Owner: string(f.Signature)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string][]string{
		"routes.d/06":         {"06.yaml", "data.csv", "kreis/06534.yaml"},
		"routes.d/06/marburg": {"marburg.yaml"},
	} {
		files, err := FolderFiles(filepath.Join(filepath.Dir(path), folder))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(files, judged[folder]); d != "" {
			t.Errorf("%s: what is signed and what is judged (-signed +judged):\n%s", folder, d)
		}
		var names []string
		for name := range files {
			names = append(names, name)
		}
		slices.Sort(names)
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("%s (-want +got):\n%s", folder, d)
		}
	}
	for file, want := range map[string]string{
		"routes.d/06/06.yaml": "hessen", "routes.d/06/kreis/06534.yaml": "hessen", "routes.d/06/marburg/marburg.yaml": "marburg", "routes.d/x.yaml": "", "pvgate.yaml": "",
	} {
		if got := cfg.OwnerOf(file); got != want {
			t.Errorf("%s: owner %q, want %q", file, got, want)
		}
	}
	if in := cfg.Inputs(); !slices.Contains(in, filepath.Join(filepath.Dir(path), "hessen.pem")) || !slices.Contains(in, filepath.Join(filepath.Dir(path), "routes.d/06/SIGNATURE")) {
		t.Errorf("keys and signatures are no inputs: %v", in)
	}
}

// Without somebody who judges, no signature counts; and who has no ownership reads none.
func TestSignaturesThatNobodyJudges(t *testing.T) {
	t.Parallel()
	files := map[string]string{"pvgate.yaml": owned, "routes.d/06/SIGNATURE": "x", "routes.d/06/06.yaml": "area: \"06\"\n"}
	if _, err := Load(tree(t, files), Options{}); err == nil || !strings.Contains(err.Error(), "routes.d/06/SIGNATURE:1:1: nobody here can judge signatures") {
		t.Errorf("without a judge: %v", err)
	}
	files["pvgate.yaml"] = "domain: gw.example.de\n"
	if cfg, err := Load(tree(t, files), Options{}); err != nil || len(cfg.Folders) > 0 {
		t.Errorf("without ownership: %v, %d folders", err, len(cfg.Folders))
	}
}

func TestRowsOfACSVAreSignedByWhoNamesIt(t *testing.T) {
	t.Parallel()
	path := tree(t, map[string]string{
		"pvgate.yaml":           owned + "offers:\n  o: {backend: b, leistungen: {\"99036026017000\": \"https://b.example/\"}}\nbackends:\n  b: {hosts: [b.example]}\n",
		"routes.d/06/SIGNATURE": "hessen", "routes.d/06/m/SIGNATURE": "marburg",
		"routes.d/06/06.yaml": "area: \"06\"\nadoptions: {csv: m/rows.csv}\n", "routes.d/06/m/rows.csv": "offer,area\no,06\n",
	})
	_, err := Load(path, Options{Owner: func(_ *Config, f *Folder) (Seal, Errors) {
		return Seal{Owner: string(f.Signature)}, nil
	}})
	if err == nil || !strings.Contains(err.Error(), `routes.d/06/06.yaml:2:18: csv "m/rows.csv" lies in a folder that is signed by itself`) {
		t.Errorf("got %v", err)
	}
}
