// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

const repository = "../.."

// documents are the repository's texts for people.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(repository, f)
			if err != nil {
				t.Fatal(err)
			}
			docs[name] = string(text)
		}
	}
	if len(docs) < 8 {
		t.Fatalf("%d documents, want at least 8", len(docs))
	}
	return docs
}

// block is a fenced block of a document.
type block struct {
	language string
	lines    []string
}

func blocks(text string) []block {
	var found []block
	var open *block
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch language, fence := strings.CutPrefix(line, "```"); {
		case fence && open == nil:
			open = &block{language: language}
		case fence:
			found = append(found, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	return found
}

// writeFiles writes the blocks of a document that say in their first line which file they are.
func writeFiles(t *testing.T, dir, text string) (written int) {
	t.Helper()
	for _, b := range blocks(text) {
		if b.language != "yaml" && b.language != "csv" {
			continue
		}
		name, ok := strings.CutPrefix(b.lines[0], "# ")
		if !ok || !filepath.IsLocal(name) || strings.Contains(name, " ") {
			t.Errorf("a %s block begins with %q; want # and the name of its file", b.language, b.lines[0])
			continue
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.Join(b.lines[1:], "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		written++
	}
	return written
}

// writeCertificates writes what the configurations of documents name besides blocks.
func writeCertificates(t *testing.T, dir string) {
	t.Helper()
	ca := certstest.NewAuthority(t, "CA of the documents")
	ca.Issue(t, certstest.Leaf{Hosts: []string{"gw.example.de", "*.gw.example.de"}}).Write(t, dir, "gw")
	ca.Issue(t, certstest.Leaf{Name: "pvgate", Client: true}).Write(t, dir, "pvgate")
	if err := os.WriteFile(filepath.Join(dir, "hessen-ca.pem"), ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ticket.keys"), []byte(strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigurationsInDocumentsPassCheck(t *testing.T) {
	t.Parallel()
	for name, text := range documents(t) {
		dir := t.TempDir()
		if writeFiles(t, dir, text) == 0 {
			continue
		}
		writeCertificates(t, dir)
		root := filepath.Join(dir, defaultConfig)
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
			if err := os.WriteFile(root, []byte("domain: gw.example.de\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if r, report := checkAt(t, dir); !r.OK || report != "" {
			t.Errorf("%s: ok %v\n%s", name, r.OK, report)
		}
	}
}

// unrun are the commands of documents that are not run here, with the reason.
func unrun() map[string]string {
	return map[string]string{
		"make build":                           "builds what these tests have built already",
		"bin/pvgate serve -c gate/pvgate.yaml": "takes the ports of the example; testdata/script/init.txtar serves the same files",
	}
}

// TestCommandsInDocumentsShowWhatTheySay runs each console block: a line "$ command" and what it prints. In what is
// printed "…" stands for anything, alone on a line for any number of lines. Addresses are those of a demo with its own
// ports; "make demo" is the start of it.
func TestCommandsInDocumentsShowWhatTheySay(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	d := startDemo(t)
	ports := demoPorts(t, d)
	for name, text := range documents(t) {
		dir := t.TempDir()
		writeFiles(t, dir, text)
		writeCertificates(t, dir)
		for _, b := range blocks(text) {
			if b.language != "console" {
				continue
			}
			for i := 0; i < len(b.lines); {
				command, ok := strings.CutPrefix(b.lines[i], "$ ")
				if !ok {
					t.Fatalf("%s: a console block has %q before any command", name, b.lines[i])
				}
				end := i + 1
				for end < len(b.lines) && !strings.HasPrefix(b.lines[end], "$ ") {
					end++
				}
				want := b.lines[i+1 : end]
				i = end
				if _, skip := unrun()[command]; skip {
					seen[command] = true
					continue
				}
				var got string
				if command == "make demo" {
					got = strings.Join(d.lines, "\n")
				} else {
					got, _ = shell(t, dir, strings.NewReplacer(ports...).Replace(strings.TrimPrefix(command, "bin/")))
				}
				got = strings.NewReplacer(reversed(ports)...).Replace(got)
				if err := showsLines(want, strings.Split(strings.TrimSuffix(got, "\n"), "\n")); err != nil {
					t.Errorf("%s: $ %s\n%v; it prints\n%s", name, command, err, got)
				}
			}
		}
	}
	for command := range unrun() {
		if !seen[command] {
			t.Errorf("%q is in no document; remove it here", command)
		}
	}
}

// demoPorts are pairs of what documents write and what a running demo has.
func demoPorts(t *testing.T, d *runningDemo) []string {
	t.Helper()
	all := strings.Join(d.lines, "\n")
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(all)
		if m == nil {
			t.Fatalf("the demo prints nothing like %s:\n%s", pattern, all)
		}
		return m[1]
	}
	gateway := find(`pvgate\.localhost:([0-9]+)/`)
	return []string{
		".localhost:8080", ".localhost:" + gateway, "*:8080:", "*:" + gateway + ":", "127.0.0.1:8080", "127.0.0.1:" + gateway,
		".localhost:8443", ".localhost:" + find(`https://pvgate\.localhost:([0-9]+)/`),
		"127.0.0.1:9180", "127.0.0.1:" + find(`http://127\.0\.0\.1:([0-9]+)/metrics`),
		"/tmp/pvgate-demo-", find(`configuration in +(\S*/pvgate-demo-)`),
	}
}

// reversed swaps the members of each pair.
func reversed(pairs []string) []string {
	out := slices.Clone(pairs)
	for i := 0; i < len(out); i += 2 {
		out[i], out[i+1] = out[i+1], out[i]
	}
	return out
}

// showsLines says where want is not what got shows.
func showsLines(want, got []string) error {
	for i, line := range want {
		if line == "…" {
			for skip := 0; skip <= len(got); skip++ {
				if showsLines(want[i+1:], got[skip:]) == nil {
					return nil
				}
			}
			return fmt.Errorf("after … want %q", strings.Join(want[i+1:], "\n"))
		}
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + "$"
		if len(got) == 0 || !regexp.MustCompile(pattern).MatchString(got[0]) {
			return fmt.Errorf("want the line %q", line)
		}
		got = got[1:]
	}
	if len(got) > 0 && (len(got) > 1 || got[0] != "") { // what prints nothing has one empty line
		return fmt.Errorf("want no line more, got %q", got[0])
	}
	return nil
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(repository, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}

func TestFilesThatDocumentsNameExist(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("`((?:cmd|config|registry|routing|gateway|bench|docs)/[A-Za-z0-9_./-]+)[` ]")
	for name, text := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if m[1] == "bench/results/latest.json" { // made by make bench
				continue
			}
			if _, err := os.Stat(filepath.Join(repository, m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
	}
}

// The map of the code names every folder with code, and the diagram is the one the code obeys.
func TestArchitectureIsThatOfTheCode(t *testing.T) {
	t.Parallel()
	text := documents(t)["ARCHITECTURE.md"]
	if n := strings.Count(text, "\n"); n > 300 {
		t.Errorf("ARCHITECTURE.md has %d lines, at most 300", n)
	}
	for _, top := range []string{"gateway", "registry"} {
		dirs, err := os.ReadDir(filepath.Join(repository, top))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dirs {
			if d.IsDir() && d.Name() != "internal" && d.Name() != "testdata" && !strings.Contains(text, d.Name()) {
				t.Errorf("ARCHITECTURE.md does not name %s/%s", top, d.Name())
			}
		}
	}
	source, err := os.ReadFile(filepath.Join(repository, "gateway/exchange/exchange.go"))
	if err != nil {
		t.Fatal(err)
	}
	var diagram []string
	for line := range strings.Lines(string(source)) {
		if rest, ok := strings.CutPrefix(line, "//\t"); ok {
			diagram = append(diagram, strings.TrimRight(rest, "\n"))
		} else if strings.HasPrefix(line, "package ") {
			break
		}
	}
	if want := strings.Trim(strings.Join(diagram, "\n"), "\n"); len(diagram) < 5 || !strings.Contains(text, "\n"+want+"\n") {
		t.Errorf("ARCHITECTURE.md has another diagram than gateway/exchange/exchange.go:\n%s", want)
	}
}

// rewrite compares a document's generated part with what it should be, or with -update writes it.
func rewrite(t *testing.T, name, begin, end, want string) {
	t.Helper()
	file := filepath.Join(repository, name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	if !ok {
		t.Fatalf("%s has no line %q", name, begin)
	}
	got, tail := rest, ""
	if end != "" {
		if got, tail, ok = strings.Cut(rest, end); !ok {
			t.Fatalf("%s has no line %q", name, end)
		}
	}
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(want, got))
		return
	}
	if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigurationPageIsTheSchema(t *testing.T) {
	t.Parallel()
	rewrite(t, "docs/configuration.md", "by `go test ./cmd/pvgate -run TestConfigurationPage -update`.\n", "", "\n"+config.Reference())
}

// TestFiguresAreThoseMeasured holds the README's table to the benchmark that is committed with it. A run of one's own
// (make bench) changes nothing until -update takes it over.
func TestFiguresAreThoseMeasured(t *testing.T) {
	t.Parallel()
	if out, code := shell(t, repository, "git ls-files --error-unmatch bench/results/latest.json && git diff --quiet HEAD -- bench/results/latest.json"); code != 0 && !*update {
		t.Skipf("bench/results/latest.json is not as committed: %s", out)
	}
	data, err := os.ReadFile(filepath.Join(repository, "bench/results/latest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("bench/results/latest.json is not there; make bench writes it")
	}
	if err != nil {
		t.Fatal(err)
	}
	var results []struct {
		Case   string  `json:"case"`
		Peer   string  `json:"peer"`
		Ratio  float64 `json:"ratio"`
		Low    float64 `json:"low"`
		High   float64 `json:"high"`
		US     float64 `json:"us"`
		PeerUS float64 `json:"peer_us"`
	}
	if err := json.Unmarshal(data, &results); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| case | beside | pvgate ÷ peer | 95 % interval | pvgate µs | peer's µs |\n|---|---|--:|--:|--:|--:|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f – %.2f | %.1f | %.1f |\n", r.Case, r.Peer, r.Ratio, r.Low, r.High, r.US, r.PeerUS)
	}
	rewrite(t, "README.md", "-run TestFigures -update\" -->\n", "<!-- end of figures -->", b.String())
}
