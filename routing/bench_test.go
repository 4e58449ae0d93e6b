// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/routing"
)

// big is a table of a million entries with a million shuffled questions: about a row and a Gemeinde at or below it, so
// that the walk goes up as far as it does for citizens. Rows and questions together are far larger than the caches.
type big struct {
	table     *routing.Table
	questions []routing.Query
	compile   time.Duration
	bytes     uint64 // of the table
}

var bigTable = sync.OnceValues(func() (*big, error) { return makeBig(1_000_000, false) })

// mixedTable is one in which a fifth of the entries has been moved to places around theirs, so that most Leistungen
// have rows at several levels. In the other each is registered at one, as generated.
var mixedTable = sync.OnceValues(func() (*big, error) { return makeBig(1_000_000, true) })

func makeBig(rows int, mixed bool) (*big, error) {
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		return nil, err
	}
	b := &big{questions: make([]routing.Query, 0, 1_000_000)}
	before := heap()
	in := routing.Input{Areas: areas, Sources: []string{"generated"}, Marktplatz: 1}
	err = generate.Each(areas, generate.Options{Seed: 1, Entries: rows}, func(e *registry.Entry) error {
		in.Entries = append(in.Entries, *e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if mixed {
		raise(areas, in.Entries)
	}
	var gemeinden []registry.AreaID
	for id := registry.AreaID(0); int(id) < areas.Len(); id++ {
		if areas.ARS(id).Level() == registry.LevelGemeinde {
			gemeinden = append(gemeinden, id)
		}
	}
	start := time.Now()
	b.table, _ = compiled(in)
	b.compile = time.Since(start)
	r := rand.New(rand.NewPCG(2, 0))
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for range cap(b.questions) {
		q := routing.Query{Leistung: in.Entries[r.IntN(len(in.Entries))].Leistung, Area: gemeinden[r.IntN(len(gemeinden))], At: at}
		if r.IntN(2) == 0 { // half of the questions are about a leaf below an entry
			e := &in.Entries[r.IntN(len(in.Entries))]
			q.Leistung, q.Area = e.Leistung, leaf(areas, e.Area, r)
		}
		b.questions = append(b.questions, q)
	}
	in.Entries = nil
	b.bytes = heap() - before
	return b, nil
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

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkResolveCold1M asks a table of a million entries a new question each time.
func BenchmarkResolveCold1M(b *testing.B) { benchmarkCold(b, bigTable) }

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
	b.ReportMetric(t.compile.Seconds(), "compile-s")
	b.ReportMetric(float64(t.bytes)/float64(t.table.Rows()), "B/row")
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

// BenchmarkResolveUniform asks without an area for what every Gemeinde has registered with one and the same address:
// the longest scan that R12 can ask for.
func BenchmarkResolveUniform(b *testing.B) {
	f := newFixture(b)
	f.backend("closed", "closed.example")
	f.offer("o", "closed", map[string]string{gewerbe: "https://closed.example/{ars}"})
	for id := registry.AreaID(0); int(id) < f.areas.Len(); id++ {
		f.in.Entries = append(f.in.Entries,
			registry.Entry{Leistung: f.leistung(bau), Area: id, URL: "https://a.example/", Source: 2, Origin: row("hub", 1)},
			registry.Entry{Leistung: f.leistung(gewerbe), Area: id, URL: "https://closed.example/", Source: 2, Origin: row("hub", 2)})
	}
	table := f.table()
	for name, l := range map[string]string{"open": bau, "closed": gewerbe} {
		b.Run(name, func(b *testing.B) {
			q := f.ask(l, "00")
			for b.Loop() {
				table.Resolve(q)
			}
		})
	}
}
