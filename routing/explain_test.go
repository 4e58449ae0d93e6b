// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// fixture builds an Input by the texts that operators write.
type fixture struct {
	t     testing.TB
	areas *registry.Areas
	in    routing.Input
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	areas, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{t: t, areas: areas, in: routing.Input{
		Areas: areas, Sources: []string{"operator", "marktplatz", "hub", "pvog-sample"}, Marktplatz: 1,
	}}
}

func (f *fixture) leistung(s string) registry.Leistung {
	f.t.Helper()
	l, err := registry.ParseLeistung(s)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

func (f *fixture) area(s string) registry.AreaID {
	f.t.Helper()
	id, err := f.areas.EntryArea(s)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// entry adds an entry; the change may set what is unusual.
func (f *fixture) entry(leistung, area, url string, from registry.Origin, change func(*registry.Entry)) {
	f.t.Helper()
	e := registry.Entry{Leistung: f.leistung(leistung), Area: f.area(area), AreaKey: area, URL: url, Origin: from}
	for i, s := range f.in.Sources {
		if s == from.Source {
			e.Source = i
		}
	}
	if change != nil {
		change(&e)
	}
	f.in.Entries = append(f.in.Entries, e)
}

func (f *fixture) backend(name string, hosts ...string) {
	f.in.Backends = append(f.in.Backends, routing.Backend{Name: name, Hosts: hosts})
}

func (f *fixture) offer(name, backend string, leistungen map[string]string) {
	f.t.Helper()
	o := registry.Offer{Name: name, Backend: backend, Leistungen: map[registry.Leistung]registry.Template{}, Origin: file("routes.d/offer.yaml", 3, 3)}
	for l, text := range leistungen {
		t, err := registry.ParseTemplate(text)
		if err != nil {
			f.t.Fatal(err)
		}
		o.Leistungen[f.leistung(l)] = t
	}
	f.in.Offers = append(f.in.Offers, o)
}

func (f *fixture) adopt(offer string, from registry.Origin, areas ...string) {
	f.t.Helper()
	a := registry.Adoption{Offer: offer, Origin: from}
	for _, x := range areas {
		a.Areas = append(a.Areas, registry.AdoptedArea{Area: f.area(x), Key: x})
	}
	f.in.Adoptions = append(f.in.Adoptions, a)
}

func (f *fixture) table() *routing.Table {
	f.t.Helper()
	table, problems := compiled(f.in)
	if table == nil {
		f.t.Fatal(problems)
	}
	return table
}

func file(name string, line, col int32) registry.Origin {
	return registry.Origin{File: name, Line: line, Col: col}
}

func row(source string, line int32) registry.Origin {
	return registry.Origin{Source: source, Line: line}
}

func page(e *registry.Entry) { e.Kind = registry.Page }

func titled(s string) func(*registry.Entry) { return func(e *registry.Entry) { e.Title = s } }

const gewerbe, bau = "99050012104000", "99012070006001"

// marburg is the HTTP contract's first example: a deeper service wins, and the gateway runs.
func marburg(t testing.TB) (*routing.Table, routing.Query, routing.Asked) {
	f := newFixture(t)
	f.backend("marburg", "www.marburg.de")
	f.backend("marburg-alt", "alt.marburg.de")
	f.backend("hessen", "verwaltungsportal.hessen.de")
	f.backend("hessenfinder", "www.hessenfinder.de")
	f.backend("efa-gewerbe", "efa.example")
	f.offer("gewerbe-2026", "efa-gewerbe", map[string]string{gewerbe: "https://efa.example/{ars}"})
	f.entry(gewerbe, "065340014014", "https://www.marburg.de/buergerservice/online/angebot/gewerbemeldungen-online-900000005-23001.html", row("pvog-sample", 30), nil)
	f.entry(gewerbe, "065340014014", "https://www.hessenfinder.de/gewerbe", row("pvog-sample", 30), page)
	f.entry(gewerbe, "065340014014", "https://alt.marburg.de/gewerbe", row("hub", 20514), func(e *registry.Entry) {
		e.End = time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin())
	})
	f.entry(gewerbe, "06", "", file("routes.d/06-hessen.yaml", 13, 5), func(e *registry.Entry) {
		e.Backend, e.Path = "hessen", "/gewerbe/{leistung}"
	})
	f.entry(gewerbe, "06534", "https://efa.example/06534", file("routes.d/efa/gewerbe.yaml", 9, 5), nil)
	for i, area := range []string{"01", "02", "03"} {
		f.in.Overrides = append(f.in.Overrides, routing.Override{
			Area: f.area(area), To: "hessen", Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Origin: file("routes.d/00.yaml", int32(4+i), 5),
		})
	}
	f.in.Catalogue = registry.NewCatalogue(map[registry.Leistung]registry.LeistungInfo{f.leistung(gewerbe): {Title: "Gewerbe anmelden"}})
	q := routing.Query{Leistung: f.leistung(gewerbe), Area: f.area("065340014014"), At: time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)}
	return f.table(), q, routing.Asked{Live: &routing.Live{
		Limits:   []routing.LiveLimit{{Kind: "rate", Limit: "50/s", Used: 0.03}},
		Snapshot: "7f3a9c1e", Since: time.Date(2026, 11, 21, 10, 40, 0, 0, time.UTC),
	}}
}

