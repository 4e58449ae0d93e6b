// SPDX-License-Identifier: EUPL-1.2

// Package entries makes the registry of the benchmarks: any number of rows,
// always the same ones, and the pairs that are asked for.
//
// Nine of ten Leistungen have a row at each of 1 000 Gemeinden, the tenth a row
// at each of their Kreise, so that a tenth of the requests walk up two levels.
// Half of all rows lead to the one backend that answers, the others to 500
// portals that are never asked.
//
// The calls you want: [New], [Set.WriteCSV], [Set.Pairs].
//
// The area keys are real (Gemeindeverzeichnis GV100AD of 30.11.2021, © Statistisches
// Bundesamt (Destatis), 2021), the Leistung keys are invented. It deliberately knows
// nothing of pvgate's own types: what it writes is read as any operator's file is.
package entries

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

//go:embed areas.txt
var areasText string

const (
	// Answering is the host of the backend that answers.
	Answering = "origin.bench.example"
	// BasePath is the path of every row's URL.
	BasePath = "/antrag"
	portals  = 500
	// upEvery: each such Leistung is registered at the Kreise.
	upEvery = 10
	// maxRows keeps the keys within their 14 digits.
	maxRows = 80_000_000
)

// Pair is one (Leistung, area) to ask for.
type Pair struct {
	Leistung string // 14 digits
	Area     string // 12 digits, a Gemeinde
}

// Set is a registry of a given size and seed. It is immutable.
type Set struct {
	rows      int
	seed      uint64
	gemeinden []string
	kreise    []string
}

// New describes a registry of exactly rows rows.
func New(rows int, seed uint64) (*Set, error) {
	if rows < 1 || rows > maxRows {
		return nil, fmt.Errorf("entries: %d rows, must be 1 to %d", rows, maxRows)
	}
	s := &Set{rows: rows, seed: seed, gemeinden: strings.Fields(areasText)}
	for _, g := range s.gemeinden {
		if k := g[:5]; len(s.kreise) == 0 || s.kreise[len(s.kreise)-1] != k {
			s.kreise = append(s.kreise, k)
		}
	}
	return s, nil
}

// areas is where Leistung i is registered.
func (s *Set) areas(i int) []string {
	if i%upEvery == upEvery-1 {
		return s.kreise
	}
	return s.gemeinden
}

func leistung(i int) string { return fmt.Sprintf("99%03d%03d012000", 100+i/100, 1+i%100) }

// target is the portal of a row: 0 = the answering backend.
func (s *Set) target(i int, area string) int {
	h := s.seed ^ uint64(i)*0x9e3779b97f4a7c15
	for _, c := range []byte(area) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	h ^= h >> 29
	if h&1 == 0 {
		return 0
	}
	return 1 + int(h>>1%portals)
}

// WriteCSV writes the rows with a header line; columns leistung, ars, url.
func (s *Set) WriteCSV(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<20)
	line := []byte("leistung;ars;url\n")
	left := s.rows
	for i := 0; left > 0; i++ {
		key := leistung(i)
		for _, area := range s.areas(i) {
			if left == 0 {
				break
			}
			left--
			if _, err := b.Write(line); err != nil {
				return fmt.Errorf("entries: write: %w", err)
			}
			if t := s.target(i, area); t == 0 {
				line = fmt.Appendf(line[:0], "%s;%s;https://%s%s\n", key, area, Answering, BasePath)
			} else {
				line = fmt.Appendf(line[:0], "%s;%s;https://portal-%03d.bench.example%s?leistung=%s\n", key, area, t, BasePath, key)
			}
		}
	}
	_, err := b.Write(line)
	if err := errors.Join(err, b.Flush()); err != nil {
		return fmt.Errorf("entries: write: %w", err)
	}
	return nil
}

// Pairs draws n pairs, all different where there are that many, whose row leads to
// the answering backend.
func (s *Set) Pairs(n int) []Pair {
	whole := 0 // Leistungen whose rows are all in the registry
	for left := s.rows; ; whole++ {
		if left -= len(s.areas(whole)); left < 0 {
			break
		}
	}
	r := rand.New(rand.NewPCG(s.seed, 42))
	seen := make(map[Pair]bool, n)
	pairs := make([]Pair, 0, n)
	for tries := 0; len(pairs) < n && tries < 100*n; tries++ {
		i := r.IntN(max(whole, 1))
		g := s.gemeinden[r.IntN(len(s.gemeinden))]
		area := g
		if i%upEvery == upEvery-1 {
			area = g[:5]
		}
		p := Pair{leistung(i), g}
		if s.target(i, area) == 0 && !seen[p] {
			seen[p] = true
			pairs = append(pairs, p)
		}
	}
	return pairs
}
