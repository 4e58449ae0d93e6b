// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

func (f *fixture) ask(leistung, area string) *routing.Query {
	f.t.Helper()
	return &routing.Query{Leistung: f.leistung(leistung), Area: f.area(area), At: time.Date(2026, 11, 21, 12, 0, 0, 0, registry.Berlin())}
}

// A canary splits by seed, part for part, and its backend is asked for the path that the entry names (R6, R14).
func TestASplitFollowsTheSeedAndKeepsThePath(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.in.Backends = []routing.Backend{{Name: "hessen", Proxy: true}, {Name: "hessen-v2", Proxy: true}}
	f.entry(gewerbe, "06", "", file("a.yaml", 1, 1), func(e *registry.Entry) { e.Backend, e.Path = "hessen", "/gewerbe/{leistung}?p={ars:5}" })
	f.in.Overrides = []routing.Override{{
		Area: f.area("06"), Leistung: f.leistung(gewerbe), Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Weights: []routing.Weight{{"hessen", 90}, {"hessen-v2", 10}}, Origin: file("a.yaml", 2, 1),
	}}
	table, q := f.table(), f.ask(gewerbe, "065340014014")
	got := map[string]int{}
	for q.Seed = 1000; q.Seed < 1200; q.Seed++ {
		d := table.Resolve(q)
		got[table.BackendName(d.Backend)]++
		target, err := table.AppendTarget(nil, q, &d)
		if want := "/gewerbe/99050012104000?p=06534"; string(target) != want || err != nil {
			t.Fatalf("seed %d to %s: got %s %v, want %s", q.Seed, table.BackendName(d.Backend), target, err, want)
		}
	}
	if got["hessen"] != 180 || got["hessen-v2"] != 20 {
		t.Errorf("got %v, want 180 and 20 of 200", got)
	}
}

func TestTargetIsTheAddressWithoutSchemeAndHost(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://p.example":           "/",
		"https://p.example/":          "/",
		"https://p.example/a/b?x=1&y": "/a/b?x=1&y",
		"https://p.example?x=1":       "/?x=1",
		"https://p.example:8443/a":    "/a",
	} {
		f := newFixture(t)
		f.backend("p", "p.example")
		f.in.Backends[0].Proxy = true
		f.entry(gewerbe, "06", url, row("hub", 1), nil)
		table, q := f.table(), f.ask(gewerbe, "065340014014")
		d := table.Resolve(q)
		prefix := []byte("GET ")
		got, err := table.AppendTarget(prefix, q, &d)
		if string(got) != "GET "+want || err != nil {
			t.Errorf("%s: got %q %v, want %q", url, got, err, want)
		}
	}
}

func TestTheLanguageOfTheAddressIsTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.entry(gewerbe, "06", "https://a.example/de", row("hub", 1), func(e *registry.Entry) {
		e.Others = []registry.LangURL{{Lang: "en", URL: "https://a.example/en"}}
	})
	f.entry(bau, "06", "https://a.example/de", row("hub", 1), nil)
	table := f.table()
	for _, c := range []struct{ leistung, lang, want, url string }{
		{gewerbe, "en", "en", "https://a.example/en"},
		{gewerbe, "", "de", "https://a.example/de"},
		{gewerbe, "tr", "de", "https://a.example/de"},
		{bau, "en", "de", "https://a.example/de"},
	} {
		q := f.ask(c.leistung, "065340014014")
		q.Lang = c.lang
		d := table.Resolve(q)
		url, err := table.AppendURL(nil, q, &d)
		if got := table.URLLang(q, &d); got != c.want || string(url) != c.url || err != nil {
			t.Errorf("%s in %q: got %s in %q %v, want %s in %q", c.leistung, c.lang, url, got, err, c.url, c.want)
		}
	}
}

