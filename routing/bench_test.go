// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/routing"
)

// big is a table of many entries of sources with a million shuffled questions: about a row and a Gemeinde at or below
// it, so that the walk goes up as far as it does for citizens. Rows and questions together are far larger than the caches.
type big struct {
	index     *index.Index
	table     *routing.Table
	questions []routing.Query
	build     time.Duration // of the index
	compile   time.Duration // of the table
}

var (
	smallTable  = sync.OnceValues(func() (*big, error) { return makeBig(1000, false) })
	mediumTable = sync.OnceValues(func() (*big, error) { return makeBig(250_000, false) })
	bigTable    = sync.OnceValues(func() (*big, error) { return makeBig(1_000_000, false) })
	hugeTable   = sync.OnceValues(func() (*big, error) { return makeBig(10_000_000, false) })
	// mixedTable is one in which a fifth of the entries has been moved to places around theirs, so that most Leistungen
	// have rows at several levels. In the others each is registered at one, as generated.
	mixedTable = sync.OnceValues(func() (*big, error) { return makeBig(1_000_000, true) })
)

// asked is what questions are made of.
type asked struct {
	leistung registry.Leistung
	area     registry.AreaID
}

func makeBig(rows int, mixed bool) (*big, error) {
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		return nil, err
	}
	b := &big{questions: make([]routing.Query, 0, 1_000_000)}
	start := time.Now()
	options := generate.Options{Seed: 1, Entries: rows, Leistungen: max(25, rows/1250)} // ten million are of 8000
	builder := index.NewBuilder(areas, []string{"generated"})
	r := rand.New(rand.NewPCG(2, 0))
	some, seen := make([]asked, 0, 1_000_000), 0
	take := func(e *registry.Entry) error {
		if seen++; len(some) < cap(some) {
			some = append(some, asked{e.Leistung, e.Area})
		} else if i := r.IntN(seen); i < len(some) {
			some[i] = asked{e.Leistung, e.Area}
		}
		return builder.Add(e)
	}
	if mixed {
		err = raised(areas, options, take)
	} else {
		err = generate.Each(areas, options, take)
	}
	if err != nil {
		return nil, err
	}
	b.index, _ = builder.Finish()
	b.build = time.Since(start)
	gemeinden := gemeindenOf(areas)
	start = time.Now()
	b.table, _ = routing.Compile(routing.Input{Areas: areas, Sources: []string{"operator", "marktplatz", "generated"}, Marktplatz: 1, Index: b.index})
	b.compile = time.Since(start)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for range cap(b.questions) {
		q := routing.Query{Leistung: some[r.IntN(len(some))].leistung, Area: gemeinden[r.IntN(len(gemeinden))], At: at}
		if r.IntN(2) == 0 { // half of the questions are about a leaf below an entry
			e := some[r.IntN(len(some))]
			q.Leistung, q.Area = e.leistung, leaf(areas, e.area, r)
		}
		b.questions = append(b.questions, q)
	}
	return b, nil
}

func gemeindenOf(areas *registry.Areas) (list []registry.AreaID) {
	for id := registry.AreaID(0); int(id) < areas.Len(); id++ {
		if areas.ARS(id).Level() == registry.LevelGemeinde {
			list = append(list, id)
		}
	}
	return list
}

// raised is generate.Each with raise.
func raised(areas *registry.Areas, o generate.Options, emit func(*registry.Entry) error) error {
	var entries []registry.Entry
	err := generate.Each(areas, o, func(e *registry.Entry) error {
		entries = append(entries, *e)
		return nil
	})
	raise(areas, entries)
	for i := range entries {
		err = errors.Join(err, emit(&entries[i]))
	}
	return err
}

// raise moves every fifth entry to a random place around its own that has none of the Leistung.
func raise(areas *registry.Areas, entries []registry.Entry) {
	type key struct {
		l  registry.Leistung
		id registry.AreaID
	}
	taken := make(map[key]bool, len(entries))
	for i := range entries {
		taken[key{entries[i].Leistung, entries[i].Area}] = true
	}
	r := rand.New(rand.NewPCG(3, 0))
	for i := 0; i < len(entries); i += 5 {
		e := &entries[i]
		chain := areas.Chain(nil, e.Area)
		if to := chain[r.IntN(len(chain))]; !taken[key{e.Leistung, to}] && (to != registry.Bund || e.Leistung.Federal()) {
			taken[key{e.Leistung, to}] = true
			e.Area = to
		}
	}
}

// leaf is a Gemeinde in an area.
func leaf(areas *registry.Areas, id registry.AreaID, r *rand.Rand) registry.AreaID {
	first, end := areas.Inside(id)
	for range 50 {
		if first == end {
			return id
		}
		if x := first + registry.AreaID(r.IntN(int(end-first))); areas.ARS(x).Level() == registry.LevelGemeinde {
			return x
		}
	}
	return id
}

// BenchmarkResolveCold1k asks a table of a thousand entries, all of which stay in a core's caches.
func BenchmarkResolveCold1k(b *testing.B) { benchmarkCold(b, smallTable) }

// BenchmarkResolveCold1M asks a table of a million entries a new question each time.
func BenchmarkResolveCold1M(b *testing.B) { benchmarkCold(b, bigTable) }

