// SPDX-License-Identifier: EUPL-1.2

// Package registrytest is the conformance suite that every reader of a registry format must pass. A format's test gives
// [Run] its reader and a function that writes rows in the format.
//
// It tests what all sources promise (package source): provenance, quarantine row by row, blocked entries, refusal of
// empty, cut and oversized sources, an end when the context or the consumer says so, the same result for the same
// bytes, bounded memory. What is special about a format is tested beside its reader.
package registrytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

// Row is a row that every format can express. The texts may be wrong on purpose.
type Row struct {
	Leistung, Area, URL, Title string
	Inactive                   bool
}

// Format is a reader under test.
type Format struct {
	// Read reads with these options.
	Read func(ctx context.Context, r io.Reader, o source.Options, emit source.Emit) (source.Report, error)
	// Write gives a file with these rows, and the line in which each begins.
	Write func(rows []Row) (file []byte, lines []int)
	// Head is a file without any row, as an interrupted export would leave it.
	Head []byte
}

// good are rows without a fault, at every level and in every spelling of keys.
func good() []Row {
	return []Row{
		{"99049001001000", "000000000000", "https://www.fuehrungszeugnis.bund.de/", "Führungszeugnis; beantragen", false},
		{"99050012104000", "065340014014", "https://www.marburg.de/gewerbe", `Gewerbe "anmelden"`, false},
		{"99.027.002.012.000", "050000000000", "https://portal.nrw.example/geburt?a=b&c=d", "", false},
		{"urn:de:fim:leika:leistung:99134005017000", "120645410", "https://www.amt.example/x#/y", "Žádost", true},
		{"99042001012000", "01001000", "https://www.flensburg.example/", "", false},
		{"77000000000317", "06534", "https://beteiligung.example/", "", false},
	}
}

// bad are rows with one fault each, with a part of the reason.
func bad() []struct {
	row  Row
	want string
} {
	return []struct {
		row  Row
		want string
	}{
		{Row{Leistung: "9905001210400", Area: "06534", URL: "https://a.example/"}, "14 digits"},
		{Row{Leistung: "S1000020010000010122", Area: "06534", URL: "https://a.example/"}, "14 digits"},
		{Row{Leistung: "", Area: "06534", URL: "https://a.example/"}, "14 digits"},
		{Row{Leistung: "99050012104000", Area: "", URL: "https://a.example/"}, "digits"},
		{Row{Leistung: "99050012104000", Area: "6534", URL: "https://a.example/"}, "leading zero? 06534"},
		{Row{Leistung: "99050012104000", Area: "999999999999", URL: "https://a.example/"}, "no such area"},
		{Row{Leistung: "77000000000317", Area: "00", URL: "https://a.example/"}, "local Leistung"},
	}
}

// Run runs the suite.
func Run(t *testing.T, f Format) {
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	s := suite{f, source.Options{
		Name: "under-test", Path: "under-test.file", Order: 7, Areas: areas,
		Policy: registry.URLPolicy{Self: []string{"gw.example.de"}},
	}}
	t.Run("entries say where they come from", s.provenance)
	t.Run("a faulty row costs itself only", s.quarantine)
	t.Run("a refused target blocks", s.blocked)
	t.Run("a source without rows is refused", s.empty)
	t.Run("a source that breaks off is never read as whole", s.truncated)
	t.Run("a read error refuses the source", s.readError)
	t.Run("too many rows refuse the source", s.oversized)
	t.Run("the context ends the reading", s.canceled)
	t.Run("the consumer ends the reading", s.consumerError)
	t.Run("the same bytes give the same result", s.deterministic)
	t.Run("faults are counted, but not all kept", s.manyFaults)
	t.Run("noise is survived", s.noise)
	t.Run("memory does not grow with the rows", s.memory)
}

type suite struct {
	f Format
	o source.Options
}

// read reads a whole file.
func (s *suite) read(file []byte) (source.Result, error) {
	return s.readFrom(bytes.NewReader(file))
}

func (s *suite) readFrom(r io.Reader) (res source.Result, err error) {
	res.Report, err = s.f.Read(context.Background(), r, s.o, func(e *registry.Entry) error {
		res.Entries = append(res.Entries, *e)
		return nil
	})
	return res, err
}

// mustRead reads a file that is all right.
func (s *suite) mustRead(t *testing.T, rows []Row) (source.Result, []int) {
	t.Helper()
	file, lines := s.f.Write(rows)
	res, err := s.read(file)
	if err != nil {
		t.Fatal(err)
	}
	if c := res.Counts; c.Rows != len(rows) || c.Services+c.Pages != len(res.Entries) || len(lines) != len(rows) {
		t.Fatalf("counts %+v for %d rows and %d entries", c, len(rows), len(res.Entries))
	}
	return res, lines
}

