// SPDX-License-Identifier: EUPL-1.2

package accesslog

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestNotingAndRenderingAllocateNothing(t *testing.T) { // not parallel: it counts allocations
	l := &Log{events: slog.New(slog.DiscardHandler), notes: notes(nil), out: nopCloser{discard{}}, batch: make([]byte, 0, batchBytes+stride*lineBytes)}
	l.SetBackends([]string{"hessen", "marburg"})
	r, rec := l.NewRing(), proxied()
	if n := testing.AllocsPerRun(1000, func() {
		r.Record(rec, noon)
		l.drain()
	}); n > 0 {
		t.Errorf("%v allocations for each line", n)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkLine is all that a line costs beside what the exchange gathers: noting it in the ring, rendering it, and
// writing it to a file in batches.
func BenchmarkLine(b *testing.B) {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "access.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	l := &Log{events: slog.New(slog.DiscardHandler), notes: notes(nil), out: f, batch: make([]byte, 0, batchBytes+stride*lineBytes)}
	l.SetBackends([]string{"hessen", "marburg"})
	r, rec := l.NewRing(), proxied()
	rec.BytesOut = 1 << 10
	now := int64(noon)
	for n := 0; b.Loop(); n++ {
		now += 20_000 // as between two requests
		r.Record(rec, now)
		if n%400 == 399 { // as between two looks at the ring
			l.drain()
		}
		if n%1_000_000 == 0 {
			_ = f.Truncate(0)
		}
	}
	if l.Dropped() > 0 {
		b.Errorf("%d lines dropped", l.Dropped())
	}
}

// BenchmarkRecord is the part of BenchmarkLine that a loop pays.
func BenchmarkRecord(b *testing.B) {
	l := &Log{}
	r, rec := l.NewRing(), proxied()
	for n := 0; b.Loop(); n++ {
		r.Record(rec, noon)
		r.tail.Store(r.next)
	}
}
