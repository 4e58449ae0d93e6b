// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/proof"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/index"
	"github.com/pvgate/pvgate/routing"
)

// figures of an index and the tables made of it.
type figures struct {
	Entries      int     `json:"entries"`
	Leistungen   int     `json:"leistungen"`
	IndexBytes   float64 `json:"index_bytes_per_entry"` // to find a row's record
	TotalBytes   float64 `json:"total_bytes_per_entry"` // with texts and provenance
	TotalMB      float64 `json:"total_megabytes"`
	BuildSeconds float64 `json:"build_seconds"`
	LoadSeconds  float64 `json:"load_seconds"` // of the bundle's file: read, checksum, check of every number

	CompileMS   float64 `json:"compile_milliseconds_12000_adoptions"`
	SmallNS     float64 `json:"resolve_cold_ns_1000_entries"` // CPU time, best of rounds
	BigNS       float64 `json:"resolve_cold_ns"`
	BigURLNS    float64 `json:"resolve_and_address_cold_ns"`
	Allocations float64 `json:"allocations"`

	CoarseMeanUS float64 `json:"coarse_area_mean_us"` // R12; time of the clock
	CoarseP999US float64 `json:"coarse_area_p999_us"` // longer ones were interrupted
}

// An index of ten million entries keeps what is promised of it. Without PVGATE_PROVE a fortieth of it is looked at, and
// time is not judged. Not parallel: it measures.
func TestTenMillionEntries(t *testing.T) { //nolint:paralleltest // see above
	table, n := mediumTable, 250_000
	if proof.Full() {
		table, n = hugeTable, 10_000_000
	}
	run := proof.Start("index", 1)
	b, err := table()
	if err != nil {
		t.Fatal(err)
	}
	f := figures{Entries: b.index.Len(), Leistungen: b.index.Blocks(), BuildSeconds: b.build.Seconds()}
	if f.Entries != n {
		t.Errorf("got %d entries, want %d", f.Entries, n)
	}
	weigh(&f, b.index)
	f.read(t, b)
	t.Logf("built, written and read: %+v", f) // what follows is timed
	f.askCold(t, b)
	f.askCoarse(b)
	in := adoptedBy(t, b, 12_000)
	start := time.Now()
	if table, problems := routing.Compile(in); table == nil {
		t.Fatal(problems)
	}
	f.CompileMS = float64(time.Since(start).Microseconds()) / 1000
	t.Logf("%+v", f)
	if f.IndexBytes > 12 || f.TotalBytes > 15 || f.Allocations > 0 {
		t.Errorf("an entry takes %.2f bytes of index and %.2f in all, a decision %v allocations; want at most 12, 15 and 0", f.IndexBytes, f.TotalBytes, f.Allocations)
	}
	if proof.Full() && (f.LoadSeconds > 5 || f.BigNS > 500 || f.CoarseP999US > 2000 || f.CompileMS > 1000) {
		t.Errorf("too slow: %+v", f)
	}
	if t.Failed() {
		return
	}
	if _, err := run.Write(f, false); err != nil {
		t.Error(err)
	}
}

// weigh fills in what the index takes.
func weigh(f *figures, x *index.Index) {
	all, index := 0, 0
	for _, s := range x.Sections() {
		all += len(s.Data)
		switch s.Tag {
		case "index.blocks", "index.lines", "index.groups", "index.more":
			index += len(s.Data)
		}
	}
	n := float64(f.Entries)
	f.IndexBytes, f.TotalBytes, f.TotalMB = float64(index)/n, float64(all)/n, float64(all)/1e6
}

// read takes the index through a bundle's file.
func (f *figures) read(t *testing.T, b *big) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pvb")
	var buf bytes.Buffer
	meta := bundle.Meta{Sequence: 1, Created: time.Unix(0, 0).UTC(), Areas: b.index.AreasDigest()}
	if _, err := bundle.Write(&buf, &meta, b.index.Sections()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	buf = bytes.Buffer{}
	start := time.Now()
	file, err := bundle.ReadFile(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	x, err := index.FromSections(b.index.Areas(), file.Section)
	if err != nil {
		t.Fatal(err)
	}
	f.LoadSeconds = time.Since(start).Seconds()
	in := routing.Input{Areas: x.Areas(), Sources: []string{"operator", "marktplatz", "generated"}, Marktplatz: 1, Index: x}
	table, problems := routing.Compile(in)
	if table == nil {
		t.Fatal(problems)
	}
	for i := range 1000 { // the same answers
		q := &b.questions[i]
		if got, want := table.Resolve(q), b.table.Resolve(q); got != want {
			t.Fatalf("%+v: got %+v, want %+v", q, got, want)
		}
	}
}

// cpuTime is what the thread has taken of a processor, without what others on the machine took.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// askCold measures decisions, in turns about the big table and about a small one.
func (f *figures) askCold(t *testing.T, b *big) {
	t.Helper()
	small, err := smallTable()
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buf := make([]byte, 0, 1024)
	var times [3][]float64
	for range proof.Count(1, 7) {
		for i, round := range []struct {
			b   *big
			url bool
		}{{small, false}, {b, false}, {b, true}} {
			from := cpuTime(t)
			for i := range round.b.questions {
				q := &round.b.questions[i]
				if d := round.b.table.Resolve(q); round.url && d.Verdict == routing.Handover {
					buf, _ = round.b.table.AppendURL(buf[:0], q, &d)
				}
			}
			times[i] = append(times[i], float64(cpuTime(t)-from)/float64(len(round.b.questions)))
		}
	}
	for i, to := range []*float64{&f.SmallNS, &f.BigNS, &f.BigURLNS} {
		*to = slices.Min(times[i]) // the others are of moments in which somebody else used the caches
	}
	i := 0
	f.Allocations = testing.AllocsPerRun(1000, func() {
		q := &b.questions[i]
		if d := b.table.Resolve(q); d.Verdict == routing.Handover {
			buf, _ = b.table.AppendURL(buf[:0], q, &d)
		}
		i++
	})
}

// askCoarse measures questions about areas above Gemeinde, where all inside may have to be looked at (R12).
func (f *figures) askCoarse(b *big) {
	areas := b.index.Areas()
	var took []float64
	for i := 0; len(took) < proof.Count(10_000, 200_000); i++ {
		q := b.questions[i]
		for q.Area != registry.Bund {
			q.Area = areas.Parent(q.Area)
			start := time.Now()
			b.table.Resolve(&q)
			took = append(took, float64(time.Since(start).Nanoseconds())/1000)
		}
	}
	sum := 0.0
	for _, t := range took {
		sum += t
	}
	slices.Sort(took)
	f.CoarseMeanUS, f.CoarseP999US = sum/float64(len(took)), took[len(took)-1-len(took)/1000]
}
