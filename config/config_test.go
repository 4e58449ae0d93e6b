// SPDX-License-Identifier: EUPL-1.2

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

func TestShippedExampleLoads(t *testing.T) {
	t.Parallel()
	c, err := Load("example/pvgate.yaml", Options{Reasons: testReasons})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Files) != 8 || c.Root.Domain.V != "gw.example.de" {
		t.Errorf("%d files, domain %q; want 8, gw.example.de", len(c.Files), c.Root.Domain.V)
	}
}

func TestStarterIsTheExampleAndLoads(t *testing.T) {
	t.Parallel()
	files, err := Starter()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 || files[0].Name != "pvgate.yaml" {
		t.Fatalf("the starter does not begin with pvgate.yaml: %v", files)
	}
	var a txtar.Archive
	for _, f := range files {
		a.Files = append(a.Files, txtar.File{Name: f.Name, Data: f.Data})
	}
	dir, _ := unpack(t, &a)
	if _, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{Reasons: testReasons}); err != nil {
		t.Fatal(err)
	}
}

// TestPrintedConfigLoadsAgainWithEqualValues holds that what pvgate config
// prints is a configuration, and the same one.
func TestPrintedConfigLoadsAgainWithEqualValues(t *testing.T) {
	t.Parallel()
	good, err := filepath.Glob("testdata/good/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range good {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, _ := unpack(t, a)
			printsItself(t, filepath.Join(dir, "pvgate.yaml"))
		})
	}
	printsItself(t, "example/pvgate.yaml")
}

