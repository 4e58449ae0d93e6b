// SPDX-License-Identifier: EUPL-1.2

// Package generate makes big registries of real areas for benchmarks, demos and tests: [Each] gives the entries one by
// one, [WriteCSV] writes them as a file for a csv source. The same options give the same entries, byte for byte.
//
// Keys, titles and hosts are invented, the way they spread is not: a federal Leistung has one entry, one of the Länder
// up to 16, one of the Kreise some hundred, one of the Gemeinden thousands, with the gaps that real coverage has.
package generate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/pvgate/pvgate/registry"
)

// Options say how much. The zero value of each field is a default.
type Options struct {
	Seed       uint64
	Entries    int // exactly as many; default 1 000 000
	Leistungen int // about as many; default 9 945, the size of the catalogue of 2026, or fewer for small registries
	Hosts      int // of portals; default 500
	Source     int // Entry.Source
}

func (o *Options) setDefaults() {
	if o.Entries == 0 {
		o.Entries = 1_000_000
	}
	if o.Leistungen == 0 {
		o.Leistungen = min(9945, max(20, o.Entries/40))
	}
	if o.Hosts == 0 {
		o.Hosts = 500
	}
}

// spread says at which level how much is registered. The shares of Leistungen follow the types of the catalogue, the
// coverage is of all areas of the level; both are drawn per Leistung around these means.
type spread struct {
	level    registry.Level
	share    int // of 100 Leistungen
	coverage int // of 100 areas
}

var spreads = [...]spread{
	{registry.LevelBund, 12, 100},
	{registry.LevelLand, 33, 80},
	{registry.LevelRB, 2, 70},
	{registry.LevelKreis, 28, 60},
	{registry.LevelVerband, 5, 30},
	{registry.LevelGemeinde, 20, 40},
}

// plan is one Leistung and where it is registered.
type plan struct {
	key    registry.Leistung
	level  registry.Level
	count  int // entries
	first  int // place of the first area in the level's list
	stride int // to the next one; coprime to the list's length, so that no area comes twice
	local  bool
}

// Each calls emit for every entry. The entry is valid during the call. Entries of one Leistung come together; no
// (Leistung, area) comes twice. Every 50th entry is a page, every 100th is not live any more (aktiv = nein).
func Each(areas *registry.Areas, o Options, emit func(*registry.Entry) error) error {
	o.setDefaults()
	if o.Entries < 0 || o.Leistungen < 0 || o.Hosts < 0 {
		return errors.New("generate: numbers must not be negative")
	}
	g := generator{o: o, areas: areas, rand: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15))} //nolint:gosec // equal seeds must give equal registries
	for id := range areas.Len() {
		a := areas.Area(registry.AreaID(id))
		if !a.Added { // an area that begins or ends within the test's time is a case of its own
			g.byLevel[a.ARS.Level()] = append(g.byLevel[a.ARS.Level()], registry.AreaID(id))
		}
	}
	plans, err := g.plans()
	if err != nil {
		return err
	}
	for i := range plans {
		if err := g.emit(&plans[i], emit); err != nil {
			return err
		}
	}
	return nil
}

type generator struct {
	o       Options
	areas   *registry.Areas
	rand    *rand.Rand
	byLevel [registry.LevelGemeinde + 1][]registry.AreaID
	line    int
	buf     []byte
}

// plans draws Leistungen and shares the entries out among them.
func (g *generator) plans() ([]plan, error) {
	seen := make(map[registry.Leistung]bool, g.o.Leistungen)
	plans := make([]plan, 0, g.o.Leistungen)
	total := 0
	for len(plans) < g.o.Leistungen {
		p := plan{level: g.level()}
		p.local = p.level == registry.LevelGemeinde && g.rand.IntN(100) < 2
		p.key = g.key(p.local)
		if seen[p.key] || len(g.byLevel[p.level]) == 0 {
			continue
		}
		seen[p.key] = true
		p.count = g.count(p.level)
		if p.local {
			p.count = 1
		}
		plans, total = append(plans, p), total+p.count
	}
	if err := g.fit(plans, total); err != nil {
		return nil, err
	}
	for i := range plans {
		p := &plans[i]
		n := len(g.byLevel[p.level])
		p.first, p.stride = g.rand.IntN(n), g.coprime(n)
	}
	return plans, nil
}

func (g *generator) level() registry.Level {
	n := g.rand.IntN(100)
	for _, s := range spreads {
		if n -= s.share; n < 0 {
			return s.level
		}
	}
	return registry.LevelGemeinde
}

// count draws how many areas of the level have the Leistung, around the mean coverage.
func (g *generator) count(l registry.Level) int {
	n := len(g.byLevel[l])
	for _, s := range spreads {
		if s.level == l && l != registry.LevelBund {
			percent := min(100, max(1, s.coverage/2+g.rand.IntN(s.coverage+1)))
			return max(1, n*percent/100)
		}
	}
	return 1
}

