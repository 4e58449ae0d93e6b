// SPDX-License-Identifier: EUPL-1.2

package index_test

import (
	"testing"

	"github.com/pvgate/pvgate/registry/generate"
	"github.com/pvgate/pvgate/registry/index"
)

// generatedIndex builds an index of n generated entries, without a list of them, as dense as ten million of 8000
// Leistungen.
func generatedIndex(t testing.TB, n int) *index.Index {
	t.Helper()
	b := index.NewBuilder(areasOf(t), []string{"generated"})
	if err := generate.Each(areasOf(t), generate.Options{Seed: 1, Entries: n, Leistungen: n / 1250}, b.Add); err != nil {
		t.Fatal(err)
	}
	x, _ := b.Finish()
	return x
}

// size is what an index takes: all of it, and what a look-up needs to find a row's record.
func size(x *index.Index) (all, lookUp int) {
	for _, s := range x.Sections() {
		all += len(s.Data)
		switch s.Tag {
		case "index.blocks", "index.lines", "index.groups", "index.more":
			lookUp += len(s.Data)
		}
	}
	return all, lookUp
}

// A row takes at most 12 bytes of index and 15 in all, so that ten million take 150 MB.
func TestARowTakesFifteenBytes(t *testing.T) {
	t.Parallel()
	const n = 250_000
	all, lookUp := size(generatedIndex(t, n))
	t.Logf("%.2f bytes a row in all, %.2f to find its record", float64(all)/n, float64(lookUp)/n)
	if all > 15*n || lookUp > 12*n {
		t.Errorf("got %d bytes in all, %d to find records, of %d rows", all, lookUp, n)
	}
}

// BenchmarkAdd takes entries in; Finish is in it.
func BenchmarkAdd(b *testing.B) {
	entries := generated(b, 300_000, 1)
	for b.Loop() {
		x := index.NewBuilder(areasOf(b), []string{"operator", "marktplatz", "first", "second"})
		for i := range entries {
			if err := x.Add(&entries[i]); err != nil {
				b.Fatal(err)
			}
		}
		x.Finish()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)), "ns/row")
}

// BenchmarkFromSections reads a million rows.
func BenchmarkFromSections(b *testing.B) {
	read := keep(generatedIndex(b, 1_000_000).Sections())
	for b.Loop() {
		if _, err := index.FromSections(areasOf(b), read); err != nil {
			b.Fatal(err)
		}
	}
}
