// SPDX-License-Identifier: EUPL-1.2

package generate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
	"github.com/pvgate/pvgate/registry/source/csv"
)

func areas(t testing.TB) *registry.Areas {
	t.Helper()
	a, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.WithAliases(registry.DefaultAliases()); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAsManyEntriesAsAskedForAndNoneTwice(t *testing.T) {
	t.Parallel()
	a := areas(t)
	for _, n := range []int{1, 20, 1000, 100_000} {
		type place struct {
			l    registry.Leistung
			area registry.AreaID
		}
		seen := map[place]bool{}
		levels := map[registry.Level]int{}
		local := 0
		err := Each(a, Options{Entries: n, Seed: 1}, func(e *registry.Entry) error {
			p := place{e.Leistung, e.Area}
			if seen[p] {
				t.Fatalf("%s at %s comes twice", e.Leistung, a.ARS(e.Area))
			}
			seen[p] = true
			levels[a.ARS(e.Area).Level()]++
			if !e.Leistung.Federal() {
				local++
			}
			if e.Area == registry.Bund && !e.Leistung.Federal() {
				t.Fatalf("local key %s at the Bund", e.Leistung)
			}
			return nil
		})
		if err != nil || len(seen) != n {
			t.Errorf("%d entries: %d, %v", n, len(seen), err)
		}
		if n == 100_000 {
			t.Logf("levels %v, local %d", levels, local)
			for _, l := range []registry.Level{
				registry.LevelBund, registry.LevelLand, registry.LevelRB, registry.LevelKreis, registry.LevelVerband, registry.LevelGemeinde,
			} {
				if levels[l] < 100 {
					t.Errorf("%s: %d entries", l, levels[l])
				}
			}
		}
	}
}

func TestSeedDecidesAll(t *testing.T) {
	t.Parallel()
	a := areas(t)
	sum := func(seed uint64) [32]byte {
		h := sha256.New()
		if err := WriteCSV(h, a, Options{Entries: 5000, Seed: seed}); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	first, again := sum(1), sum(1)
	if first != again || first == sum(2) {
		t.Error("equal seeds must give equal files, others others")
	}
}

func TestWrittenRegistryIsReadBack(t *testing.T) {
	t.Parallel()
	a := areas(t)
	o := Options{Entries: 20_000, Seed: 3}
	var file bytes.Buffer
	if err := WriteCSV(&file, a, o); err != nil {
		t.Fatal(err)
	}
	var want []registry.Entry
	if err := Each(a, o, func(e *registry.Entry) error { want = append(want, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	i := 0
	rep, err := csv.Read(context.Background(), &file, csv.Options{
		Options: source.Options{Name: "generated", Path: "generated.csv", Areas: a},
		Columns: csv.Columns{Leistung: "leistung", Area: "area", URL: "url", Page: "page", Title: "title", Active: "active"},
	}, func(e *registry.Entry) error {
		w := &want[e.Origin.Line-2]
		if e.Leistung != w.Leistung || e.Area != w.Area || e.URL != w.URL || e.Kind != w.Kind || e.Inactive != w.Inactive || e.Refused != "" {
			t.Fatalf("got %+v, want %+v", e, w)
		}
		i++
		return nil
	})
	if err != nil || i != len(want) || rep.Quarantined != 0 {
		t.Errorf("%v, %d of %d, %v", err, i, len(want), rep.Faults)
	}
}

func TestImpossibleWishesAreErrors(t *testing.T) {
	t.Parallel()
	a := areas(t)
	none := func(*registry.Entry) error { return nil }
	if err := Each(a, Options{Entries: 1_000_000, Leistungen: 3}, none); err == nil {
		t.Error("more entries than places: no error")
	}
	if err := Each(a, Options{Entries: -1}, none); err == nil {
		t.Error("negative: no error")
	}
	stop := errors.New("stop")
	if err := Each(a, Options{Entries: 10}, func(*registry.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the consumer's error: %v", err)
	}
}

// BenchmarkMillion makes, writes and reads a registry of a million entries.
func BenchmarkMillion(b *testing.B) {
	a := areas(b)
	var file bytes.Buffer
	if err := WriteCSV(&file, a, Options{}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		_, err := csv.Read(context.Background(), bytes.NewReader(file.Bytes()), csv.Options{
			Options: source.Options{Name: "generated", Path: "generated.csv", Areas: a},
			Columns: csv.Columns{Leistung: "leistung", Area: "area", URL: "url", Page: "page", Title: "title", Active: "active"},
		}, func(*registry.Entry) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}