// fit scales the counts to the wanted number of entries: in proportion at the levels that have many areas, and one by
// one for the rest. The Kreise keep their coverage if they are not most of the whole, because what a bigger registry has
// more of are Gemeinden.
func (g *generator) fit(plans []plan, total int) error {
	kreise := 0
	for i := range plans {
		if plans[i].level == registry.LevelKreis {
			kreise += plans[i].count
		}
	}
	least := registry.LevelKreis
	if kreise < g.o.Entries*6/10 {
		least = registry.LevelVerband
	}
	fixed := 0
	for i := range plans {
		if plans[i].level < least || plans[i].local {
			fixed += plans[i].count
		}
	}
	scale := max(0, float64(g.o.Entries-fixed)/float64(max(1, total-fixed)))
	sum := fixed
	for i := range plans {
		if p := &plans[i]; p.level >= least && !p.local {
			p.count = min(len(g.byLevel[p.level]), max(1, int(float64(p.count)*scale)))
			sum += p.count
		}
	}
	for floor := 1; sum != g.o.Entries; {
		before := sum
		for i := range plans {
			p := &plans[i]
			switch {
			case sum < g.o.Entries && !p.local && p.count < len(g.byLevel[p.level]):
				p.count, sum = p.count+1, sum+1
			case sum > g.o.Entries && p.count > floor:
				p.count, sum = p.count-1, sum-1
			}
		}
		if sum != before {
			continue
		}
		if sum < g.o.Entries {
			return fmt.Errorf("generate: %d Leistungen have room for %d entries, not for %d; take more Leistungen", len(plans), sum, g.o.Entries)
		}
		floor = 0 // fewer entries than Leistungen
	}
	return nil
}

// key draws a key of the catalogue's form; some are details (…001 to …003) of others.
func (g *generator) key(local bool) registry.Leistung {
	detail := 0
	if g.rand.IntN(5) == 0 {
		detail = 1 + g.rand.IntN(3)
	}
	text := fmt.Sprintf("99%03d%03d%03d%03d", 1+g.rand.IntN(160), 1+g.rand.IntN(60), 1+g.rand.IntN(279), detail)
	if local {
		text = fmt.Sprintf("77%012d", 1+g.rand.IntN(1e9))
	}
	l, err := registry.ParseLeistung(text)
	if err != nil {
		panic("generate: its own key is wrong: " + err.Error())
	}
	return l
}

func (g *generator) coprime(n int) int {
	if n < 3 {
		return 1
	}
	for {
		s := 1 + g.rand.IntN(n-1)
		a, b := s, n
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return s
		}
	}
}

func (g *generator) emit(p *plan, emit func(*registry.Entry) error) error {
	list := g.byLevel[p.level]
	at := p.first
	key := p.key.String()
	title := "Leistung " + key
	for i := 0; i < p.count; i++ {
		g.line++
		area := list[at]
		at = (at + p.stride) % len(list)
		e := registry.Entry{
			Leistung: p.key, Area: area, Title: title, Source: g.o.Source,
			Origin: registry.Origin{Source: "generated", File: "generated.csv", Line: int32(g.line + 1)},
		}
		host := (int(area)*7919 + int(p.key.GroupNumber())) % g.o.Hosts
		if g.line%50 == 0 {
			e.Kind = registry.Page
		}
		if g.line%100 == 1 {
			e.Inactive = true
		}
		g.buf = append(g.buf[:0], "https://portal-"...)
		g.buf = strconv.AppendInt(g.buf, int64(host), 10)
		g.buf = append(g.buf, ".example/leistung/"...)
		g.buf = p.key.Append(g.buf)
		g.buf = append(g.buf, "?ars="...)
		g.buf = g.areas.ARS(area).AppendPadded(g.buf)
		e.URL = string(g.buf)
		if err := emit(&e); err != nil {
			return err
		}
	}
	return nil
}

// csvHeader are the columns of WriteCSV, in its order.
const csvHeader = "leistung;area;url;page;title;active\n"

// WriteCSV writes the entries as a csv with the columns leistung, area, url, page, title, active and the separator ";".
func WriteCSV(w io.Writer, areas *registry.Areas, o Options) error {
	b := bufio.NewWriterSize(w, 1<<16)
	if _, err := b.WriteString(csvHeader); err != nil {
		return fmt.Errorf("write registry: %w", err)
	}
	var line []byte
	err := Each(areas, o, func(e *registry.Entry) error {
		line = e.Leistung.Append(line[:0])
		line = append(line, ';')
		if a := areas.ARS(e.Area); a.IsBund() {
			line = a.AppendPadded(line)
		} else {
			line = a.Append(line)
		}
		line = append(line, ';')
		if e.Kind == registry.Page {
			line = append(line, ';')
			line = append(line, e.URL...)
		} else {
			line = append(line, e.URL...)
			line = append(line, ';')
		}
		line = append(line, ';')
		line = append(line, e.Title...)
		if e.Inactive {
			line = append(line, ";nein\n"...)
		} else {
			line = append(line, ";ja\n"...)
		}
		_, err := b.Write(line)
		return err
	})
	if err != nil {
		return fmt.Errorf("write registry: %w", err)
	}
	if err = b.Flush(); err != nil {
		return fmt.Errorf("write registry: %w", err)
	}
	return nil
}
