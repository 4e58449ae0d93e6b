// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// pair is one Leistung at one plot.
type pair struct{ leistung, old, new string }

// naiveDiff asks both tables about every pair and compares, which Diff must agree with. It finds the plots in its own way.
func naiveDiff(old, new routing.Moment, keys []registry.Leistung, sender string) map[pair]string {
	found := map[pair]string{}
	for _, x := range naivePlots(old, new) {
		for _, l := range keys {
			for seed := range uint64(100) {
				was := naiveAnswer(old, l, x[0], sender, seed)
				is := naiveAnswer(new, l, x[1], sender, seed)
				if kind := naiveKind(was, is); kind != "" {
					found[pair{l.String(), x[0], x[1]}] = fmt.Sprintf("%s %s → %s", kind, was.name, is.name)
					break
				}
				if !was.split && !is.split {
					break
				}
			}
		}
	}
	return found
}

// naivePlots pairs the keys of the Gemeinden: each goes where its key leads at the other moment, in both directions.
func naivePlots(old, new routing.Moment) (list [][2]string) {
	seen := map[[2]string]bool{}
	hasOld, hasNew := map[string]bool{}, map[string]bool{}
	add := func(a, b string) {
		if x := [2]string{a, b}; !seen[x] {
			seen[x], hasOld[a], hasNew[b] = true, true, true
			list = append(list, x)
		}
	}
	for _, a := range livingGemeinden(old) {
		for _, b := range meaning(new, a) {
			add(a, b)
		}
	}
	for _, b := range livingGemeinden(new) {
		if !hasNew[b] {
			for _, a := range meaning(old, b) {
				add(a, b)
			}
		}
		if !hasNew[b] {
			add("", b)
		}
	}
	for _, a := range livingGemeinden(old) {
		if !hasOld[a] {
			add(a, "")
		}
	}
	return list
}

func livingGemeinden(m routing.Moment) (keys []string) {
	areas := m.Table.Areas()
	for id := range registry.AreaID(areas.Len()) {
		if areas.ARS(id).Level() != registry.LevelGemeinde {
			continue
		}
		if got := meaning(m, areas.ARS(id).String()); len(got) == 1 && got[0] == areas.ARS(id).String() {
			keys = append(keys, got[0])
		}
	}
	return keys
}

func meaning(m routing.Moment, key string) (keys []string) {
	areas := m.Table.Areas()
	place, err := areas.Locate(key, m.At, registry.LocateOptions{})
	ids := []registry.AreaID{place.ID}
	if split, ok := err.(*registry.SplitArea); ok { //nolint:errorlint // Locate's own
		ids = split.Choices
	} else if err != nil {
		return nil
	}
	for _, id := range ids {
		if areas.ARS(id).Level() == registry.LevelGemeinde && !areas.Future(id, m.At) {
			keys = append(keys, areas.ARS(id).String())
		}
	}
	return keys
}

type naive struct {
	name, url, kind string
	target, split   bool
}

func naiveAnswer(m routing.Moment, l registry.Leistung, area, sender string, seed uint64) naive {
	if area == "" {
		return naive{name: "unknown_area"}
	}
	id, err := m.Table.Areas().EntryArea(area)
	if err != nil {
		panic(err)
	}
	q := routing.Query{Leistung: l, Area: id, At: m.At, Sender: sender, Seed: seed}
	d := m.Table.Bulk().Resolve(&q)
	a := naive{name: d.Verdict.String(), split: d.Override >= 0}
	if d.Verdict == routing.Handover {
		url, err := m.Table.AppendURL(nil, &q, &d)
		if err != nil {
			panic(err)
		}
		a.name, a.url, a.kind, a.target = m.Table.BackendName(d.Backend), string(url), d.Kind.String(), true
	}
	return a
}

func naiveKind(was, is naive) string {
	same := was.url == is.url && was.kind == is.kind
	switch {
	case was.target && is.target && was.name == is.name && same:
		return ""
	case was.target && is.target && was.name == is.name:
		return "readdressed"
	case was.target && is.target && same:
		return "renamed"
	case was.target && is.target:
		return "moved"
	case was.name == is.name && was.target == is.target:
		return ""
	case !is.target && is.name == "ambiguous":
		return "ambiguous"
	case is.target:
		return "appeared"
	case was.target:
		return "vanished"
	}
	return "reason"
}