// geesthacht is the second: a closed backend and no adoption.
func geesthacht(t testing.TB) (*routing.Table, routing.Query, routing.Asked) {
	f := newFixture(t)
	f.backend("bauportal-sh", "bauportal.example")
	f.offer("baugenehmigung-2026", "bauportal-sh", map[string]string{bau: "https://bauportal.example/{ars}"})
	f.adopt("baugenehmigung-2026", file("routes.d/01-adoptions.yaml", 12, 5), "01001", "01051")
	f.entry(bau, "01", "https://bauportal.example/antrag", row("hub", 8812), titled("Digitale Baugenehmigung"))
	f.in.Help = map[uint8]routing.Help{1: {Portal: "https://zufish.schleswig-holstein.de", Title: "ZuFiSH"}}
	f.in.Catalogue = registry.NewCatalogue(map[registry.Leistung]registry.LeistungInfo{
		f.leistung(bau): {Title: "Baugenehmigung, vereinfachtes Verfahren"},
	})
	at := time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)
	place, err := f.areas.Locate("01053032", at, registry.LocateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f.table(), routing.Query{Leistung: f.leistung(bau), Area: place.ID, At: at}, routing.Asked{Place: place, Given: "01053032", Now: true}
}

// flensburg is the third: two names of one territory, two equal services.
func flensburg(t testing.TB) (*routing.Table, routing.Query, routing.Asked) {
	f := newFixture(t)
	f.backend("am-sh", "am.schleswig-holstein.de")
	f.backend("form-solutions", "form-solutions.example")
	f.backend("zufish", "zufish.schleswig-holstein.de")
	f.entry(gewerbe, "01001", "https://am.schleswig-holstein.de/g", row("hub", 771), titled("Gewerbe anmelden (Antragsmanagement SH)"))
	f.entry(gewerbe, "010010000000", "https://form-solutions.example/g", row("hub", 9023), titled("Gewerbeanmeldung Stadt Flensburg"))
	f.entry(gewerbe, "010010000000", "https://zufish.schleswig-holstein.de/g", row("hub", 9024), func(e *registry.Entry) {
		e.Kind, e.Title = registry.Page, "Gewerbe anmelden"
	})
	q := routing.Query{Leistung: f.leistung(gewerbe), Area: f.area("010010000000"), At: time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)}
	return f.table(), q, routing.Asked{Now: true}
}

// The three examples of the HTTP contract. Text is compared word by word: the contract's columns are aligned by hand.
func TestExplainPrintsTheContractsExamples(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(testing.TB) (*routing.Table, routing.Query, routing.Asked){
		"marburg": marburg, "geesthacht": geesthacht, "flensburg": flensburg,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, q, asked := build(t)
			e := table.Explain(&q, asked)

			want, err := os.ReadFile("testdata/explain/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			if err := e.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(words(string(want)), words(got.String())); d != "" {
				t.Errorf("text differs (-want +got):\n%s\n%s", d, got.String())
			}

			want, err = os.ReadFile("testdata/explain/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, want); err != nil {
				t.Fatal(err)
			}
			made, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(compact.String(), `,"`), strings.Split(string(made), `,"`)); d != "" {
				t.Errorf("JSON differs (-want +got):\n%s", d)
			}
		})
	}
}

// words are the lines with single spaces.
func words(s string) []string {
	var lines []string
	for l := range strings.Lines(s) {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	return lines
}

// Offline output holds nothing of the moment.
func TestExplainIsReproducibleOffline(t *testing.T) {
	t.Parallel()
	table, q, asked := marburg(t)
	asked.Live = nil
	var a, b strings.Builder
	if err := table.Explain(&q, asked).WriteText(&a); err != nil {
		t.Fatal(err)
	}
	if err := table.Explain(&q, asked).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() || strings.Contains(a.String(), "\n  now ") {
		t.Errorf("got %s and %s", a.String(), b.String())
	}
	made, err := json.Marshal(table.Explain(&q, asked))
	if err != nil || strings.Contains(string(made), `"now"`) || strings.Contains(string(made), `"snapshot"`) {
		t.Errorf("got %s %v", made, err)
	}
}
