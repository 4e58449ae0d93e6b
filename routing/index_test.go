// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/routing"
)

// In a big table, with full buckets and groups of several rows, each question finds what a map finds.
func TestABigTableFindsWhatAMapFinds(t *testing.T) {
	t.Parallel()
	areas, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	in := routing.Input{Areas: areas, Sources: []string{"operator", "marktplatz", "first", "second"}, Marktplatz: 1}
	r := rand.New(rand.NewPCG(5, 0))
	err = generate.Each(areas, generate.Options{Seed: 4, Entries: 60_000}, func(e *registry.Entry) error {
		e.Inactive, e.Source = false, 2
		in.Entries = append(in.Entries, *e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	raise(areas, in.Entries)
	for i := range 20_000 { // goes last in its group, and sorts before and after others
		e := in.Entries[r.IntN(60_000)]
		e.Source, e.URL = 3, fmt.Sprintf("https://second.example/%d", i)
		in.Entries = append(in.Entries, e)
	}
	type key struct {
		l    registry.Leistung
		id   registry.AreaID
		kind registry.Kind
	}
	best := map[key]*registry.Entry{}
	for i := range in.Entries {
		e := &in.Entries[i]
		if k := (key{e.Leistung, e.Area, e.Kind}); best[k] == nil || e.Source < best[k].Source {
			best[k] = e
		}
	}
	table, problems := compiled(in)
	if table == nil {
		t.Fatal(problems)
	}
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	found := 0
	for i := range 100_000 {
		e := &in.Entries[i%60_000]
		q := &routing.Query{Leistung: e.Leistung, Area: leaf(areas, e.Area, r), At: at}
		if i%3 == 0 {
			q.Area = leaf(areas, registry.Bund, r)
		}
		if areas.Changed(q.Area) || areas.ARS(q.Area).Level() != registry.LevelGemeinde {
			continue
		}
		var want *registry.Entry
		for _, kind := range []registry.Kind{registry.Service, registry.Page} {
			for _, id := range areas.Chain(nil, q.Area) {
				if want == nil {
					want = best[key{e.Leistung, id, kind}]
				}
			}
		}
		d := table.Resolve(q)
		if want == nil {
			if d.Verdict != routing.NoRoute {
				t.Fatalf("%s at %s: got %s, want no_route", q.Leistung, areas.ARS(q.Area), d.Verdict)
			}
			continue
		}
		found++
		if got := table.Row(d.Row); d.Area != want.Area || d.Kind != want.Kind || got.Leistung != want.Leistung || got.Area != want.Area ||
			(got.URL != want.URL && d.Verdict != routing.Ambiguous && want.Source == 2) || got.Source != want.Source {
			t.Fatalf("%s at %s: got %+v, want %+v", q.Leistung, areas.ARS(q.Area), got, want)
		}
	}
	if found < 50_000 {
		t.Errorf("only %d questions found something", found)
	}
}

// Rows of many Leistungen at one place have keys that are equal in part, some of them in one bucket.
func TestLeistungenAtOnePlaceAreNotMistaken(t *testing.T) {
	t.Parallel()
	const n = 20_000
	f := newFixture(t)
	key := func(i int) string { return fmt.Sprintf("99%012d", 7*i) }
	for i := range n {
		f.in.Entries = append(f.in.Entries, registry.Entry{
			Leistung: f.leistung(key(i)), Area: registry.Bund, URL: "https://a.example/" + key(i), Source: 2, Origin: row("hub", int32(i)),
		})
	}
	table, flensburg := f.table(), f.ask(key(0), "010010000000")
	for i := range n {
		flensburg.Leistung = f.leistung(key(i))
		d := table.Resolve(flensburg)
		if url, err := table.AppendURL(nil, flensburg, &d); string(url) != "https://a.example/"+key(i) || err != nil {
			t.Fatalf("%s: got %s %q %v", key(i), d.Verdict, url, err)
		}
	}
	flensburg.Leistung = f.leistung(fmt.Sprintf("99%012d", 7*n))
	if d := table.Resolve(flensburg); d.Verdict != routing.UnknownLeistung {
		t.Errorf("a key without rows: got %s", d.Verdict)
	}
}

// Nor are the places of a Leistung, which is registered at every second one.
func TestPlacesOfALeistungAreNotMistaken(t *testing.T) {
	t.Parallel()
	const n = 8
	f := newFixture(t)
	var keys []registry.Leistung
	for i := range n {
		keys = append(keys, f.leistung(fmt.Sprintf("99050012104%03d", i)))
		for id := registry.AreaID(0); int(id) < f.areas.Len(); id += 2 {
			f.in.Entries = append(f.in.Entries, registry.Entry{
				Leistung: keys[i], Area: id, URL: "https://a.example/", Source: 2, Origin: row("hub", int32(id)),
			})
		}
	}
	table, q := f.table(), f.ask(gewerbe, "00")
	for i := range n * f.areas.Len() {
		id := registry.AreaID(i / n)
		if f.areas.ARS(id).Level() != registry.LevelGemeinde || f.areas.Changed(id) {
			continue
		}
		q.Leistung, q.Area = keys[i%n], id
		want := id
		for want%2 != 0 {
			want = f.areas.Parent(want)
		}
		if d := table.Resolve(q); d.Area != want || d.Verdict != routing.Handover {
			t.Fatalf("%s at %s: got %s at %s, want %s", q.Leistung, f.areas.ARS(id), d.Verdict, f.areas.ARS(d.Area), f.areas.ARS(want))
		}
	}
}

// Overrides in force are counted, and the next end is told.
func TestOverridesAtATimeAreCounted(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	f := newFixture(t)
	f.backend("b", "b.example")
	f.in.Overrides = []routing.Override{
		{Area: f.area("05"), To: "b", Until: day(20), Origin: file("o.yaml", 1, 1)},
		{Area: f.area("06"), To: "b", From: day(10), Until: day(15), Origin: file("o.yaml", 2, 1)},
	}
	table := f.table()
	for n, want := range map[int]struct {
		active int
		next   time.Time
	}{9: {1, day(20)}, 10: {2, day(15)}, 15: {1, day(20)}, 20: {0, time.Time{}}} {
		if active, next := table.OverridesAt(day(n)); active != want.active || !next.Equal(want.next) {
			t.Errorf("day %d: got %d, next %v; want %d, %v", n, active, next, want.active, want.next)
		}
	}
}
