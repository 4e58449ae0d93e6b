// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pvgate/pvgate/config"
)

var update = flag.Bool("update", false, "rewrite the wanted messages in testdata/check from what check says; review the diff")

// testNow is the present moment of all checks here.
var testNow = time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)

func unpack(t *testing.T, a *txtar.Archive) (dir, want string) {
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

// checkAt runs check on the configuration in a folder, with stable paths.
func checkAt(t *testing.T, dir string) (*checked, string) {
	t.Helper()
	cmd := newCheck()
	flags := configFlags{path: filepath.Join(dir, "pvgate.yaml"), cmd: cmd}
	r := check(t.Context(), &flags, testNow)
	var b strings.Builder
	for _, part := range []struct {
		kind string
		list []finding
	}{{"", r.Errors}, {"", r.Tests.Failed}, {"warning: ", r.Warnings}} {
		for _, f := range part.list {
			b.WriteString(f.Place + ": " + part.kind + f.Text + "\n")
		}
	}
	return r, strings.ReplaceAll(b.String(), dir+string(filepath.Separator), "")
}

// TestCheckSaysTheMessages checks each testdata/check archive; its file "want"
// holds every line of the report. Those called doc-… are the messages that the
// documentation promises, at the places it names.
func TestCheckSaysTheMessages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/check/*.txtar")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d archives (%v), want at least 25", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, a)
			r, got := checkAt(t, dir)
			if *update {
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
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("report (-want +got):\n%s", d)
			}
			if bad := len(r.Errors)+len(r.Tests.Failed) > 0; r.OK == bad {
				t.Errorf("ok = %v with %d errors and %d failed tests", r.OK, len(r.Errors), len(r.Tests.Failed))
			}
		})
	}
}

// TestPromisedMessagesAreExact repeats the documentation's list by hand, so that
// -update cannot change it.
func TestPromisedMessagesAreExact(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"doc-number-leistung": `routes.d/06-hessen.yaml:13:16: leistung 99050012104000 is a number and would lose digits; quote it: "99050012104000"`,
		"doc-number-area":     `routes.d/06-hessen.yaml:2:7: area 06 is a number and would become 6; quote it: "06"`,
		"doc-area-outside":    `routes.d/06-hessen.yaml:13:40: area 097610000000 (Augsburg) is outside this file's area 06 (Hessen); move the entry to a file for 09`,
		"doc-backend":         `routes.d/06-hessen.yaml:13:55: backend "hesen" is not defined; did you mean "hessen"? (backends: ekom21, hessen, hessenfinder)`,
		"doc-key":             `routes.d/06-hessen.yaml:9:5: unknown key "endpoint"; did you mean "endpoints"?`,
		"doc-placeholder":     `routes.d/06-hessen.yaml:13:69: unknown placeholder {arsx}; known: leistung ars ars:N ags land lang locale oe_id oe lb_id lb od_id od destination_id`,
		"doc-overlap":         `routes.d/00-emergency.yaml:4:5: overlaps routes.d/00-old.yaml:7:5 with equal rank (area 00, leistung 99036, priority 9) from 2026-11-21 to 2026-11-23; change a priority or a time`,
		"doc-until":           `routes.d/06-canary.yaml:4:5: until is missing; every override ends, e.g. until: 2026-12-31`,
		"doc-dst":             `routes.d/06-hessen.yaml:18:28: 2027-03-28 02:30 does not exist in Europe/Berlin (clocks go 02:00 → 03:00); write 03:00`,
		"doc-closed":          `routes.d/06-canary.yaml:4:34: "ikfz" is closed (offer ikfz-2026) and 065340004004 Biedenkopf in area 06 has not joined; narrow the area or add an adoption`,
		"doc-offer-ended":     `routes.d/01-adoptions.yaml:6:21: offer "ikfz-2025" ended on 2025-12-31; successor: "ikfz-2026"`,
	} {
		a, err := txtar.ParseFile(filepath.Join("testdata/check", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		dir, _ := unpack(t, a)
		if _, got := checkAt(t, dir); got != want+"\n" {
			t.Errorf("%s:\n got %swant %s", name, got, want)
		}
	}
}

func TestShippedExamplePassesItsOwnCheck(t *testing.T) {
	t.Parallel()
	r, text := checkAt(t, "../../config/example")
	if !r.OK || text != "" || r.Tests.Run < 9 {
		t.Errorf("ok %v after %d tests:\n%s", r.OK, r.Tests.Run, text)
	}
}

// TestSampleOfThePVOGAnswersAsItsRowsSay loads the published sample as the only
// source and asks for every row of it.
func TestSampleOfThePVOGAnswersAsItsRowsSay(t *testing.T) {
	t.Parallel()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds data/pvog_routes_sample.csv")
	}
	sample := filepath.Join(material, "data", "pvog_routes_sample.csv")
	dir := t.TempDir()
	text := "sources:\n  - {name: pvog-sample, type: csv, path: " + sample + ", separator: \";\",\n" +
		"     columns: {leistung: leika, area: ars, url: online_url, page: source_portal_url, keep: gefunden}}\n"
	if err := os.WriteFile(filepath.Join(dir, "pvgate.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(filepath.Join(dir, "pvgate.yaml"), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	built, err := buildRoutes(t.Context(), cfg, onlooker())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	var online, page, none int
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if i == 0 {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\r"), ";")
		test := config.Test{Leistung: config.Text{V: f[3]}, Area: config.Text{V: f[0]}}
		switch got, url := answer(&test, built, testNow); {
		case url == "":
			none++
			if f[4] == "true" {
				t.Errorf("row %d: %s, want a target", i+1, got)
			}
		case url == f[7]:
			online++
		case f[7] == "" && url == f[8]:
			page++
		default:
			t.Errorf("row %d: %s, want %s", i+1, url, f[7])
		}
	}
	if online != 44 || page != 3 || none != 3 {
		t.Errorf("%d to the Onlinedienst, %d to the page, %d without a target; want 44, 3, 3", online, page, none)
	}
}

func TestVerbsEndWithTheirExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("lops: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	starter := filepath.Join(dir, "new")
	root := filepath.Join(starter, "pvgate.yaml")
	for _, c := range []struct {
		args   string
		code   int
		stdout string // contained
		stderr string
	}{
		{"version", 0, "pvgate ", ""},
		{"version -o json", 0, `"areas": "© Statistisches Bundesamt (Destatis)`, ""},
		{"version -o xml", 2, "", `output "xml" is not possible; write -o text or -o json`},
		{"version x", 2, "", `unknown command "x" for "pvgate version"`},
		{"nope", 2, "", `unknown command "nope"`},
		{"check --nope", 2, "", "unknown flag: --nope"},
		{"", 0, "Available Commands:", ""},
		{"help", 0, "Exit codes: 0 ok, 1 failed, 2 usage, 3 check found errors, 4 diff is not empty.", ""},
		{"completion bash", 0, "__start_pvgate", ""},
		{"completion tcsh", 2, "", `invalid argument "tcsh"`},
		{"init " + starter, 0, "pvgate.yaml\n", ""},
		{"init " + starter, 1, "", "exists; choose an empty folder"},
		{"check " + root, 0, "pvgate.yaml: ok (0 errors, 0 warnings, 0 of 9 tests failed; 9 backends, 10 rows, hash ", ""},
		{"check -o json --config " + root, 0, `"ok": true,`, ""},
		{"check --loops many " + root, 3, `flag --loops: loops "many" is not a whole number`, ""},
		{"check " + bad, 3, `bad.yaml:1:1: unknown key "lops"; did you mean "loops"?`, ""},
		{"check -o json " + bad, 3, `"place": "bad.yaml:1:1",`, ""},
		{"check " + filepath.Join(dir, "none.yaml"), 3, "none.yaml: cannot be read: no such file or directory", ""},
		{"config " + root + " --domain x.example.de", 0, "domain: x.example.de # flag --domain\n", ""},
		{"config -o json " + root, 0, `"origin": "pvgate.yaml:7:9"`, ""},
		{"config " + bad, 1, "", `bad.yaml:1:1: unknown key "lops"`},
		{"config reference", 0, "| `first_byte` | time span | `30s` |", ""},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("pvgate %s: exit %d, want %d\nstdout, want %q:\n%s\nstderr, want %q:\n%s",
				c.args, code, c.code, c.stdout, stdout.String(), c.stderr, stderr.String())
		}
	}
}