// What the pages say beside a reason.
func TestHelpersOfAnswersWithoutATarget(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ended := time.Date(2026, 11, 1, 0, 0, 0, 0, registry.Berlin())
	f.backend("efa", "efa.example")
	f.offer("neu", "efa", nil)
	f.offer("alt", "efa", map[string]string{"99036026017000": "https://efa.example/{ars}"})
	f.in.Offers[1].End, f.in.Offers[1].Successor = ended, "neu"
	f.offer("bau", "efa", map[string]string{bau: "https://efa.example/{ars}"})
	f.adopt("alt", file("a.yaml", 1, 1), "06534")
	f.adopt("bau", file("a.yaml", 2, 1), "01001", "01053")
	f.in.Adoptions[1].Without = []registry.AreaID{f.area("010530032")}
	f.entry("99115005104000", "01", "https://a.example/", row("hub", 1), titled("Wohnsitz"))
	f.entry("99102013104000", "01", "http://10.0.0.8/", row("hub", 2), func(e *registry.Entry) { e.Refused = "http is not allowed" })
	f.entry("99102013105000", "040120000000", "https://b.example/", row("hub", 3), nil)
	f.in.Help = map[uint8]routing.Help{1: {Portal: "https://serviceportal.schleswig-holstein.de/x", Phone: "116"}}
	f.in.Overrides = []routing.Override{{Area: f.area("09"), Gone: "Satzung aufgehoben", Until: ended.AddDate(1, 0, 0), Origin: file("o.yaml", 1, 1)}}
	table := f.table()

	want := func(q *routing.Query, v routing.Verdict) routing.Decision {
		t.Helper()
		d := table.Resolve(q)
		if d.Verdict != v {
			t.Fatalf("got %s, want %s", d.Verdict, v)
		}
		return d
	}
	d := want(f.ask("99036026017000", "065340014014"), routing.Expired)
	if d.Ended != ended.Unix() {
		t.Errorf("ended: got %v, want %v", time.Unix(d.Ended, 0), ended)
	}
	if _, offer := table.Successors(f.ask("99036026017000", "065340014014")); offer != "neu" {
		t.Errorf("successor: got %q, want neu", offer)
	}

	q := f.ask(bau, "010530032032")
	want(q, routing.NotJoined)
	if offer, joined := table.NotJoined(q); offer != "bau" || joined != 2 {
		t.Errorf("not joined: got %s %d, want bau 2", offer, joined)
	}

	q = f.ask("99115005104001", "010010000000")
	want(q, routing.UnknownLeistung)
	if got := table.Near(q); !slices.Equal(got, []registry.Leistung{f.leistung("99115005104000")}) || table.Title(got[0]) != "Wohnsitz" {
		t.Errorf("near: got %v", got)
	}
	if h := table.HelpFor(q.Area); h.Title != "serviceportal.schleswig-holstein.de" || h.Phone != "116" {
		t.Errorf("help: got %+v", h)
	}
	if h := table.HelpFor(f.area("06")); h.Portal != "" || h.Phone != "115" {
		t.Errorf("help of a Land without: got %+v", h)
	}

	d = want(f.ask("99102013104000", "010010000000"), routing.TargetRefused)
	if cause, from := table.Blocked(&d); cause != "http is not allowed" || from.String() != "hub:2" || table.BackendName(d.Backend) != "10.0.0.8" {
		t.Errorf("blocked: got %q from %s, backend %q", cause, from, table.BackendName(d.Backend))
	}

	q = f.ask("99102013105000", "04")
	want(q, routing.AreaRequired)
	if got, want := table.Choices(q), []registry.AreaID{f.area("040110000000"), f.area("040120000000")}; !slices.Equal(got, want) {
		t.Errorf("choices: got %v, want %v", got, want)
	}

	d = want(f.ask(gewerbe, "097610000000"), routing.Gone)
	if got := table.GoneWhy(&d); got != "Satzung aufgehoben" {
		t.Errorf("gone: got %q", got)
	}
}

// Every verdict can be explained, in text and as JSON, and says what to do.
func TestExplainOfAnswersWithoutATarget(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.entry(gewerbe, "040120000000", "https://b.example/", row("hub", 3), nil)
	f.entry(gewerbe, "06", "https://a.example/", row("hub", 4), func(e *registry.Entry) { e.End = time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin()) })
	f.entry(gewerbe, "05", "ftp://x", row("hub", 5), nil)
	f.in.Overrides = []routing.Override{
		{Area: f.area("09"), To: "https://x.example/", Until: time.Date(2026, 12, 1, 0, 0, 0, 0, registry.Berlin()), By: "a.lang", Why: "R-12", Origin: file("o.yaml", 1, 1)},
		{Area: f.area("10"), Gone: "Satzung aufgehoben", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Origin: file("o.yaml", 2, 1)},
	}
	f.in.Catalogue = registry.NewCatalogue(map[registry.Leistung]registry.LeistungInfo{f.leistung("99154016000000"): {Types: registry.ParseType("11")}})
	table := f.table()
	for _, c := range []struct {
		leistung, area string
		text, json     []string
	}{
		{
			gewerbe, "04",
			[]string{"? area_required 400", "differs    040120000000 Bremerhaven: service to b.example, hub:3", "choices    040110000000 Bremen, 040120000000 Bremerhaven"},
			[]string{`"choices":[{"ars":"040110000000","name":"Bremen, Stadt"}`},
		},
		{gewerbe, "065340014014", []string{"✗ expired 410", "ended on 2025-12-31"}, []string{`"ended":"2026-01-01T00:00:00+01:00"`}},
		{gewerbe, "053150000000", []string{"✗ target_refused 502", "an entry is responsible, but scheme is not https", "refused  1"}, []string{`"outcome":"refused"`}},
		{gewerbe, "097610000000", []string{"→ x.example  by override o.yaml:1:1 of a.lang until 2026-11-30: R-12", "1 of 2 match"}, []string{`"matched":{"from":"o.yaml:1:1","by":"a.lang","why":"R-12"`}},
		{gewerbe, "100410100100", []string{"✗ gone 410", "Satzung aufgehoben"}, []string{`"why":"Satzung aufgehoben"`}},
		{gewerbe, "010010000000", []string{"✗ no_route 404", "nothing is responsible for 99050012104000 in Flensburg", "next"}, []string{`"reason":"no_route"`}},
		{bau, "010010000000", []string{"✗ unknown_leistung 404", "is in no source"}, []string{`"candidates":[]`}},
		{"99154016000000", "010010000000", []string{"✗ not_an_application 404", "information only (Typisierung 11)"}, []string{`"types":["11"]`, `"exit":1`}},
	} {
		q := f.ask(c.leistung, c.area)
		e := table.Explain(q, routing.Asked{})
		var text strings.Builder
		if err := e.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.text {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s at %s: want %q in\n%s", c.leistung, c.area, want, text.String())
			}
		}
		made, err := e.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.json {
			if !strings.Contains(string(made), want) {
				t.Errorf("%s at %s: want %q in\n%s", c.leistung, c.area, want, made)
			}
		}
	}
}
