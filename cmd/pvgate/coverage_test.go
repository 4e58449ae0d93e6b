// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// The map's pieces fit: each ring is one closed walk, and each piece is walked once in each direction or lies at the edge.
func TestMapOfTheLaenderHasNoGaps(t *testing.T) {
	t.Parallel()
	pieces := borders()
	used := map[string]int{}
	keys := map[string]bool{}
	for _, l := range mapLands() {
		keys[l.key] = true
		for _, ring := range l.rings {
			var at, first mapPoint
			for i, name := range ring {
				p := pieces[strings.TrimPrefix(name, "-")]
				if len(p) < 2 {
					t.Fatalf("%s: piece %q is not there", l.short, name)
				}
				from, to := p[0], p[len(p)-1]
				if name[0] == '-' {
					from, to = to, from
				}
				if i == 0 {
					first = from
				} else if from != at {
					t.Errorf("%s: %s begins at %v, the piece before it ends at %v", l.short, name, from, at)
				}
				at = to
				used[strings.TrimPrefix(name, "-")]++
			}
			if at != first {
				t.Errorf("%s: the ring ends at %v, not at %v", l.short, at, first)
			}
		}
		for _, p := range append([]mapPoint{l.label}, pieces[strings.TrimPrefix(l.rings[0][0], "-")]...) {
			if p.x() < 0 || p.x() > mapWidth || p.y() < 0 || p.y() > mapHeight {
				t.Errorf("%s: %v is not on the map", l.short, p)
			}
		}
	}
	if len(keys) != 16 {
		t.Errorf("%d Länder are drawn", len(keys))
	}
	for name := range pieces {
		edge := strings.HasSuffix(name, "-abroad") || strings.HasSuffix(name, "-sea") || !strings.Contains(name, "-") ||
			name == "rp-west" || name == "sl-fr" || name == "rp-fr" || name == "bb-pl"
		if want := map[bool]int{true: 1, false: 2}[edge]; used[name] != want {
			t.Errorf("piece %s is drawn %d times, want %d", name, used[name], want)
		}
	}
}

// coverageOfHessen is a report in which Hessen has one Leistung of two.
func coverageOfHessen(t *testing.T) *coverageReport {
	t.Helper()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	entry := func(leistung, area string) registry.Entry {
		l, err := registry.ParseLeistung(leistung)
		if err != nil {
			t.Fatal(err)
		}
		id, err := areas.EntryArea(area)
		if err != nil {
			t.Fatal(err)
		}
		return registry.Entry{Leistung: l, Area: id, URL: "https://a.example/", Title: `<Antrag> & "mehr"`}
	}
	table, problems := routing.Compile(routing.Input{
		Areas: areas, Sources: []string{"test"}, Entries: []registry.Entry{entry("99050012104000", "06"), entry("99102013104000", "00")},
	})
	if table == nil {
		t.Fatal(problems)
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	l, _ := registry.ParseLeistung("99050012104000")
	return &coverageReport{Config: "test", At: at, Coverage: routing.CoverageOf(routing.Moment{Table: table, At: at}, routing.CoverageOptions{
		OZG: map[registry.Leistung]registry.OZG{l: {ID: "10160", Title: "<b>Start</b>"}},
	})}
}

// The page is whole by itself: well-formed, nothing from elsewhere, no script, and every Land as a shape and in words.
func TestCoveragePageIsSelfContained(t *testing.T) {
	t.Parallel()
	r := coverageOfHessen(t)
	r.history = [][]string{historyHeader(), historyRow(r), historyRow(r), historyRow(r)}
	r.history[1][0] = "2026-01-01"
	for _, lang := range []string{"de", "en"} {
		var b bytes.Buffer
		if err := r.printPage(&b, lang); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, bad := range []string{"<script", "http://", "https://", "url(", "@import", "src=", "<b>Start", "ZgotmplZ", "NaN", "<no value>"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q", lang, bad)
			}
		}
		share := map[string]string{"de": "100,0 %", "en": "100.0 %"}[lang]
		if !strings.Contains(page, "<title>Hessen: "+share) || !strings.Contains(page, "polyline points=\"0.0,") {
			t.Errorf("%s: Hessen's share or the history is not in the page", lang)
		}
		if n := strings.Count(page, "<path class=\"c"); n != 16 {
			t.Errorf("%s: %d Länder are drawn", lang, n)
		}
		_, svg, _ := strings.Cut(page, "<svg")
		svg, _, _ = strings.Cut(svg, "</svg>")
		d := xml.NewDecoder(strings.NewReader("<svg" + svg + "</svg>"))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: the map is not well-formed: %v", lang, err)
			}
		}
	}
}

// The history has one row a day, whatever the order of days and however often it is run.
func TestHistoryHasOneRowADay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "history.csv")
	r := coverageOfHessen(t)
	for _, day := range []int{22, 24, 23, 22, 24} {
		r.At = time.Date(2026, 11, day, 23, 30, 0, 0, time.UTC) // the next day in Berlin
		if _, err := addToHistory(file, r); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := readHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	var days []string
	for _, row := range rows[1:] {
		days = append(days, row[0])
	}
	if d := cmp.Diff([]string{"2026-11-23", "2026-11-24", "2026-11-25"}, days); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if rows[1][5] != "0.5378" || rows[1][6+5] != "1.0000" || rows[1][6] != "0.5000" {
		t.Errorf("got %v", rows[1])
	}
	for _, text := range []string{"", "date;other\n", strings.Join(historyHeader(), ";") + "\n2026-11-23\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := addToHistory(file, r); err == nil {
			t.Errorf("%q is taken for a history", text)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("a file that is none was changed to %q, %v", got, err)
		}
	}
}
