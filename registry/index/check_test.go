// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/bundle"
)

// damaged is an index of a few rows in which everything occurs that a poison needs.
func damaged(t *testing.T) *Index {
	t.Helper()
	var records []registry.AreaRecord
	for _, s := range []string{"01", "01001", "010010000", "010010000000", "06", "06534"} {
		ars, err := registry.ParseARS(s)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, registry.AreaRecord{ARS: ars, Name: s})
	}
	areas, err := registry.NewAreas(records)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(areas, []string{"hub", "own"})
	for i, key := range []string{"06000000000012", "99050012104000", "99050012104001"} {
		l, err := registry.ParseLeistung(key)
		if err != nil {
			t.Fatal(err)
		}
		for id := registry.AreaID(1); int(id) < areas.Len(); id++ {
			// A title and a host, an area's key and a role are one text, so that none is left over when another is taken.
			e := registry.Entry{Leistung: l, Area: id, Title: "a.example", URL: "https://a.example/x", Origin: registry.Origin{Source: "hub", File: "f", Line: 5}}
			all := []registry.Entry{e}
			if i > 0 && id == 1 {
				e.Source, e.Title, e.Role, e.AreaKey, e.OE, e.LB = 1, "Antrag", "02", "02", "L1", "L2"
				e.Origin = registry.Origin{Source: "own", File: "g", Line: 7}
				e.Begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				e.Others = []registry.LangURL{{Lang: "en", URL: "https://b.example/#y"}, {Lang: "fr", URL: "https://b.example/"}}
				all = append(all, e)
				e.Kind, e.Priority, e.Others = registry.Page, 3, e.Others[:1]
				all = append(all, e)
				e.Title, e.OE, e.Refused, e.Origin.Line = "Zeugnis", "", "a.example", 9
				all = append(all, e, e)
			}
			for j := range all {
				if err := b.Add(&all[j]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	x, _ := b.Finish()
	return x
}

// again reads an index as a file has it.
func again(x *Index) (*Index, error) {
	sections := x.Sections()
	return FromSections(x.areas, func(tag string) ([]byte, bool) {
		i := slices.IndexFunc(sections, func(s bundle.Section) bool { return s.Tag == tag })
		if i < 0 {
			return nil, false
		}
		room := bundle.Bytes(make([]uint64, len(sections[i].Data)/8+1))
		return room[:copy(room, sections[i].Data)], true
	})
}

// retext writes the texts of an index anew, after a change of one; it keeps its place.
func (x *Index) retext(old, text string) {
	made := &texts{}
	var last []byte
	for n := range uint32(x.texts.n - 1) {
		now := x.texts.append(nil, n+1)
		if string(now) == old {
			now = []byte(text)
		}
		made.put(last, now)
		last = now
	}
	made.n++
	x.texts = made
}

// textNumber is the number of a text.
func (x *Index) textNumber(text string) uint32 {
	for n := range uint32(x.texts.n) {
		if string(x.texts.append(nil, n)) == text {
			return n
		}
	}
	panic(fmt.Sprintf("no text %q", text))
}

// relines says of all rows that they stand in line 0.
func (x *Index) relines() {
	x.from = provenance{}
	for i := range x.blocks {
		x.from.add(make([]uint32, x.rowsOf(uint32(i))))
	}
}

// several is the first group with several rows.
func (x *Index) several() (group uint32) {
	for x.groups[group]&severalRows == 0 {
		group++
	}
	return group
}

// CP-02: what a file says beyond, beside or against what its rows need is not read, also where every number is one.
func TestCP02WhatNoBuilderWritesIsNotRead(t *testing.T) {
	t.Parallel()
	if _, err := again(damaged(t)); err != nil {
		t.Fatal(err)
	}
	flag := func(f Flags) func(x *Index) { return func(x *Index) { x.traits[len(x.traits)-1].Flags ^= f } }
	for name, damage := range map[string]func(x *Index){
		"a row with nobody's record":      func(x *Index) { x.groups[0] = 0 },
		"one of several with nobody's":    func(x *Index) { x.more[0] = rowFollows },
		"rows of groups before their own": func(x *Index) { x.blocks[0].More = 1 },
		"a block's rows at another's": func(x *Index) {
			x.relines()
			x.blocks[0].More = 2
		},
		"a row of no place": func(x *Index) {
			x.more = append(x.more, 1)
			x.relines()
		},
		"a record too many": func(x *Index) {
			r := x.records[len(x.records)-1]
			r.Title = uint32(x.texts.n - 1)
			x.records = append(x.records, r)
		},
		"traits too many": func(x *Index) {
			r := x.traits[len(x.traits)-1]
			r.Hosts = uint32(x.texts.n - 1)
			x.traits = append(x.traits, r)
		},
		"types of no Leistung": func(x *Index) { x.types = []typed{{Types: 1}} },
		"types of a key of 15 digits": func(x *Index) {
			x.types = []typed{{Types: 1}}
			bundle.Bytes(x.types)[7] = 1
		},
		"a context too many": func(x *Index) { x.contexts = append(x.contexts, Context{2, 2, 2}) },
		"an extra too many": func(x *Index) {
			e := x.extras[len(x.extras)-1]
			e.AreaKey = uint32(x.texts.n - 1)
			x.extras = append(x.extras, e)
		},
		"an origin too many": func(x *Index) { x.origins = append(x.origins, Origin{uint32(x.texts.n - 1), uint32(x.texts.n - 1)}) },
		"a span too many":    func(x *Index) { x.spans = append(x.spans, Span{1<<63 - 2, 1<<63 - 1}) },
		"a text too many": func(x *Index) {
			x.texts.n--
			x.texts.put(nil, []byte("~"))
			x.texts.n++
		},
		"an id too many": func(x *Index) { x.ids = &ids{append(x.ids.off, uint32(len(x.ids.text))+1), x.ids.text + "~"} },
		"an address too many": func(x *Index) {
			x.others = append(x.others, x.others[0])
		},
		"addresses twice": func(x *Index) {
			last := len(x.extras) - 1
			for i := range x.extras[:last+1] {
				if e := &x.extras[i]; e.OthersN == 1 && e.OthersAt == x.extras[i-1].OthersAt && x.extras[i-1].OthersN == 1 {
					x.others = slices.Insert(x.others, 1, x.others[0])
					for j := i; j <= last; j++ {
						x.extras[j].OthersAt++
					}
					return
				}
			}
			panic("no extras have the same addresses")
		},
		"extras in another order": func(x *Index) {
			n := uint32(len(x.extras))
			for i := uint32(1); i+1 < n; i++ {
				a, b := &x.extras[i], &x.extras[i+1]
				if a.OthersAt == b.OthersAt && a.OthersN == b.OthersN {
					*a, *b = *b, *a
					for j := range x.records {
						switch r := &x.records[j]; r.Extra {
						case i:
							r.Extra = i + 1
						case i + 1:
							r.Extra = i
						}
					}
					slices.SortFunc(x.records[1:], compareRecords)
					return
				}
			}
			panic("no extras can change places")
		},
		"other hosts than its address": func(x *Index) { x.traits[1].Hosts = x.textNumber("Antrag") },
		"a host that depends on the place": func(x *Index) {
			x.retext("https://a.example/x", "https://a.\x1c.example/x")
			x.retext("a.example", "a.000000000000.example")
			x.retext("a.example b.example", "a.000000000000.example b.example")
			for i := range x.traits[1:] {
				x.traits[i+1].Flags |= Keyed
			}
		},
		"a role that depends on the place":          func(x *Index) { x.retext("02", "\x18") },
		"a file that depends on the place":          func(x *Index) { x.retext("f", "e\x1c") },
		"marks that are none":                       func(x *Index) { x.retext("Antrag", "A\x1d") },
		"a text without marks that says it has one": func(x *Index) { x.retext("02", "\x0002") },
		"a source without a name":                   func(x *Index) { x.sources = append(x.sources, "") },
		"a local key at the Bund":                   func(x *Index) { x.lines[0][1] = x.lines[0][1]&^2 | 1 },
		"another line in the place of a group": func(x *Index) {
			group := x.several()
			c := &x.from.lines[x.blockOf(group)]
			x.from.data[c.At+(group-x.blocks[x.blockOf(group)].Group)*c.Width]++
		},
		"rows in another order": func(x *Index) {
			at := x.groups[x.several()] &^ severalRows
			x.more[at], x.more[at+1] = x.more[at+1], x.more[at]
		},
		"flag Refused":    flag(Refused),
		"flag OtherRole":  flag(OtherRole),
		"flag Priority":   flag(Priority),
		"flag HasContext": flag(HasContext),
		"flag HasOthers":  flag(HasOthers),
		"flag Fragment":   flag(Fragment),
		"flag Keyed":      flag(Keyed),
	} {
		x := damaged(t)
		damage(x)
		if _, err := again(x); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
}