// mutate makes another registry of one: most of it stays.
func (g *generator) mutate(v *vector) *vector {
	w := *v
	w.Entries, w.Overrides = slices.Clone(v.Entries), slices.Clone(v.Overrides)
	w.Adoptions, w.Backends = slices.Clone(v.Adoptions), slices.Clone(v.Backends)
	w.Aliases, w.Leistungen, w.Offers = slices.Clone(v.Aliases), slices.Clone(v.Leistungen), slices.Clone(v.Offers)
	for range 1 + g.IntN(4) {
		switch g.IntN(11) {
		case 0, 1:
			w.Entries = slices.Delete(w.Entries, 0, g.IntN(2)*min(1, len(w.Entries)))
		case 2, 3:
			w.Entries = append(w.Entries, g.entry(len(w.Entries)+1000))
		case 4:
			if len(w.Entries) > 0 {
				e := &w.Entries[g.IntN(len(w.Entries))]
				if e.URL = pick(g, someURLs); e.Source == "" {
					e.URL = pick(g, someForms)
				}
			}
		case 5:
			w.Backends[0].Name = "renamed"
			for i := range w.Overrides {
				if w.Overrides[i].To.one == "listed" {
					w.Overrides[i].To.one = "renamed"
				}
				if n, ok := w.Overrides[i].To.weights["listed"]; ok {
					w.Overrides[i].To.weights = maps.Clone(w.Overrides[i].To.weights)
					w.Overrides[i].To.weights["renamed"] = n
					delete(w.Overrides[i].To.weights, "listed")
				}
			}
		case 6:
			w.ParentKey = g.parents()
		case 7:
			w.Overrides = nil
		case 8:
			if len(w.Adoptions) > 0 {
				a := &w.Adoptions[g.IntN(len(w.Adoptions))]
				a.Without = append(slices.Clone(a.Without), g.below(pick(g, a.Areas).Area))
			}
		case 9:
			w.Leistungen = w.Leistungen[:g.IntN(len(w.Leistungen)+1)]
		case 10:
			w.Adoptions = w.Adoptions[:g.IntN(len(w.Adoptions)+1)]
		}
	}
	return &w
}

func (g *generator) parents() (lands []string) {
	for _, l := range []string{"01", "06", "12"} {
		if g.chance(50) {
			lands = append(lands, l)
		}
	}
	return lands
}

// splits turns some overrides into splits.
func (g *generator) splits(v *vector) {
	for i := range v.Overrides {
		if o := &v.Overrides[i]; o.Gone == "" && g.chance(40) {
			n := 10 * (1 + g.IntN(9))
			o.To = vectorTo{weights: map[string]int{v.Backends[0].Name: n, "needs": 100 - n}}
		}
	}
}

// moreAliases gives one side dated changes of its own, a merger, a division or a new number.
func (g *generator) moreAliases(v *vector) {
	if g.chance(50) || len(v.Overrides) > 0 { // overrides of two areas that become one might clash
		return
	}
	on := pick(g, []string{"2025-06-01", "2026-06-15", "2026-09-01"})
	v.Aliases = append(v.Aliases, pick(g, []vectorAlias{
		{From: []string{"120645410340"}, To: []string{"120645410190"}, On: on},
		{From: []string{"120645412288"}, To: []string{"120645413288"}, On: on, Name: "Neu"},
		{From: []string{"065340018018"}, To: []string{"065340018019", "065340004004"}, On: on, Name: "Teil"},
		{From: []string{"06534"}, To: []string{"06536"}, On: on, Name: "Kreis neu"},
	}))
}

func diffTrials() int {
	if os.Getenv("PVGATE_PROVE") == "" {
		return 120
	}
	return 20_000
}