func (s *suite) provenance(t *testing.T) {
	rows := good()
	res, lines := s.mustRead(t, rows)
	if len(res.Entries) != len(rows) || len(res.Faults) != 0 {
		t.Fatalf("%d entries of %d rows, faults %v", len(res.Entries), len(rows), res.Faults)
	}
	for i, e := range res.Entries {
		leistung, err := registry.ParseLeistung(rows[i].Leistung)
		if err != nil {
			t.Fatal(err)
		}
		area, err := s.o.Areas.EntryArea(rows[i].Area)
		if err != nil {
			t.Fatal(err)
		}
		want := registry.Entry{
			Leistung: leistung, Area: area, Kind: registry.Service, URL: rows[i].URL, Title: rows[i].Title,
			Inactive: rows[i].Inactive, Source: 7,
			Origin: registry.Origin{Source: "under-test", File: "under-test.file", Line: int32(lines[i])},
		}
		if rows[i].Area == "01001000" { // another key than the area's own stays as it was written
			want.AreaKey = rows[i].Area
		}
		if d := diff(want, e); d != "" {
			t.Errorf("row %d: %s", i, d)
		}
		if want := fmt.Sprintf("under-test:%d", lines[i]); e.Origin.String() != want {
			t.Errorf("origin %s, want %s", e.Origin, want)
		}
	}
}

func (s *suite) quarantine(t *testing.T) {
	var rows []Row
	for i, b := range bad() {
		rows = append(rows, b.row, good()[i%len(good())])
	}
	res, lines := s.mustRead(t, rows)
	if len(res.Entries) != len(bad()) || res.Quarantined != len(bad()) || len(res.Faults) != len(bad()) {
		t.Fatalf("%d entries, %d quarantined, %d faults of %d bad rows", len(res.Entries), res.Quarantined, len(res.Faults), len(bad()))
	}
	for i, f := range res.Faults {
		if f.Origin.Line != int32(lines[2*i]) || !strings.Contains(f.Reason, bad()[i].want) {
			t.Errorf("fault %s, want line %d with %q", f, lines[2*i], bad()[i].want)
		}
		if want := fmt.Sprintf("under-test.file:%d: ", lines[2*i]); !strings.HasPrefix(f.String(), want) {
			t.Errorf("fault %s, want %s…", f, want)
		}
		if res.Entries[i].Origin.Line != int32(lines[2*i+1]) {
			t.Errorf("entry %d is of line %d, want %d", i, res.Entries[i].Origin.Line, lines[2*i+1])
		}
	}
}

func (s *suite) blocked(t *testing.T) {
	row := func(url string) Row { return Row{Leistung: "99050012104000", Area: "065340014014", URL: url} }
	rows := []Row{
		row("http://www.marburg.de/"), row("https://10.0.0.8/"), row("https://gw.example.de/"), row("https://u@x.example/"),
		row("notaurl"), row("https://www.marburg.de/"),
	}
	res, _ := s.mustRead(t, rows)
	if len(res.Entries) != len(rows) || res.Refused != len(rows)-1 {
		t.Fatalf("%d entries, %d refused: a refused target must stay as a blocked entry", len(res.Entries), res.Refused)
	}
	for i, e := range res.Entries {
		if blocked := i < len(rows)-1; (e.Refused != "") != blocked || e.URL != rows[i].URL {
			t.Errorf("%s: refused %q", e.URL, e.Refused)
		}
	}
}

// refused wants a refusal with one of the causes.
func refused(t *testing.T, name string, err error, causes ...source.Cause) {
	t.Helper()
	var r *source.Refusal
	if !errors.As(err, &r) || !slices.Contains(causes, r.Cause) {
		t.Errorf("%s: %v, want a refusal of %v", name, err, causes)
		return
	}
	if !strings.HasPrefix(r.Error(), "under-test.file") {
		t.Errorf("%s: %v does not name the file", name, err)
	}
}

func (s *suite) empty(t *testing.T) {
	_, err := s.read(nil)
	refused(t, "no bytes", err, source.CauseEmpty)
	_, err = s.read([]byte("\n\n"))
	refused(t, "blank lines", err, source.CauseEmpty)
	_, err = s.read(s.f.Head)
	refused(t, "no rows", err, source.CauseEmpty)
}

// truncated cuts a file at every byte. What is read must be refused, or be the beginning of the whole and, where the
// cut is inside the last row, carry a warning or a fault.
func (s *suite) truncated(t *testing.T) {
	rows := good()
	file, _ := s.f.Write(rows)
	whole, err := s.read(file)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(file) {
		res, err := s.read(file[:cut])
		if err != nil {
			refused(t, fmt.Sprintf("cut at %d", cut), err, source.CauseTruncated, source.CauseEmpty, source.CauseSchema)
			continue
		}
		n := len(res.Entries)
		for i := range max(0, n-1) {
			if d := diff(whole.Entries[i], res.Entries[i]); d != "" {
				t.Fatalf("cut at %d: entry %d: %s", cut, i, d)
			}
		}
		if n > 0 && diff(whole.Entries[n-1], res.Entries[n-1]) != "" && len(res.Warnings)+len(res.Faults) == 0 {
			t.Errorf("cut at %d: the last entry is not the file's, and nothing is said: %+v", cut, res.Entries[n-1])
		}
	}
}

