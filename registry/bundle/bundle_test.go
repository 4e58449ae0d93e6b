// SPDX-License-Identifier: EUPL-1.2

package bundle_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/registry/bundle"
	"github.com/pvgate/pvgate/registry/registrytest"
	"github.com/pvgate/pvgate/registry/signing"
	"github.com/pvgate/pvgate/registry/source"
)

// someMeta are facts of two sources.
func someMeta() *bundle.Meta {
	m := &bundle.Meta{
		Sequence: 41, Created: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC), Areas: strings.Repeat("ab", 32),
		Sources: []bundle.SourceFacts{
			{Name: "hub", Rows: 10, Services: 6, Pages: 1, Blocked: 1, Skipped: 1, Empty: 1},
			{Name: "csv", Modified: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), Digest: "sha256:" + strings.Repeat("0f", 32), Rows: 3, Services: 3},
		},
	}
	m.Sources[0].Lands[6] = bundle.LandFacts{Services: 6, Pages: 1}
	m.Sources[1].Lands[9] = bundle.LandFacts{Services: 3}
	return m
}

func someSections() []bundle.Section {
	return []bundle.Section{
		{"index.rows", bundle.Bytes([]uint32{1, 2, 3, 1 << 31})},
		{"index.none", nil},
		{"index.text", []byte("https://a.example/")},
		{"a", bytes.Repeat([]byte{7}, 1000)},
	}
}