// Diff says of every pair what asking both tables says.
func TestDiffIsThatOfAllPairs(t *testing.T) {
	t.Parallel()
	first := firstSeed(t)
	kinds, pairs := map[string]int{}, 0
	for i := range diffTrials() {
		seed := first + uint64(i)
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
		v := g.world(1+i%40, false)
		g.splits(v)
		w := g.mutate(v)
		g.splits(w)
		g.moreAliases(v)
		g.moreAliases(w)
		times := [2]string{pick(g, someTimes), ""}
		if times[1] = times[0]; g.chance(40) {
			times[1] = pick(g, someTimes)
		}
		var sides [2]routing.Moment
		for j, x := range []*vector{v, w} {
			l := load(x)
			if l.err != nil {
				t.Fatalf("PVGATE_SEED=%d: %v", seed, l.err)
			}
			table, problems := compiled(l.in)
			if table == nil {
				t.Logf("PVGATE_SEED=%d: %v", seed, problems)
				break
			}
			sides[j] = routing.Moment{Table: table, At: l.begin(times[j])}
		}
		if sides[1].Table == nil {
			continue
		}
		sender := pick(g, []string{"", "hessen"})
		got := map[pair]string{}
		d, err := routing.Diff(sides[0], sides[1], routing.DiffOptions{Sender: sender, Examples: 2, Each: func(c *routing.Change) error {
			for _, x := range c.Plots {
				got[pair{c.Leistung.String(), keyOf(sides[0], x.Old), keyOf(sides[1], x.New)}] = fmt.Sprintf("%s %s → %s", c.Kind, c.From, c.To)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		keys := askable(t, v, w)
		want := naiveDiff(sides[0], sides[1], keys, sender)
		if x := cmp.Diff(want, got); x != "" {
			t.Fatalf("PVGATE_SEED=%d, at %v (-want +got):\n%s\n%s\n%s", seed, times, x, asJSON(v), asJSON(w))
		}
		if d.Changed.Pairs != len(want) || d.Leistungen != len(keys) {
			t.Fatalf("PVGATE_SEED=%d: %d pairs of %d Leistungen are reported, %d of %d are there", seed, d.Changed.Pairs, d.Leistungen, len(want), len(keys))
		}
		checkSums(t, d)
		for _, x := range want {
			kinds[x[:6]]++
		}
		pairs += d.Pairs
	}
	t.Logf("%d pairs; changes %v", pairs, kinds)
	if len(kinds) != routing.ChangeKinds-1 {
		t.Errorf("changes %v; want every kind", kinds)
	}
}

func keyOf(m routing.Moment, id registry.AreaID) string {
	if id == routing.NoArea {
		return ""
	}
	return m.Table.Areas().ARS(id).String()
}

// askable are the Leistungen that Diff says it compares.
func askable(t *testing.T, vs ...*vector) []registry.Leistung {
	t.Helper()
	set := map[registry.Leistung]bool{}
	add := func(s string) {
		l, err := registry.ParseLeistung(s)
		if err != nil {
			t.Fatal(err)
		}
		set[l] = true
	}
	for _, v := range vs {
		l := load(v)
		table, _ := compiled(l.in)
		for _, k := range table.Leistungen() {
			set[k] = true
		}
		for _, i := range v.Leistungen {
			add(i.Key)
		}
		for _, o := range v.Overrides {
			if len(o.Leistung) == 14 {
				add(o.Leistung)
			}
		}
	}
	return slices.SortedFunc(maps.Keys(set), registry.Leistung.Compare)
}

// checkSums holds that the parts of a report sum up to the whole.
func checkSums(t *testing.T, d *routing.Difference) {
	t.Helper()
	kinds, lands, flows := 0, 0, 0
	for _, x := range d.Kinds {
		kinds += x.Pairs
	}
	for _, x := range d.Lands {
		lands += x.Pairs
	}
	for _, x := range d.Flows {
		flows += x.Pairs
		if len(x.Examples) == 0 || len(x.Examples) > 2 {
			t.Errorf("flow %s %s → %s has %d examples", x.Kind, x.From, x.To, len(x.Examples))
		}
	}
	if n := d.Changed.Pairs; kinds != n || lands != n || flows != n {
		t.Errorf("%d changes; by kind %d, by Land %d, by flow %d", n, kinds, lands, flows)
	}
}

// S30: what Hanau loses on the day it leaves its Kreis.
func TestDiffTellsWhatAnAliasDateTakes(t *testing.T) {
	t.Parallel()
	areas, err := registry.DefaultAreas()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	f.areas, f.in.Areas = areas, areas
	f.entry(gewerbe, "06435", "https://kreis.example/gewerbe", row("hub", 1), nil)
	f.entry(bau, "064350014014", "https://hanau.example/bau", row("hub", 2), nil)
	table := f.table()
	before := routing.Moment{Table: table, At: time.Date(2025, 12, 31, 23, 59, 0, 0, registry.Berlin())}
	after := routing.Moment{Table: table, At: time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin())}
	d, err := routing.Diff(before, after, routing.DiffOptions{Examples: 3})
	if err != nil {
		t.Fatal(err)
	}
	lost := routing.Tally{Pairs: 1, Gemeinden: 1, Inhabitants: 97_137}
	want := &routing.Difference{
		Leistungen: 2, Gemeinden: 10_997, Pairs: 21_994, Changed: lost,
		Kinds:    []routing.OfKind{{Kind: routing.Vanished, Tally: lost}},
		Lands:    []routing.OfLand{{Land: "06", Name: "Hessen", Tally: lost, Kinds: map[routing.ChangeKind]int{routing.Vanished: 1}}},
		Backends: []routing.OfName{{Name: "kreis.example", Lost: lost}},
		Flows: []routing.Flow{{
			Kind: routing.Vanished, From: "kreis.example", To: "no_route", Tally: lost,
			Examples: []routing.Example{{
				Leistung: f.leistung(gewerbe), Area: "064150000000", Name: "Hanau", Old: "https://kreis.example/gewerbe",
			}},
		}},
		Places: []routing.OfPlace{{
			Old: "064350014014", New: "064150000000", Name: "Hanau", Inhabitants: 97_137, Pairs: 1,
			Flows: []routing.Flow{{Kind: routing.Vanished, From: "kreis.example", To: "no_route", Tally: lost}},
		}},
	}
	if x := cmp.Diff(want, d, cmpopts.EquateEmpty(), cmp.AllowUnexported(registry.Leistung{})); x != "" {
		t.Errorf("(-want +got):\n%s", x)
	}
	back, err := routing.Diff(after, before, routing.DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Places) != 1 || back.Places[0].Old != "064150000000" || back.Kinds[0].Kind != routing.Appeared || back.Gemeinden != 10_997 {
		t.Errorf("backwards: %+v", back)
	}
	if same, err := routing.Diff(before, before, routing.DiffOptions{}); err != nil || !same.Empty() {
		t.Errorf("with itself: %+v %v", same, err)
	}
}

// A host that another backend lists moves its pairs without moving anybody.
func TestDiffTellsOfRenamedHosts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.backend("ekom", "ekom.example", "second.example")
	f.entry(gewerbe, "06534", "https://ekom.example/", row("hub", 1), nil)
	old := f.table()
	f.in.Backends[0].Name = "ekom21"
	f.in.Backends[0].Hosts = f.in.Backends[0].Hosts[:1]
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	d, err := routing.Diff(routing.Moment{Table: old, At: at}, routing.Moment{Table: f.table(), At: at}, routing.DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []routing.HostMove{{From: "ekom", To: "ekom21", Hosts: []string{"ekom.example"}, Renamed: true, Pairs: 22}}
	if x := cmp.Diff(want, d.Hosts); x != "" || len(d.Kinds) != 1 || d.Kinds[0].Kind != routing.Renamed {
		t.Errorf("kinds %+v, hosts (-want +got):\n%s", d.Kinds, x)
	}
}

// Addresses that a template makes may agree at one Gemeinde and not at the next.
func TestDiffComparesAddressesOfTemplatesOneByOne(t *testing.T) {
	t.Parallel()
	sides := [2]routing.Moment{}
	for i, url := range []string{"https://a.example/{ars}", "https://a.example/065340001001"} {
		f := newFixture(t)
		f.entry(gewerbe, "06534", url, file("06.yaml", 1, 1), func(e *registry.Entry) { e.Template = i == 0 })
		sides[i] = routing.Moment{Table: f.table(), At: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	}
	d, err := routing.Diff(sides[0], sides[1], routing.DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Kinds) != 1 || d.Kinds[0].Kind != routing.Readdressed || d.Changed.Pairs != 21 {
		t.Errorf("got %+v; want 21 of 22 Gemeinden readdressed: Amöneburg keeps its address", d.Kinds)
	}
}

// BenchmarkDiff1M compares registries of a million entries of which one in a hundred is another.
func BenchmarkDiff1M(b *testing.B) {
	in := million(b)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	table, _ := compiled(in)
	r := rand.New(rand.NewPCG(4, 0))
	for range len(in.Entries) / 100 {
		switch e := &in.Entries[r.IntN(len(in.Entries))]; r.IntN(3) {
		case 0:
			e.URL = "https://elsewhere.example/" + e.Leistung.String()
		case 1:
			e.Inactive = true
		default:
			e.Area = registry.AreaID(1 + r.IntN(in.Areas.Len()-1))
		}
	}
	changed, _ := compiled(in)
	in.Entries = nil
	var d *routing.Difference
	for b.Loop() {
		var err error
		if d, err = routing.Diff(routing.Moment{Table: table, At: at}, routing.Moment{Table: changed, At: at}, routing.DiffOptions{Examples: 3}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(d.Pairs), "pairs")
	b.ReportMetric(float64(d.Changed.Pairs), "changes")
}