func printsItself(t *testing.T, file string) {
	t.Helper()
	c, err := Load(file, Options{Reasons: testReasons})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var b strings.Builder
	if err := c.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	for doc := range strings.SplitSeq(b.String(), "--- # ") {
		name, text, _ := strings.Cut(doc, "\n")
		if name == "" {
			continue
		}
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range c.Files { // the csv files are named, not printed
		if csv := f.Blocks.Adoptions.CSV.V; csv != "" {
			rel := filepath.Join(filepath.Dir(f.Name), csv)
			data, err := os.ReadFile(filepath.Join(c.Dir, rel))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, rel), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	again, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{Reasons: testReasons})
	if err != nil {
		t.Fatalf("what was printed does not load: %v\n%s", err, b.String())
	}
	values := func(c *Config) []string {
		var out []string
		for _, s := range c.Settings() {
			out = append(out, s.File+" "+s.Key+"="+s.Value)
		}
		return out
	}
	if d := cmp.Diff(values(c), values(again)); d != "" {
		t.Errorf("%s: values differ after printing (-first +again):\n%s", file, d)
	}
}

func TestAbsentKeysHaveDefaults(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, `
-- pvgate.yaml --
backends:
  a: {mode: proxy, endpoints: ["http://127.0.0.1:9"]}
`)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := c.Files[0].Blocks.Backends.Find("a")
	got := []any{
		c.Root.Domain.V, c.Root.Listen[0].Address.V, c.Root.Listen[0].Hosts.Names[1].V, c.Root.Admin.Address.V, c.Root.Loops.V,
		b.Isolation.V, b.Timeouts.Connect.V, b.Timeouts.FirstByte.V, b.Timeouts.Idle.V, b.Timeouts.Keep.V,
		b.Limits.Rate.V.Count, b.Limits.InFlight.Set(), b.AllowEncodedSlash.V, c.Files[0].IsRoot(),
	}
	want := []any{
		"pvgate.localhost", "127.0.0.1:8080", "*.pvgate.localhost", "127.0.0.1:9180", 0,
		"host", 2 * time.Second, 30 * time.Second, time.Minute, 4 * time.Second,
		0, false, false, true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
}

func TestScalarsComeFromFlagBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	t.Setenv("PVGATE_DOMAIN", "env.example.de")
	t.Setenv("PVGATE_LOOPS", "3")
	t.Setenv("PVGATE_ADMIN_ADDRESS", "[::1]:9999")
	t.Setenv("PVGATE_LEISTUNGEN", "")        // empty is absent
	t.Setenv("PVGATE_PORT", "tcp://1.2.3.4") // Kubernetes' own
	dir, _ := unpack(t, txtar.Parse([]byte(`
-- pvgate.yaml --
domain: file.example.de
loops: 2
leistungen: leika.csv
`)))
	c, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{Flags: map[string]string{"loops": "4"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range c.Settings() {
		got[s.Key] = s.Value + " from " + s.Origin
	}
	for key, want := range map[string]string{
		"domain":        "env.example.de from env PVGATE_DOMAIN",
		"loops":         "4 from flag --loops",
		"admin.address": "[::1]:9999 from env PVGATE_ADMIN_ADDRESS",
		"leistungen":    "leika.csv from pvgate.yaml:3:13",
	} {
		if got[key] != want {
			t.Errorf("%s = %s, want %s", key, got[key], want)
		}
	}
	if n := c.Root.Listen[0].Hosts.Names[0].V; n != "env.example.de" {
		t.Errorf("the listener answers %s, want the domain of the environment", n)
	}
}

func TestScalarsFromOutsideAreCheckedLikeThoseOfAFile(t *testing.T) {
	t.Setenv("PVGATE_ADMIN_ADDRESS", "0.0.0.0:80")
	t.Setenv("PVGATE_LOOPS", "many")
	dir, _ := unpack(t, txtar.Parse([]byte("-- pvgate.yaml --\nloops: 2\n")))
	_, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{Flags: map[string]string{"domain": "X", "listen": ":80"}})
	want := `env PVGATE_ADMIN_ADDRESS: admin.address "0.0.0.0:80" is not on the loopback interface; write 127.0.0.1:9180 or [::1]:9180
env PVGATE_LOOPS: loops "many" is not a whole number; write plain digits without quotes
flag --domain: domain "X" is no host name; write lower-case labels such as gw.example.de, without scheme or port
flag --listen: no such setting; these can be set: domain admin.address access_log.file areas.file areas.aliases loops memory leistungen context_keys`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestLinksAreFollowedInsideRoutesOnly(t *testing.T) {
	t.Parallel()
	dir, _ := unpack(t, txtar.Parse([]byte(`
-- pvgate.yaml --
loops: 1
-- secret.yaml --
password: hunter2
-- routes.d/..2026_11_21/06.yaml --
area: "06"
`)))
	routes := filepath.Join(dir, "routes.d")
	// The way Kubernetes mounts a ConfigMap.
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(routes, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..2026_11_21", "..data")
	link("..data/06.yaml", "06.yaml")
	c, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{})
	if err != nil || len(c.Files) != 2 || c.Files[1].Area.V != "06" {
		t.Fatalf("files %d, error %v; want the linked file and no error", len(c.Files), err)
	}
	link("../secret.yaml", "out.yaml")
	_, err = Load(filepath.Join(dir, "pvgate.yaml"), Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "routes.d/out.yaml: cannot be read: ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a link out of routes.d: %v; want it refused unread", err)
	}
	link("..data", "folder.yaml")
	_, err = Load(filepath.Join(dir, "pvgate.yaml"), Options{})
	if err == nil || !strings.Contains(err.Error(), "routes.d/folder.yaml: is no regular file") {
		t.Errorf("a link to a folder: %v; want it refused", err)
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := Load(filepath.Join(dir, "pvgate.yaml"), Options{})
	if want := "pvgate.yaml: cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if c == nil || c.Root.Domain.V == "" {
		t.Error("no configuration with defaults beside the error")
	}
}

func TestSizesAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := filepath.Join(dir, "pvgate.yaml")
	if err := os.WriteFile(big, []byte("loops: 1\n#"+strings.Repeat("x", maxFileBytes)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(big, Options{})
	if want := "pvgate.yaml: the file is larger than 8 MiB; split it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestHashFollowsNamesAndContents(t *testing.T) {
	t.Parallel()
	load := func(archive string) Hash {
		c, err := loadText(t, archive)
		if err != nil {
			t.Fatal(err)
		}
		return c.Hash
	}
	const root = "-- pvgate.yaml --\nloops: 1\n"
	base := load(root + "-- routes.d/06.yaml --\narea: \"06\"\n")
	if again := load(root + "-- routes.d/06.yaml --\narea: \"06\"\n"); again != base {
		t.Error("equal files, different hash")
	}
	for name, other := range map[string]string{
		"content":      root + "-- routes.d/06.yaml --\narea: \"07\"\n",
		"comment":      root + "-- routes.d/06.yaml --\narea: \"06\" #\n",
		"name":         root + "-- routes.d/6.yaml --\narea: \"06\"\n",
		"one file":     root,
		"another file": root + "-- routes.d/06.yaml --\narea: \"06\"\n-- routes.d/07.yaml --\narea: \"07\"\n",
	} {
		if load(other) == base {
			t.Errorf("%s differs, hash does not", name)
		}
	}
}

func TestAliasesLoad(t *testing.T) {
	t.Parallel()
	const want = `[{"064350014014"} → {"064150000000"} on 2026-01-01 Hanau]`
	for name, text := range map[string]string{
		"mapping":   "aliases:\n  - {from: [\"064350014014\"], to: \"064150000000\", on: 2026-01-01, name: Hanau}\n",
		"bare list": "- {from: \"064350014014\", to: [\"064150000000\"], on: 2026-01-01, name: Hanau}\n",
	} {
		file := filepath.Join(t.TempDir(), "areas.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := LoadAliases(file, "areas.yaml")
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %d aliases", name, err, len(list))
		}
		a := list[0]
		got := `[{"` + a.From[0].V + `"} → {"` + a.To[0].V + `"} on ` + a.On.V + " " + a.Name.V + "]"
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	bad := filepath.Join(t.TempDir(), "areas.yaml")
	if err := os.WriteFile(bad, []byte("aliases: [{from: 064350014014, on: 2026-01-01}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadAliases(bad, "areas.yaml")
	want2 := "areas.yaml:1:11: to is missing; write to: …\n" +
		`areas.yaml:1:18: from 064350014014 is a number and would become 7040145420; quote it: "064350014014"`
	if err == nil || err.Error() != want2 {
		t.Errorf("got:\n%v\nwant:\n%s", err, want2)
	}
}

func TestErrorsUnwrapAndJoinInOrder(t *testing.T) {
	t.Parallel()
	at := func(line int) Origin { return Origin{Where: FromFile, Name: "pvgate.yaml", Line: line, Col: 1} }
	err := Join(Errors{At(at(3), "c")}, nil, At(at(1), "a"), Errors{At(at(2), "b"), At(at(3), "c")})
	if want := "pvgate.yaml:1:1: a\npvgate.yaml:2:1: b\npvgate.yaml:3:1: c"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	var one *Error
	if !errors.As(err, &one) || one.Text != "a" {
		t.Errorf("errors.As found %v, want the first", one)
	}
	if Join(nil, nil) != nil {
		t.Error("Join of nothing is an error")
	}
}

func TestNearestNamesOnlyWhatIsNear(t *testing.T) {
	t.Parallel()
	known := []string{"hessen", "hessenfinder", "ekom21", "url"}
	for got, want := range map[string]string{
		"hesen": "hessen", "Hessen": "hessen", "hesesn": "hessen", "hessenfindr": "hessenfinder",
		"ekom": "", "ekom2": "ekom21", "bayern": "", "uri": "url", "x": "",
	} {
		near, ok := Nearest(got, known)
		if near != want || ok != (want != "") {
			t.Errorf("Nearest(%q) = %q, %v; want %q", got, near, ok, want)
		}
	}
}

// TestReferenceNamesEveryKey keeps the page complete: it is made from the tags.
func TestReferenceNamesEveryKey(t *testing.T) {
	t.Parallel()
	ref := Reference()
	for _, want := range []string{
		"### pvgate.yaml", "### routes.d/**.yaml", "### backend", "### adoption\n", "### override", "### alias\n",
		"| `domain` | text | `pvgate.localhost` |", "| `connect` | time span | `2s` |", "| `until` | text | **required** |",
		"| `backends` | name: backend |", "| `in_flight` | number | – |", "PVGATE_ADMIN_ADDRESS",
		"| `mode` | text | `redirect` |", "| `networks` | list of text | – |",
	} {
		if !strings.Contains(ref, want) {
			t.Errorf("the reference lacks %q", want)
		}
	}
	if strings.Contains(ref, "|  |") {
		t.Error("a key has no help")
	}
}
