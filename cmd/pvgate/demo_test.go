// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// runningDemo is pvgate demo as a user starts it.
type runningDemo struct {
	*process
	lines []string // what it printed at its start
}

// startDemo starts the demo in a temporary folder of its own, which is its TMPDIR.
func startDemo(t *testing.T, args ...string) *runningDemo {
	t.Helper()
	tmp := t.TempDir()
	args = append([]string{"demo", "--listen", "127.0.0.1:0", "--tls", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)
	p, err := startProcess(tmp, []string{"TMPDIR=" + tmp}, "pvgate", args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.signal("TERM"); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if code, err := p.wait(); err != nil || code != exitOK {
			t.Errorf("the demo ended with exit code %d (%v):\n%s", code, err, p.output())
		}
		if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) != 0 {
			t.Errorf("the demo left %v (%v)", left, err)
		}
	})
	if _, err := p.await(regexp.MustCompile(`^Ends (with Ctrl-C|after .*)\.$`)); err != nil {
		t.Fatal(err)
	}
	return &runningDemo{process: p, lines: strings.Split(p.output(), "\n")}
}

// shell runs a command line as a user would paste it.
func shell(t *testing.T, dir, command string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience) // of a make, too
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s: has not ended in %v:\n%s", command, 5*patience, out)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestDemoCommandsShowWhatTheDemoSays(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	tried := 0
	for i, line := range d.lines {
		command, ok := strings.CutPrefix(line, "   $ ")
		if !ok {
			continue
		}
		tried++
		shows, ok := strings.CutPrefix(d.lines[i+1], "   … ")
		if !ok {
			t.Fatalf("no line says what %q shows", command)
		}
		got, code := shell(t, t.TempDir(), command)
		if code != exitOK || !strings.Contains(got, shows) {
			t.Errorf("%s\nexit code %d, want 0 and output with\n%s\ngot\n%s", command, code, shows, got)
		}
	}
	if tried != 6 {
		t.Errorf("%d commands, want 6:\n%s", tried, strings.Join(d.lines, "\n"))
	}
}

func TestDemoLeadsToEachOfItsPortals(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	address := map[string]string{}
	for _, line := range d.lines {
		if f := strings.Fields(line); len(f) > 2 && strings.Contains(f[1], ".localhost:") && strings.Contains(f[1], "/leistung/") && !strings.HasPrefix(f[0], "$") {
			address[f[0]] = f[1]
		}
	}
	for _, p := range demoPortals() {
		url, ok := address[p.backend]
		if !ok {
			t.Errorf("no address leads to %s", p.backend)
			continue
		}
		want := p.name + " (simulated portal)\n"
		switch {
		case p.dead:
			want = `"reason":"connect_refused"`
		case p.behind > 0:
			want = `"reason":"response_timeout"`
		}
		if got, _ := shell(t, t.TempDir(), "curl -sL "+url); !strings.Contains(got, want) {
			t.Errorf("%s answers\n%swant %s", url, got, want)
		}
		page, _ := shell(t, t.TempDir(), "curl -sL -H 'Accept: text/html' "+url)
		want = "<h1>" + p.name + "</h1>"
		if p.dead || p.behind > 0 {
			want = "<html lang=\"de\">"
		}
		if !strings.Contains(page, want) {
			t.Errorf("%s shows a browser\n%swant %s", url, page, want)
		}
	}
}

func TestDemoTakesOverAChangedFile(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dir := regexp.MustCompile(`configuration in +([^,]+),`).FindStringSubmatch(strings.Join(d.lines, "\n"))
	if dir == nil {
		t.Fatalf("no line names the configuration:\n%s", strings.Join(d.lines, "\n"))
	}
	file := filepath.Join(dir[1], "routes.d", "06534-marburg.yaml")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := d.await(regexp.MustCompile("snapshot in service")); err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://\S+/leistung/99050012104000/065340014014`).FindString(strings.Join(d.lines, "\n"))
	if got, _ := shell(t, t.TempDir(), "curl -sL "+url); !strings.Contains(got, "Land Hessen (simulated portal)") {
		t.Errorf("without Marburg's file %s answers\n%s", url, got)
	}
}

func TestDemoConfigurationIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	var seen [2]string
	for i := range seen {
		cfg, err := loadDemo(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		seen[i] = cfg.Hash.String()
	}
	if seen[0] != seen[1] {
		t.Errorf("hashes %s and %s", seen[0], seen[1])
	}
}

func TestDemoConfigurationPassesItsTests(t *testing.T) {
	t.Parallel()
	cfg, err := loadDemo(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	kept := newBooks(nil)
	defer kept.names.Close()
	l, err := buildLive(t.Context(), cfg, kept, own{registry: onlooker(), keys: randomKeys().context()})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.routes.warnings) > 0 {
		t.Errorf("warnings: %v", l.routes.warnings)
	}
	n, failed := runTests(cfg, l.routes, testNow)
	if n < 20 || len(failed) > 0 {
		t.Errorf("%d of %d tests failed: %v", len(failed), n, failed)
	}
}

// Pilot partners, Kommunen, EfA, E-Partizipation, a slow and a dead portal: what the demo is to show.
func TestDemoShowsAllKindsOfPortals(t *testing.T) {
	t.Parallel()
	var names []string
	for _, p := range demoPortals() {
		names = append(names, p.backend)
	}
	want := []string{"bund", "bayern", "berlin", "hamburg", "hessen", "marburg", "augsburg", "ikfz", "beteiligung", "slow", "dead"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("portals (-want +got):\n%s", d)
	}
}