func (s *suite) readError(t *testing.T) {
	file, _ := s.f.Write(good())
	broken := errors.New("connection reset")
	for _, cut := range []int{0, len(file) / 2, len(file)} {
		_, err := s.readFrom(io.MultiReader(bytes.NewReader(file[:cut]), iotest.ErrReader(broken)))
		refused(t, fmt.Sprintf("broken at %d", cut), err, source.CauseTruncated)
	}
}

func (s *suite) oversized(t *testing.T) {
	file, _ := s.f.Write(good())
	limited := *s
	limited.o.MaxRows = len(good())
	if _, err := limited.read(file); err != nil {
		t.Errorf("as many rows as allowed: %v", err)
	}
	limited.o.MaxRows--
	_, err := limited.read(file)
	refused(t, "one row more", err, source.CauseOversized)
}

// endless repeats a file's rows: a source that does not stop of itself.
func (s *suite) endless() io.Reader {
	file, _ := s.f.Write(good())
	body := file
	if rest, ok := bytes.CutPrefix(file, s.f.Head); ok {
		body = rest
	}
	return io.MultiReader(bytes.NewReader(file), &repeat{of: body})
}

type repeat struct {
	of []byte
	at int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.of[r.at:])
	r.at = (r.at + n) % len(r.of)
	return n, nil
}

func (s *suite) canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	_, err := s.f.Read(ctx, s.endless(), s.o, func(*registry.Entry) error {
		if n++; n == 1000 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > 2000 {
		t.Errorf("%v after %d entries", err, n)
	}
	n = 0
	_, err = s.f.Read(ctx, s.endless(), s.o, func(*registry.Entry) error { n++; return nil })
	if !errors.Is(err, context.Canceled) || n > 1 {
		t.Errorf("already cancelled: %v after %d entries", err, n)
	}
}

func (s *suite) consumerError(t *testing.T) {
	full := errors.New("full")
	n := 0
	_, err := s.f.Read(context.Background(), s.endless(), s.o, func(*registry.Entry) error {
		if n++; n == 10 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || n != 10 {
		t.Errorf("%v after %d entries", err, n)
	}
}

func (s *suite) deterministic(t *testing.T) {
	rows := good()
	for _, b := range bad() {
		rows = append(rows, b.row)
	}
	file, _ := s.f.Write(rows)
	first, err := s.read(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"again": bytes.NewReader(file), "byte by byte": iotest.OneByteReader(bytes.NewReader(file)),
		"end with data": iotest.DataErrReader(bytes.NewReader(file)),
	} {
		if res, err := s.readFrom(r); err != nil || diff(first, res) != "" {
			t.Errorf("%s: %v %s", name, err, diff(first, res))
		}
	}
}

func (s *suite) manyFaults(t *testing.T) {
	rows := []Row{good()[0]}
	for range source.MaxFaults + 10 {
		rows = append(rows, bad()[0].row)
	}
	res, _ := s.mustRead(t, rows)
	if len(res.Faults) != source.MaxFaults || res.Quarantined != source.MaxFaults+10 || len(res.Entries) != 1 {
		t.Errorf("%d faults kept, %d counted, %d entries", len(res.Faults), res.Quarantined, len(res.Entries))
	}
}

// noise changes single bytes of a good file: whatever happens, rows that are not touched survive or the file is refused.
func (s *suite) noise(t *testing.T) {
	rows := append(good(), good()...)
	file, lines := s.f.Write(rows)
	for at := len(s.f.Head); at < len(file); at += 3 {
		for _, c := range []byte{0, '"', '\n', ';', ',', 0xff, '\r', '<'} {
			broken := slices.Clone(file)
			broken[at] = c
			res, err := s.read(broken)
			if err != nil {
				refused(t, fmt.Sprintf("byte %d is %q", at, c), err, source.CauseTruncated, source.CauseSchema, source.CauseEmpty)
				continue
			}
			// A byte can spoil its own row and, as a line break or its loss, the next one.
			if len(res.Entries) < len(rows)-2 {
				t.Fatalf("byte %d is %q: %d entries of %d rows; faults %v", at, c, len(res.Entries), len(rows), res.Faults)
			}
		}
	}
	if len(lines) != len(rows) {
		t.Fatal("Write gives a line for every row")
	}
}

// memory compares the live heap early and late in a long source. The allowance is for what else the test binary does; late it is the
// least of several looks that counts, since other tests beside this one have their own for a moment.
func (s *suite) memory(t *testing.T) {
	const early, late, last, step, allowance = 10_000, 200_000, 250_000, 5_000, 32 << 20
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	n, before, after := 0, uint64(0), uint64(math.MaxInt64)
	done := errors.New("enough rows")
	_, err := s.f.Read(context.Background(), s.endless(), s.o, func(*registry.Entry) error {
		switch n++; {
		case n == early:
			before = live()
		case n >= late && n%step == 0:
			after = min(after, live())
		}
		if n == last {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	if grown := int64(after) - int64(before); grown > allowance {
		t.Errorf("the heap grew by %d bytes over %d rows", grown, late-early)
	}
}

// diff compares with the unexported insides of keys.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(registry.Leistung{}))
}
