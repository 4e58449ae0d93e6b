// SPDX-License-Identifier: EUPL-1.2

package accesslog

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/message"
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

// BenchmarkLine is all that a line costs: finding the User-Agent among a browser's fields and classifying it, filling the
// record, noting it in the ring, rendering it, and writing it to a file in batches.
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
	whole := *rec
	var head message.Head
	for _, f := range [][2]string{
		{"Host", "hessen.gw.example.de"},
		{"Accept", "application/json, text/plain, */*"},
		{"Accept-Language", "de-DE,de;q=0.9,en;q=0.8"},
		{"Accept-Encoding", "gzip, deflate, br"},
		{"Cookie", "session=0123456789abcdef0123456789abcdef"},
		{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	} {
		head.Fields = append(head.Fields, message.Field{Name: []byte(f[0]), Value: []byte(f[1]), ID: message.Classify([]byte(f[0]))})
	}
	for n := 0; b.Loop(); n++ {
		now += 20_000 // as between two requests
		*rec = whole
		rec.Agent = exchange.AgentOf(head.Get(message.UserAgent))
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
