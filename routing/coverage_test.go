// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/routing"
)

// CoverageOf counts what asking about every pair counts.
func TestCoverageIsThatOfAllPairs(t *testing.T) {
	t.Parallel()
	for i := range diffTrials() {
		seed := uint64(i + 1)
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 2))}
		v := g.world(1+i%40, false)
		g.moreAliases(v)
		l := load(v)
		table, problems := compiled(l.in)
		if l.err != nil || table == nil {
			t.Fatalf("PVGATE_SEED=%d: %v %v", seed, l.err, problems)
		}
		m := routing.Moment{Table: table, At: l.begin(pick(g, someTimes))}
		ozg := map[registry.Leistung]registry.OZG{l.leistung(someLeistungen[0]): {ID: "1"}, l.leistung(someLeistungen[1]): {ID: "1"}}
		got := routing.CoverageOf(m, routing.CoverageOptions{OZG: ozg})

		leistungen, inOZG := map[registry.Leistung]int{}, 0
		lands, kreise, online := map[string]int{}, map[string]int{}, 0
		gemeinden := livingGemeinden(m)
		for _, key := range askable(t, v) {
			if !key.Federal() || l.in.Catalogue.Types(key).NotAnApplication() {
				continue
			}
			leistungen[key] += 0
			for _, ars := range gemeinden {
				q := routing.Query{Leistung: key, Area: l.area(ars), At: m.At}
				if d := table.Bulk().Resolve(&q); (d.Verdict == routing.Handover || d.Verdict == routing.Ambiguous) && d.Kind == registry.Service {
					leistungen[key]++
					lands[ars[:2]]++
					kreise[ars[:5]]++
					online++
					if _, ok := ozg[key]; ok {
						inOZG++
					}
				}
			}
		}
		if got.Leistungen != len(leistungen) || got.Gemeinden != len(gemeinden) || got.Bund.Online != online || got.Bund.Pairs != len(leistungen)*len(gemeinden) {
			t.Fatalf("PVGATE_SEED=%d: got %+v, want %d of %d × %d\n%s", seed, got.Bund, online, len(leistungen), len(gemeinden), asJSON(v))
		}
		for _, x := range got.PerLeistung {
			if x.Online.Online != leistungen[x.Leistung] {
				t.Fatalf("PVGATE_SEED=%d: %s: got %d, want %d\n%s", seed, x.Leistung, x.Online.Online, leistungen[x.Leistung], asJSON(v))
			}
		}
		for want, list := range map[*map[string]int][]routing.OnlineArea{&lands: got.Lands, &kreise: got.Kreise} {
			for _, x := range list {
				if x.Online.Online != (*want)[x.Key] {
					t.Fatalf("PVGATE_SEED=%d: %s: got %d, want %d\n%s", seed, x.Key, x.Online.Online, (*want)[x.Key], asJSON(v))
				}
			}
		}
		if sum := 0; len(got.OZG) > 0 {
			for _, x := range got.OZG {
				sum += x.Online.Online
			}
			if sum != inOZG {
				t.Fatalf("PVGATE_SEED=%d: OZG: got %d, want %d", seed, sum, inOZG)
			}
		}
	}
}

// Of Germany's 10 997 Gemeinden 208 have no inhabitants and are not counted; Hanau counts where it belongs on the day.
func TestCoverageOfTheBuiltInAreas(t *testing.T) {
	t.Parallel()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	f.areas, f.in.Areas = areas, areas
	f.entry(gewerbe, "06", "https://hessen.example/", row("hub", 1), nil)
	f.entry(gewerbe, "02", "https://hamburg.example/", row("hub", 2), page)
	f.entry(bau, "064350014014", "https://hanau.example/bau", row("hub", 3), nil)
	m := routing.Moment{Table: f.table(), At: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	c := routing.CoverageOf(m, routing.CoverageOptions{OZG: map[registry.Leistung]registry.OZG{f.leistung(gewerbe): {ID: "10160", Title: "Unternehmensstart"}}})
	if c.Gemeinden != 10_789 || c.Inhabitants != 83_155_031 || len(c.Lands) != 16 || len(c.Kreise) != 401 || c.NotInOZG != 1 {
		t.Errorf("got %d Gemeinden with %d inhabitants, %d Länder, %d Kreise", c.Gemeinden, c.Inhabitants, len(c.Lands), len(c.Kreise))
	}
	hessen := routing.OnlineArea{
		Key: "06", Name: "Hessen", Gemeinden: 422, Inhabitants: 6_293_154,
		Online: routing.Online{Pairs: 844, Online: 423, People: 2 * 6_293_154, PeopleOnline: 6_293_154 + 97_137},
	}
	if d := cmp.Diff(hessen, c.Lands[5]); d != "" {
		t.Errorf("Hessen (-want +got):\n%s", d)
	}
	for _, x := range c.Kreise {
		if want := map[string]string{"06415": "Hanau", "02000": "Hamburg", "01001": "Flensburg", "06534": "Marburg-Biedenkopf"}[x.Key]; want != "" && x.Name != want {
			t.Errorf("Kreis %s: got %q, want %q", x.Key, x.Name, want)
		}
		if x.Key == "06415" && (x.Online.Online != 2 || x.Inhabitants != 97_137) {
			t.Errorf("Hanau: %+v", x)
		}
	}
	if len(c.OZG) != 1 || c.OZG[0].Online.Online != 422 || c.OZG[0].Leistungen != 1 {
		t.Errorf("OZG: %+v", c.OZG)
	}
}

// million is a registry of a million entries.
func million(b *testing.B) routing.Input {
	b.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		b.Fatal(err)
	}
	in := routing.Input{Areas: areas, Sources: []string{"generated"}, Marktplatz: 1}
	if err = generate.Each(areas, generate.Options{Seed: 1}, func(e *registry.Entry) error {
		in.Entries = append(in.Entries, *e)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return in
}

// BenchmarkCoverage1M counts a registry of a million entries.
func BenchmarkCoverage1M(b *testing.B) {
	in := million(b)
	table, _ := compiled(in)
	in.Entries = nil
	m := routing.Moment{Table: table, At: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	var c *routing.Coverage
	for b.Loop() {
		c = routing.CoverageOf(m, routing.CoverageOptions{})
	}
	b.ReportMetric(100*c.Bund.ShareOfGemeinden(), "%online")
}
