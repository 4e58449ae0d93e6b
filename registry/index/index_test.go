// SPDX-License-Identifier: EUPL-1.2

package index_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/registry/index"
)

var embedded = sync.OnceValues(registry.EmbeddedAreas)

func areasOf(t testing.TB) *registry.Areas {
	t.Helper()
	areas, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	return areas
}

func leistung(t testing.TB, s string) registry.Leistung {
	t.Helper()
	l, err := registry.ParseLeistung(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func build(t testing.TB, areas *registry.Areas, entries []registry.Entry) (*index.Index, index.Report) {
	t.Helper()
	b := index.NewBuilder(areas, []string{"operator", "marktplatz", "first", "second"})
	for i := range entries {
		if err := b.Add(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	for key, code := range map[string]string{"99050012104000": "2b", "99154016000000": "11", "06000000000012": "13"} {
		if err := b.AddTypes(leistung(t, key), registry.ParseType(code)); err != nil {
			t.Fatal(err)
		}
	}
	return b.Finish()
}

// generated are big registries: groups at all levels, some places around others, a second source with rows at the same
// places, and everything that few rows have.
func generated(t testing.TB, n int, seed uint64) []registry.Entry {
	t.Helper()
	areas := areasOf(t)
	var list []registry.Entry
	err := generate.Each(areas, generate.Options{Seed: seed, Entries: n, Source: 2}, func(e *registry.Entry) error {
		list = append(list, *e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for range n / 3 {
		list = append(list, odd(areas, list[r.IntN(n)], r))
	}
	return list
}

// odd is an entry with something unusual, at the same place or around it.
func odd(areas *registry.Areas, e registry.Entry, r *rand.Rand) registry.Entry {
	e.Source, e.Origin = 3, registry.Origin{Source: "second", File: "second.csv", Line: r.Int32N(1 << 20)}
	if chain := areas.Chain(nil, e.Area); e.Leistung.Federal() && r.IntN(3) == 0 {
		e.Area = chain[r.IntN(len(chain))]
	}
	ars := areas.ARS(e.Area)
	urls := []string{
		"https://a.example/", "https://a.example/" + e.Leistung.String() + "/" + ars.Padded(), "https://b.example/?ags=" + ars.AGS() + "#x",
		"https://c.example/?p=" + ars.Padded()[:6] + "&l=99000000000000", "javascript:alert(1)", "https://d.example/\x01\x11", "",
		fmt.Sprintf("https://e.example/%d", r.IntN(1000)),
	}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	e.URL, e.Title = pick(urls...), pick("", "Antrag", "Antrag für "+ars.Padded(), e.Leistung.String(), "\x00", "Žádost\x02")
	e.OE, e.LB, e.OD = pick("", "L1.OE.1", "L1.OE.2", "Ä"), pick("", "LB"), pick("", "OD")
	e.Role, e.Lang, e.AreaKey = pick("", "02", "Ü"), pick("", "en"), pick("", ars.Padded(), ars.AGS())
	e.Specialised, e.Priority, e.Inactive = r.IntN(2) == 0, r.IntN(3)-1, r.IntN(2) == 0
	e.Kind = registry.Kind(r.IntN(2))
	if e.Lang == "en" && r.IntN(2) == 0 {
		e.Others = []registry.LangURL{{Lang: "fr", URL: urls[r.IntN(4)]}, {Lang: "cs", URL: urls[r.IntN(len(urls))]}}
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin())
	if r.IntN(3) == 0 {
		e.Begin, e.End = day.AddDate(0, 0, r.IntN(10)), day.AddDate(1, 0, r.IntN(10))
	}
	if r.IntN(9) == 0 {
		e.Refused = "host is private, at " + ars.Padded()
	}
	return e
}

// asKept is what an index gives back of an entry: defaults are not told from what says them.
func asKept(areas *registry.Areas, e registry.Entry) registry.Entry {
	if e.AreaKey == areas.ARS(e.Area).String() {
		e.AreaKey = ""
	}
	for i := range e.Others {
		if e.Others[i].Lang == "de" {
			e.Others[i].Lang = ""
		}
	}
	if e.Refused == "" {
		for _, u := range append([]registry.LangURL{{URL: e.URL}}, e.Others...) {
			if _, err := registry.ParseTarget(u.URL); err != nil && e.Refused == "" {
				e.Refused = err.Error()
			}
		}
	}
	return e
}

func sortEntries(list []registry.Entry) {
	slices.SortFunc(list, func(a, b registry.Entry) int {
		return cmp.Or(
			a.Leistung.Compare(b.Leistung), cmp.Compare(a.Area, b.Area), strings.Compare(a.Origin.Source, b.Origin.Source),
			cmp.Compare(a.Origin.Line, b.Origin.Line), strings.Compare(a.URL, b.URL), strings.Compare(a.Title, b.Title),
		)
	})
}

// What goes in comes out, byte for byte.
func TestAnIndexGivesBackItsEntries(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	in := generated(t, 3000, 1)
	x, report := build(t, areas, in)
	var want, got []registry.Entry
	for _, e := range in {
		want = append(want, asKept(areas, e))
	}
	for row, e := range x.Entries() {
		got = append(got, e)
		if single := x.Entry(row); !gocmp.Equal(single, e, gocmp.AllowUnexported(registry.Leistung{})) {
			t.Fatalf("row %d: alone %+v, among all %+v", row, single, e)
		}
	}
	if report.Rows != len(in) || x.Len() != len(in) || len(got) != len(in) {
		t.Fatalf("got %d rows, %d in the index, reported %d; want %d", len(got), x.Len(), report.Rows, len(in))
	}
	sortEntries(want)
	sortEntries(got)
	if d := gocmp.Diff(want, got, gocmp.AllowUnexported(registry.Leistung{})); d != "" {
		t.Errorf("(-want +got)\n%.4000s", d)
	}
}

// The order in which entries come does not show.
func TestAnyOrderGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	in := generated(t, 2000, 2)
	one, _ := build(t, areas, in)
	rand.New(rand.NewPCG(7, 7)).Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
	other, _ := build(t, areas, in)
	for i, s := range one.Sections() {
		if o := other.Sections()[i]; s.Tag != o.Tag || !bytes.Equal(s.Data, o.Data) {
			t.Errorf("section %s differs", s.Tag)
		}
	}
}

// keep copies sections as a file would, each at the begin of a cache line.
func keep(sections []bundle.Section) func(tag string) ([]byte, bool) {
	kept := map[string][]byte{}
	for _, s := range sections {
		room := bundle.Bytes(make([]uint64, len(s.Data)/8+1))
		kept[s.Tag] = room[:copy(room, s.Data)]
	}
	return func(tag string) ([]byte, bool) {
		data, ok := kept[tag]
		return data, ok
	}
}

func TestSectionsGiveTheSameIndex(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	one, _ := build(t, areas, generated(t, 2000, 3))
	other, err := index.FromSections(areas, keep(one.Sections()))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range one.Sections() {
		if o := other.Sections()[i]; s.Tag != o.Tag || !bytes.Equal(s.Data, o.Data) {
			t.Errorf("section %s differs", s.Tag)
		}
	}
	for row, e := range one.Entries() {
		if got := other.Entry(row); !gocmp.Equal(got, e, gocmp.AllowUnexported(registry.Leistung{})) {
			t.Fatalf("row %d: got %+v, want %+v", row, got, e)
		}
	}
	for b := range uint32(one.Blocks()) {
		row, pages := one.Uniform(b)
		if r, p := other.Uniform(b); r != row || p != pages {
			t.Errorf("block %d: got uniform %d %t, want %d %t", b, r, p, row, pages)
		}
	}
}

func TestAnIndexOfOtherAreasIsRefused(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	x, _ := build(t, areas, generated(t, 100, 3))
	on := time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin())
	other, err := areas.WithAliases([]registry.Alias{{From: []string{"120645410340"}, To: []string{"120645499999"}, On: on}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := index.FromSections(other, keep(x.Sections())); err != index.ErrAreas { //nolint:errorlint // it is this one
		t.Errorf("got %v, want %v", err, index.ErrAreas)
	}
}

// Every look-up finds what a map finds.
func TestLookUpsFindWhatAMapFinds(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	in := generated(t, 20_000, 4)
	x, _ := build(t, areas, in)
	type key struct {
		l  registry.Leistung
		id registry.AreaID
	}
	rows := map[key]int{}
	perLeistung := map[registry.Leistung]int{}
	for _, e := range in {
		rows[key{e.Leistung, e.Area}]++
		perLeistung[e.Leistung]++
	}
	if x.Blocks() != len(perLeistung) {
		t.Fatalf("got %d Leistungen, want %d", x.Blocks(), len(perLeistung))
	}
	count := func(group uint32) int {
		if group == index.None {
			return 0
		}
		first, end := x.Rows(group)
		return int(end - first)
	}
	r := rand.New(rand.NewPCG(5, 0))
	for range 50_000 {
		e := &in[r.IntN(len(in))]
		b := x.Find(e.Leistung)
		id := registry.AreaID(r.IntN(areas.Len()))
		if r.IntN(2) == 0 {
			id = e.Area
		}
		if got := count(x.Exact(b, uint32(id))); got != rows[key{e.Leistung, id}] {
			t.Fatalf("%s at %d: got %d rows, want %d", e.Leistung, id, got, rows[key{e.Leistung, id}])
		}
		group, area := x.Around(b, uint32(id))
		want := slices.IndexFunc(areas.Chain(nil, id), func(up registry.AreaID) bool { return rows[key{e.Leistung, up}] > 0 })
		switch {
		case want < 0 && group != index.None:
			t.Fatalf("%s around %d: got %d, want none", e.Leistung, id, area)
		case want >= 0 && registry.AreaID(area) != areas.Chain(nil, id)[want]:
			t.Fatalf("%s around %d: got %d, want %d", e.Leistung, id, area, areas.Chain(nil, id)[want])
		}
	}
	for b := range uint32(x.Blocks()) {
		all, inside, l := 0, 0, x.Leistung(b)
		for area, group := range x.All(b) {
			if n := count(group); n != rows[key{l, registry.AreaID(area)}] {
				t.Fatalf("%s at %d: got %d rows", l, area, n)
			}
			all += count(group)
		}
		for land := registry.AreaID(1); int(land) < areas.Len(); {
			_, end := areas.Inside(land)
			for area, group := range x.Inside(b, uint32(land), uint32(end)) {
				if area < uint32(land) || area >= uint32(end) {
					t.Fatalf("%d is not inside %d", area, land)
				}
				inside += count(group)
			}
			land = end
		}
		if want := perLeistung[l]; all != want || inside != want-rows[key{l, registry.Bund}] {
			t.Fatalf("%s: got %d rows, %d inside; want %d", l, all, inside, want)
		}
	}
	if got := x.Find(leistung(t, "12345678901234")); got != index.None {
		t.Errorf("an unknown Leistung has block %d", got)
	}
}

// Counts are those of the entries.
func TestCountsAreThoseOfTheEntries(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	in := generated(t, 5000, 6)
	x, _ := build(t, areas, in)
	var want, got [17][2]int
	for _, e := range in {
		want[areas.LandOf(e.Area)][e.Kind]++
	}
	for land := range want {
		got[land] = [2]int{x.RowsIn(uint8(land), registry.Service), x.RowsIn(uint8(land), registry.Page)}
	}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	sum := 0
	for i := range x.Traits() {
		sum += x.RowsOf(i)
	}
	if sum != len(in) {
		t.Errorf("the traits have %d rows, want %d", sum, len(in))
	}
}

// Rows that no index can hold cost themselves; faults of the caller are errors.
func TestUnsoundEntriesAreLeftOut(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	good := registry.Entry{Leistung: leistung(t, "99050012104000"), Area: 3, URL: "https://a.example/", Source: 2}
	b := index.NewBuilder(areas, []string{"a", "b", "c"})
	add := func(change func(*registry.Entry)) error {
		e := good
		change(&e)
		return b.Add(&e)
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, change := range []func(*registry.Entry){
		func(e *registry.Entry) { e.Leistung = registry.Leistung{} },
		func(e *registry.Entry) { e.Leistung, e.Area = leistung(t, "06000000000012"), registry.Bund },
		func(e *registry.Entry) { e.Begin, e.End = day, day },
	} {
		if err := add(change); err != nil {
			t.Errorf("%d: got %v, want a warning", i, err)
		}
	}
	for i, change := range []func(*registry.Entry){
		func(e *registry.Entry) { e.Area = registry.AreaID(areas.Len()) },
		func(e *registry.Entry) { e.Source = 3 },
		func(e *registry.Entry) { e.Source = -1 },
		func(e *registry.Entry) { e.Backend = "b" },
		func(e *registry.Entry) { e.Path = "/" },
		func(e *registry.Entry) { e.Template = true },
	} {
		if err := add(change); err == nil {
			t.Errorf("%d: no error", i)
		}
	}
	if x, report := b.Finish(); len(report.Warnings) != 3 || x.Len() != 0 || report.Rows != 0 {
		t.Errorf("got %d rows, %v", x.Len(), report)
	}
}

// An empty index answers.
func TestAnEmptyIndexAnswers(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	x, _ := build(t, areas, nil)
	again, err := index.FromSections(areas, keep(x.Sections()))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*index.Index{x, again} {
		if x.Find(leistung(t, "99050012104000")) != index.None || x.Len() != 0 || x.Blocks() != 0 {
			t.Error("an empty index has rows")
		}
	}
}

// Texts with keys are the same text, and differ where they are read.
func TestKeyedTextsAreOne(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	var in []registry.Entry
	for i, area := range []string{"065340014014", "065340004004", "06534"} {
		id, err := areas.EntryArea(area)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, registry.Entry{
			Leistung: leistung(t, "99050012104000"), Area: id, Source: 2, Origin: registry.Origin{Line: int32(i)},
			URL: "https://a.example/99050012104000?p=" + areas.ARS(id).Padded()[:6] + "&ars=" + areas.ARS(id).Padded(),
		})
	}
	x, _ := build(t, areas, in)
	urls := map[uint32]bool{}
	for row, e := range x.Entries() {
		urls[x.Record(row).URL] = true
		if e.URL != in[e.Origin.Line].URL {
			t.Errorf("got %s, want %s", e.URL, in[e.Origin.Line].URL)
		}
	}
	if len(urls) != 1 {
		t.Errorf("got %d texts, want 1", len(urls))
	}
	if row, _ := x.Uniform(0); row != index.None {
		t.Error("they lead to one target")
	}
}

// Any text comes back at its own place.
func TestAnyTextComesBack(t *testing.T) {
	t.Parallel()
	areas := areasOf(t)
	rapid.Check(t, func(r *rapid.T) {
		l := leistung(t, fmt.Sprintf("%014d", rapid.Int64Range(0, 1e14-1).Draw(r, "leistung")))
		id := registry.AreaID(rapid.IntRange(1, areas.Len()-1).Draw(r, "area"))
		ars := areas.ARS(id)
		part := rapid.SampledFrom([]string{
			l.String(), ars.Padded(), ars.AGS(), ars.String(), ars.Padded()[:6], "/", "a", "\x00", "\x01", "\x1c", "ß", "0", "?",
		})
		e := registry.Entry{Leistung: l, Area: id, Source: 2}
		e.URL = strings.Join(rapid.SliceOf(part).Draw(r, "url"), "")
		e.Title = strings.Join(rapid.SliceOf(part).Draw(r, "title"), "")
		x, _ := build(t, areas, []registry.Entry{e})
		got := x.Entry(0)
		if got.URL != e.URL || got.Title != e.Title {
			r.Fatalf("got %q %q, want %q %q", got.URL, got.Title, e.URL, e.Title)
		}
		at := index.At{Row: 0, Leistung: l, Area: uint32(id)}
		if !x.HasURL(at, e.URL) || !x.SameURL(at, at) {
			r.Fatalf("%q is not its own URL", e.URL)
		}
	})
}

// S82: a URL that names another place is told, once for a place, in whatever language it stands.
func TestS82URLsOfOtherPlacesAreTold(t *testing.T) {
	t.Parallel()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	flensburg, err := areas.EntryArea("010010000000")
	if err != nil {
		t.Fatal(err)
	}
	leistung, err := registry.ParseLeistung("99042001012000")
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]int{
		"https://a.example/?location=010020000000":                0, // as the first of two below
		"https://a.example/?location=010010000000":                0,
		"https://a.example/?land=010000000000":                    0,
		"https://a.example/?id=0100200000001":                     0,
		"https://a.example/?id=900200000000":                      0,
		"https://a.example/065340014014?l=010020000000&m=09":      1,
		"https://a.example/065340014014?l=010020000000&m=0653400": 1,
	} {
		b := index.NewBuilder(areas, []string{"hub"})
		e := registry.Entry{Leistung: leistung, Area: flensburg, URL: url, Others: []registry.LangURL{{Lang: "en", URL: "https://a.example/en?l=010020000000"}}}
		if err := b.Add(&e); err != nil {
			t.Fatal(err)
		}
		if _, report := b.Finish(); len(report.Warnings) != want+1 {
			t.Errorf("%s: %v, want %d warnings", url, report.Warnings, want+1)
		}
	}
}

// Texts are found by what they are, and come in their order.
func TestTextsAreFoundByTheirKeyedForm(t *testing.T) {
	t.Parallel()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	b := index.NewBuilder(areas, []string{"hub"})
	for i := range 500 {
		key := fmt.Sprintf("99%012d", i*7919)
		l, err := registry.ParseLeistung(key)
		if err != nil {
			t.Fatal(err)
		}
		e := registry.Entry{Leistung: l, Area: registry.Bund, URL: fmt.Sprintf("https://h%d.example/%d?k=%s", i%7, i%90, key), Title: fmt.Sprint("title ", i%40)}
		if err := b.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	x, _ := b.Finish()
	var last []byte
	n := uint32(0)
	for text, keyed := range x.Keyed() {
		n++
		if text != n || bytes.Compare(last, keyed) >= 0 || !bytes.Equal(x.AppendKeyed(nil, text), keyed) {
			t.Fatalf("text %d after %d: %q after %q", text, n-1, keyed, last)
		}
		if found, ok := x.FindKeyed(keyed); !ok || found != text {
			t.Errorf("%q is %d, found %d %v", keyed, text, found, ok)
		}
		for _, other := range [][]byte{append(slices.Clone(keyed), 'x'), keyed[:len(keyed)-1]} {
			if found, ok := x.FindKeyed(other); ok && !bytes.Equal(x.AppendKeyed(nil, found), other) {
				t.Errorf("%q was found as %d", other, found)
			}
		}
		if want := bytes.HasPrefix(keyed, []byte("https")); index.Marked(keyed) != want {
			t.Errorf("%q is marked: %v", keyed, !want)
		}
		last = append(last[:0], keyed...)
	}
	if n+1 != x.Texts() || n < 100 {
		t.Errorf("%d of %d texts came", n, x.Texts())
	}
	for _, other := range []string{"\x01", "zzz"} {
		if _, ok := x.FindKeyed([]byte(other)); ok {
			t.Errorf("%q was found", other)
		}
	}
}
