// SPDX-License-Identifier: EUPL-1.2

package entries_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/bench/entries"
)

func TestSameSeedGivesTheSameRegistryOfExactlyThatSize(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	write := func(seed uint64) []byte {
		s, err := entries.New(rows, seed)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := s.WriteCSV(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	a := write(7)
	if !bytes.Equal(a, write(7)) || bytes.Equal(a, write(8)) {
		t.Error("the seed does not decide the rows")
	}
	lines := strings.Split(strings.TrimSuffix(string(a), "\n"), "\n")
	if len(lines) != rows+1 || lines[0] != "leistung;ars;url" {
		t.Fatalf("got %d lines, first %q", len(lines), lines[0])
	}
	seen := map[string]bool{}
	answering := 0
	for _, line := range lines[1:] {
		f := strings.Split(line, ";")
		if len(f) != 3 || len(f[0]) != 14 || len(f[1]) != 12 && len(f[1]) != 5 || seen[f[0]+f[1]] {
			t.Fatalf("bad or double row %q", line)
		}
		seen[f[0]+f[1]] = true
		if strings.HasPrefix(f[2], "https://"+entries.Answering+"/") {
			answering++
		}
	}
	if answering < rows*4/10 || answering > rows*6/10 {
		t.Errorf("%d of %d rows lead to the answering backend, want about half", answering, rows)
	}
}

func TestEveryPairHasARowThatLeadsToTheAnsweringBackend(t *testing.T) {
	t.Parallel()
	s, err := entries.New(25_000, 7)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	urls := map[string]string{}
	for line := range strings.Lines(b.String()) {
		f := strings.Split(strings.TrimSpace(line), ";")
		urls[f[0]+f[1]] = f[2]
	}
	pairs := s.Pairs(5000)
	seen := map[entries.Pair]bool{}
	up := 0
	for _, p := range pairs {
		url, ok := urls[p.Leistung+p.Area]
		if !ok {
			up++
			url = urls[p.Leistung+p.Area[:5]]
		}
		if url != "https://"+entries.Answering+entries.BasePath || seen[p] {
			t.Fatalf("pair %v: row %q, seen before: %v", p, url, seen[p])
		}
		seen[p] = true
	}
	if len(pairs) != 5000 || up < 250 || up > 750 {
		t.Errorf("got %d pairs, %d of them one Kreis up; want 5000, about 500", len(pairs), up)
	}
}

func TestImpossibleSizesAreRefused(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1, 1 << 40} {
		if _, err := entries.New(n, 1); err == nil {
			t.Errorf("%d rows: got no error", n)
		}
	}
}