// BenchmarkResolveCold10M does so with ten million. Its table takes half a minute to make.
func BenchmarkResolveCold10M(b *testing.B) {
	if os.Getenv("PVGATE_PROVE") == "" {
		b.Skip("PVGATE_PROVE is not set: ten million entries")
	}
	benchmarkCold(b, hugeTable)
}

// BenchmarkResolveMixedCold1M does so where the answer may be at any level.
func BenchmarkResolveMixedCold1M(b *testing.B) { benchmarkCold(b, mixedTable) }

func benchmarkCold(b *testing.B, table func() (*big, error)) {
	t, err := table()
	if err != nil {
		b.Fatal(err)
	}
	var verdicts [routing.Verdicts]int
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d := t.table.Resolve(&t.questions[i%len(t.questions)])
		verdicts[d.Verdict]++
		i++
	}
	b.ReportMetric(100*float64(verdicts[routing.Handover])/float64(i), "%found")
	b.ReportMetric(t.build.Seconds(), "build-s")
	b.ReportMetric(float64(t.compile.Microseconds())/1000, "compile-ms")
}

// BenchmarkResolveURLCold1M also writes the address.
func BenchmarkResolveURLCold1M(b *testing.B) {
	t, err := bigTable()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var buf [1024]byte
	i := 0
	for b.Loop() {
		q := &t.questions[i%len(t.questions)]
		if d := t.table.Resolve(q); d.Verdict == routing.Handover {
			if _, err := t.table.AppendURL(buf[:0], q, &d); err != nil {
				b.Fatal(err)
			}
		}
		i++
	}
}

// BenchmarkResolveWarm asks a few questions again and again: what a decision costs when nothing is far away.
func BenchmarkResolveWarm(b *testing.B) {
	t, err := bigTable()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		t.table.Resolve(&t.questions[i%256])
		i++
	}
}

// BenchmarkCompile makes the table of a registry's million entries and 12 000 adoptions of twelve offers, each of a
// Gemeinde: what a reload costs that changes nothing in the registry.
func BenchmarkCompile(b *testing.B) {
	big, err := bigTable()
	if err != nil {
		b.Fatal(err)
	}
	in := adoptedBy(b, big, 12_000)
	for b.Loop() {
		if table, problems := routing.Compile(in); table == nil {
			b.Fatal(problems)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/op")
}

// adoptedBy is a configuration with n adoptions, each by one Gemeinde of two Leistungen.
func adoptedBy(t testing.TB, big *big, n int) routing.Input {
	t.Helper()
	f := newFixture(t)
	f.in.Index, f.in.Areas, f.in.Sources = big.index, big.index.Areas(), []string{"operator", "marktplatz", "generated"}
	f.areas = f.in.Areas
	list := big.table.Leistungen()
	for i := range 12 {
		name := fmt.Sprintf("efa-%d", i)
		f.backend(name, name+".example")
		f.offer(name, name, map[string]string{
			list[2*i].String(): "https://" + name + ".example/{ars}?oe={oe_id}", list[2*i+1].String(): "https://" + name + ".example/{leistung}",
		})
	}
	gemeinden := gemeindenOf(f.areas)
	for i := range n {
		id := gemeinden[i%len(gemeinden)]
		f.in.Adoptions = append(f.in.Adoptions, registry.Adoption{
			Offer: fmt.Sprintf("efa-%d", i%12), Origin: file("adoptions.yaml", int32(i+1), 1),
			Areas: []registry.AdoptedArea{{Area: id, Key: f.areas.ARS(id).String(), OE: fmt.Sprintf("L1.OE.%d", i)}},
		})
	}
	return f.in
}

// BenchmarkResolveUniform asks without an area for what every area has registered: with one and the same address, where
// nothing need be looked at, and where everything must be, the longest scan that R12 can ask for.
func BenchmarkResolveUniform(b *testing.B) {
	f := newFixture(b)
	f.backend("closed", "closed.example")
	f.offer("o", "closed", map[string]string{gewerbe: "https://closed.example/{ars}"})
	for id := registry.AreaID(0); int(id) < f.areas.Len(); id++ {
		f.in.Entries = append(f.in.Entries,
			registry.Entry{Leistung: f.leistung(bau), Area: id, URL: "https://a.example/", Source: 2, Origin: row("hub", 1)},
			registry.Entry{Leistung: f.leistung(gewerbe), Area: id, URL: "https://closed.example/", Source: 2, Origin: row("hub", 2)})
	}
	const dead = "99115005104000" // at every area, a service that has ended: none can win, all are looked at
	f.entry(dead, "00", "https://a.example/", row("hub", 3), nil)
	for id := registry.AreaID(1); int(id) < f.areas.Len(); id++ {
		f.in.Entries = append(f.in.Entries, registry.Entry{
			Leistung: f.leistung(dead), Area: id, URL: fmt.Sprintf("https://b.example/%d", id), Inactive: true, Source: 2, Origin: row("hub", 3),
		})
	}
	table := f.table()
	for name, l := range map[string]string{"open": bau, "closed": gewerbe, "dead": dead} {
		b.Run(name, func(b *testing.B) {
			q := f.ask(l, "00")
			for b.Loop() {
				table.Resolve(q)
			}
		})
	}
}