func newKey(t testing.TB) *signing.Private {
	t.Helper()
	key, err := signing.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// made is a bundle's file.
func made(t testing.TB, m *bundle.Meta, sections []bundle.Section, keys ...*signing.Private) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := bundle.Write(&out, m, sections, keys...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func causeOf(err error) source.Cause {
	var r *source.Refusal
	if errors.As(err, &r) {
		return r.Cause
	}
	return ""
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	file := made(t, someMeta(), someSections(), key)
	b, err := bundle.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*someMeta(), b.Meta); diff != "" {
		t.Error(diff)
	}
	for _, want := range someSections() {
		got, ok := b.Section(want.Tag)
		if !ok || !bytes.Equal(got, want.Data) {
			t.Errorf("section %s: %q, %v", want.Tag, got, ok)
		}
	}
	if _, ok := b.Section("meta"); ok || len(b.Sections()) != len(someSections()) {
		t.Errorf("%d sections, meta among them: %v", len(b.Sections()), ok)
	}
	rows, _ := b.Section("index.rows")
	if numbers, err := bundle.View[uint32](rows); err != nil || numbers[3] != 1<<31 {
		t.Errorf("%v, %v", numbers, err)
	}
	if b.Size() != int64(len(file)) || len(b.Signatures()) != 1 || b.Signatures()[0].Key != key.Public().ID() {
		t.Errorf("size %d of %d, signatures %v", b.Size(), len(file), b.Signatures())
	}
	if d, err := bundle.ParseDigest(b.Digest.String()); err != nil || d != b.Digest {
		t.Errorf("%v, %v", d, err)
	}
	var again bytes.Buffer
	if _, err := b.WriteTo(&again); err != nil || !bytes.Equal(again.Bytes(), file) {
		t.Errorf("what is written again differs: %v", err)
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	a, b := newKey(t), newKey(t)
	sections := someSections()
	first := made(t, someMeta(), sections, a, b)
	sections[0], sections[3] = sections[3], sections[0]
	if !bytes.Equal(first, made(t, someMeta(), sections, b, a)) {
		t.Error("the order of sections or keys changes the file")
	}
}

func TestSignaturesDoNotChangeTheDigest(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	b, err := bundle.Parse(made(t, someMeta(), someSections()))
	if err != nil {
		t.Fatal(err)
	}
	digest, key := b.Digest, newKey(t)
	keys, err := signing.NewKeys(signing.Named{Name: "k", Trusted: signing.Trusted{Key: key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(keys, now); causeOf(err) != source.CauseSignature || !errors.Is(err, signing.ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	for range 2 { // the second takes the place of the first
		if err := b.Sign(key); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := b.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if b, err = bundle.Parse(out.Bytes()); err != nil || b.Digest != digest || len(b.Signatures()) != 1 {
		t.Fatalf("%v, %+v", err, b)
	}
	if k, err := b.Verify(keys, now); err != nil || k.Name != "k" {
		t.Errorf("%v, %v", k, err)
	}
	for range bundle.MaxSignatures - 1 {
		if err := b.Sign(newKey(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Sign(newKey(t)); err == nil {
		t.Error("a seventeenth signature fits")
	}
}

func TestWhatCannotBeABundleIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(m *bundle.Meta, s *[]bundle.Section){
		"no time":                func(m *bundle.Meta, _ *[]bundle.Section) { m.Created = time.Time{} },
		"a time of parts":        func(m *bundle.Meta, _ *[]bundle.Section) { m.Created = m.Created.Add(1) },
		"a time of another zone": func(m *bundle.Meta, _ *[]bundle.Section) { m.Created = m.Created.In(time.FixedZone("", 3600)) },
		"a source twice":         func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources[1].Name = "hub" },
		"a source without name":  func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources[1].Name = "" },
		"more blocked than all":  func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources[0].Blocked = 8 },
		"more entries than rows": func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources[1].Rows = 1 },
		"more left out than all": func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources[0].Skipped = 11 },
		"unknown areas":          func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources[0].UnknownArea = 1 },
		"a digest that is none":  func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources[0].Digest = "sha1:00" },
		"areas that are none":    func(m *bundle.Meta, _ *[]bundle.Section) { m.Areas = "a b" },
		"too many sources":       func(m *bundle.Meta, _ *[]bundle.Section) { m.Sources = make([]bundle.SourceFacts, bundle.MaxSources+1) },
		"a tag twice":            func(_ *bundle.Meta, s *[]bundle.Section) { *s = append(*s, (*s)[0]) },
		"a tag of ours":          func(_ *bundle.Meta, s *[]bundle.Section) { (*s)[0].Tag = "meta" },
		"no tag":                 func(_ *bundle.Meta, s *[]bundle.Section) { (*s)[0].Tag = "" },
		"a long tag":             func(_ *bundle.Meta, s *[]bundle.Section) { (*s)[0].Tag = strings.Repeat("a", 17) },
		"a tag in capitals":      func(_ *bundle.Meta, s *[]bundle.Section) { (*s)[0].Tag = "Index" },
		"too many sections": func(_ *bundle.Meta, s *[]bundle.Section) {
			for i := range bundle.MaxSections {
				*s = append(*s, bundle.Section{Tag: "n" + strings.Repeat("x", i/10) + string(rune('0'+i%10))})
			}
		},
	} {
		m, s := someMeta(), someSections()
		change(m, &s)
		if _, err := bundle.Write(io.Discard, m, s); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

func TestAFullDiskIsAnErrorOfWriting(t *testing.T) {
	t.Parallel()
	size := len(made(t, someMeta(), someSections(), newKey(t)))
	for room := range size {
		if _, err := bundle.Write(&limited{room}, someMeta(), someSections(), newKey(t)); err == nil {
			t.Fatalf("%d of %d bytes were written, and no error", room, size)
		}
	}
}

// limited is a disk with room for so many bytes.
type limited struct{ room int }

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		return 0, syscall.ENOSPC
	}
	l.room -= len(p)
	return len(p), nil
}

// CP-02: no file that is damaged, foreign, inconsistent or of a stranger is ever taken for a bundle.
func TestCP02PoisonedFilesAreRefused(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	keys, err := signing.NewKeys(signing.Named{Name: "k", Trusted: signing.Trusted{Key: key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	good := made(t, someMeta(), someSections(), key)
	load := func(data []byte) error {
		file := filepath.Join(t.TempDir(), "x.pvb")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := bundle.ReadFile(file, 8<<20)
		if err == nil {
			_, err = b.Verify(keys, time.Now())
		}
		if _, other := bundle.Parse(data); err != nil && causeOf(err) != source.CauseSignature && causeOf(other) != causeOf(err) {
			t.Errorf("from a file %v, from memory %v", err, other)
		}
		return err
	}
	if err := load(good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	names := map[string]bool{}
	for _, p := range registrytest.Poisons() {
		bad := p.Damage(good)
		if err := load(bad); causeOf(err) != p.Cause {
			t.Errorf("%s: %v; want the cause %s", p.Name, err, p.Cause)
		}
		if bytes.Equal(bad, good) || names[p.Name] {
			t.Errorf("%s: no damage, or named twice", p.Name)
		}
		names[p.Name] = true
	}
	if len(names) < 40 {
		t.Errorf("%d kinds of poison, want 40 or more", len(names))
	}
	if _, err := bundle.ReadFile(filepath.Join(t.TempDir(), "none"), 0); !errors.Is(err, os.ErrNotExist) || causeOf(err) != "" {
		t.Errorf("no file: %v", err)
	}
}

// Every byte counts: whichever is changed, and wherever the file is cut, it is another file or none.
func TestCP02EveryByteIsHeld(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	keys, err := signing.NewKeys(signing.Named{Name: "k", Trusted: signing.Trusted{Key: key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	good := made(t, someMeta(), someSections(), key)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if b, err := bundle.Parse(bad); err == nil {
			if _, err = b.Verify(keys, time.Now()); err == nil {
				t.Fatalf("byte %d of %d can be changed", i, len(good))
			}
		}
		if _, err := bundle.Parse(bytes.Clone(good[:i])); err == nil {
			t.Fatalf("the first %d of %d bytes are a bundle", i, len(good))
		}
	}
}

func TestTooLargeFilesAreNotRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.pvb")
	good := made(t, someMeta(), someSections())
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ReadFile(file, int64(len(good))); err != nil {
		t.Errorf("a file of exactly the limit: %v", err)
	}
	if _, err := bundle.ReadFile(file, int64(len(good))-1); causeOf(err) != source.CauseOversized {
		t.Errorf("one byte more: %v", err)
	}
	if err := os.Truncate(file, bundle.DefaultMaxSize+1); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.ReadFile(file, 0); causeOf(err) != source.CauseOversized {
		t.Errorf("a gigabyte and one byte: %v", err)
	}
}

// What a file claims takes no memory: neither a head that promises a gigabyte, nor a gigabyte without a head.
func TestCP02ClaimsTakeNoMemory(t *testing.T) {
	// Not parallel: it measures what is allocated.
	dir := t.TempDir()
	good := made(t, someMeta(), someSections())
	sparse := filepath.Join(dir, "sparse.pvb")
	if err := os.WriteFile(sparse, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, bundle.DefaultMaxSize); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"a good head before a gigabyte of nothing": sparse}
	for _, p := range registrytest.Poisons() {
		if bad := p.Damage(good); len(bad) < 1<<16 {
			files[p.Name] = filepath.Join(dir, p.Name)
			if err := os.WriteFile(files[p.Name], bad, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, file := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := bundle.ReadFile(file, 0)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes of memory for %v", name, n, err)
		}
	}
}

func TestWhatIsNoFileIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{pipe, dir, "/dev/zero"} {
		if _, err := bundle.ReadFile(file, 0); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestViewsLieWhereTheBytesAre(t *testing.T) {
	t.Parallel()
	type pair struct {
		A uint32
		B [2]uint16
	}
	values := []pair{{1, [2]uint16{2, 3}}, {4, [2]uint16{5, 6}}}
	data := bundle.Bytes(values)
	if !bytes.Equal(data[:8], []byte{1, 0, 0, 0, 2, 0, 3, 0}) {
		t.Errorf("%x", data)
	}
	back, err := bundle.View[pair](data)
	if err != nil || !cmp.Equal(back, values) || &back[0] != &values[0] {
		t.Errorf("%v, %v", back, err)
	}
	if _, err := bundle.View[pair](data[:15]); err == nil {
		t.Error("half a value")
	}
	if _, err := bundle.View[uint64](data[1:9]); err == nil {
		t.Error("a value where none may begin")
	}
	if empty, err := bundle.View[uint64](nil); err != nil || len(empty) != 0 {
		t.Errorf("%v, %v", empty, err)
	}
	if _, err := bundle.View[string](data); err == nil {
		t.Error("a pointer in a file")
	}
	if _, err := bundle.View[struct {
		A uint8
		B uint32
	}](data); err == nil {
		t.Error("a value with a gap")
	}
	if _, err := bundle.View[bool](data); err == nil {
		t.Error("a bool that is neither true nor false")
	}
}

func FuzzParse(f *testing.F) {
	good := made(f, someMeta(), someSections(), newKey(f))
	f.Add(good)
	f.Add(made(f, &bundle.Meta{Created: someMeta().Created}, nil))
	for _, p := range registrytest.Poisons() {
		if bad := p.Damage(good); len(bad) < 4096 {
			f.Add(bad)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, reseal := range []bool{false, true} {
			if reseal && !registrytest.Reseal(data) {
				return
			}
			b, err := bundle.Parse(bytes.Clone(data))
			if err != nil {
				if causeOf(err) == "" {
					t.Fatalf("an error without a cause: %v", err)
				}
				continue
			}
			// What is read is the one form of its content.
			var out bytes.Buffer
			if _, err := bundle.Write(&out, &b.Meta, b.Sections()); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			covered := int(b.Size()) - 40 - 72*len(b.Signatures())
			if !bytes.Equal(out.Bytes()[:covered+32], data[:covered+32]) {
				t.Fatal("two files have the same content")
			}
		}
	})
}
