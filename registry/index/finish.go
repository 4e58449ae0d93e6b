// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// Finish makes the index. The builder cannot be used again.
//
// Everything that Add numbered as it came is sorted and numbered anew, so that nothing shows in which order it came.
func (b *Builder) Finish() (*Index, Report) {
	x := &Index{areas: b.areas, digest: AreasDigest(b.areas), sources: b.sources, types: b.finishTypes()}
	textOf := b.finishTexts(x)
	idOf := b.finishIDs(x)
	var n renumbering
	b.contexts.rewrite(func(c Context) Context { return Context{idOf[c.OE], idOf[c.LB], idOf[c.OD]} })
	x.contexts, n.contexts = b.contexts.sorted(compareContexts)
	b.origins.rewrite(func(o Origin) Origin { return Origin{textOf[o.Source], textOf[o.File]} })
	x.origins, n.origins = b.origins.sorted(compareOrigins)
	x.spans, n.spans = b.spans.sorted(compareSpans)
	n.extras = b.finishExtras(x, textOf, idOf)
	b.traits.rewrite(func(t Traits) Traits {
		t.Span, t.Hosts = n.spans[t.Span], textOf[t.Hosts]
		return t
	})
	x.traits, n.traits = b.traits.sorted(compareTraits)
	b.records.rewrite(func(r Record) Record {
		return Record{n.traits[r.Traits], textOf[r.URL], textOf[r.Title], n.contexts[r.Context], n.extras[r.Extra], n.origins[r.Origin]}
	})
	x.records, n.records = b.records.sorted(compareRecords)
	b.texts, b.ids = nil, nil
	b.finishRows(x, n.records)
	x.derive()
	b.oldAndNew(x)
	slices.SortStableFunc(b.report.Warnings, func(a, b registry.Fault) int {
		return cmp.Or(comparePlaces(a.Origin, b.Origin), strings.Compare(a.Reason, b.Reason))
	})
	return x, b.report
}

// renumbering gives new numbers by old ones.
type renumbering struct{ contexts, origins, spans, extras, traits, records []uint32 }

// rewrite changes all values but the zero one. The set cannot be put to any more.
func (s *set[T]) rewrite(f func(T) T) {
	s.slots = nil
	for i := range s.list[1:] {
		s.list[i+1] = f(s.list[i+1])
	}
}

func (b *Builder) finishTexts(x *Index) []uint32 {
	order, renumber := b.texts.sorted()
	x.texts = &texts{}
	var last []byte
	for _, old := range order {
		text := b.texts.at(old)
		x.texts.put(last, text)
		last = text
	}
	x.texts.heads, x.texts.data = slices.Clip(x.texts.heads), slices.Clip(x.texts.data)
	x.texts.n++ // the empty one
	return renumber
}

func (b *Builder) finishIDs(x *Index) []uint32 {
	order, renumber := b.ids.sorted()
	x.ids = &ids{off: []uint32{0, 0}}
	var blob []byte
	for _, old := range order {
		blob = append(blob, b.ids.at(old)...)
		x.ids.off = append(x.ids.off, uint32(len(blob)))
	}
	x.ids.text = string(blob)
	return renumber
}

// pair is two numbers so that text order is theirs.
func pair(a, b uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, a), b)
}

// finishExtras lays the lists of others one after the other, equal ones once.
func (b *Builder) finishExtras(x *Index, textOf, idOf []uint32) []uint32 {
	b.extras.rewrite(func(e extra) extra {
		e.areaKey, e.lang, e.role, e.refused = textOf[e.areaKey], idOf[e.lang], textOf[e.role], textOf[e.refused]
		old := []byte(e.others)
		e.others = ""
		for ; len(old) > 0; old = old[8:] {
			e.others += string(pair(idOf[binary.BigEndian.Uint32(old)], textOf[binary.BigEndian.Uint32(old[4:])]))
		}
		return e
	})
	list, renumber := b.extras.sorted(compareExtras)
	x.extras = make([]Extra, len(list))
	for i, e := range list {
		if i > 0 && e.others != list[i-1].others {
			for at := []byte(e.others); len(at) > 0; at = at[8:] {
				x.others = append(x.others, Other{binary.BigEndian.Uint32(at), binary.BigEndian.Uint32(at[4:])})
			}
		}
		n := uint32(len(e.others) / 8)
		x.extras[i] = Extra{
			AreaKey: e.areaKey, Lang: e.lang, Role: e.role, Refused: e.refused, Priority: e.priority,
			OthersAt: uint32(len(x.others)) - n, OthersN: n,
		}
	}
	return renumber
}

func compareContexts(a, b Context) int {
	return cmp.Or(cmp.Compare(a.OE, b.OE), cmp.Compare(a.LB, b.LB), cmp.Compare(a.OD, b.OD))
}

func compareOrigins(a, b Origin) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.File, b.File))
}

func compareSpans(a, b Span) int {
	return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End))
}

func compareExtras(a, b extra) int {
	return cmp.Or(
		strings.Compare(a.others, b.others), cmp.Compare(a.areaKey, b.areaKey), cmp.Compare(a.lang, b.lang),
		cmp.Compare(a.role, b.role), cmp.Compare(a.refused, b.refused), cmp.Compare(a.priority, b.priority),
	)
}

func compareTraits(a, b Traits) int {
	return cmp.Or(
		cmp.Compare(a.Flags&Page, b.Flags&Page), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Flags, b.Flags),
		cmp.Compare(a.Hosts, b.Hosts), cmp.Compare(a.Span, b.Span),
	)
}

func compareRecords(a, b Record) int {
	return cmp.Or(
		cmp.Compare(a.Traits, b.Traits), cmp.Compare(a.Title, b.Title), cmp.Compare(a.URL, b.URL),
		cmp.Compare(a.Context, b.Context), cmp.Compare(a.Extra, b.Extra), cmp.Compare(a.Origin, b.Origin),
	)
}

func comparePlaces(a, b registry.Origin) int {
	return cmp.Or(
		strings.Compare(a.Source, b.Source), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
	)
}

// finishRows sorts the rows into the grid and writes their lines aside.
func (b *Builder) finishRows(x *Index, recordOf []uint32) {
	leistungen, renumber := b.leistungen.sorted(registry.Leistung.Compare)
	rows, begins := b.byLeistung(renumber, recordOf)
	g := NewGridBuilder(b.places)
	g.g.groups = make([]uint32, 0, len(rows))
	var several []uint32
	for n, l := range leistungen {
		block := rows[begins[n]:begins[n+1]]
		if len(block) == 0 {
			continue // the zero Leistung
		}
		slices.SortFunc(block, func(a, c draft) int {
			return cmp.Or(cmp.Compare(a.pos, c.pos), cmp.Compare(a.record, c.record), cmp.Compare(a.line, c.line))
		})
		lines := make([]uint32, 0, len(block))
		several = several[:0]
		for i := 0; i < len(block); {
			end := i + 1
			for end < len(block) && block[end].pos == block[i].pos {
				end++
			}
			group, area := block[i:end], b.places.byPos[block[i].pos]
			if i = end; len(group) > 1 {
				slices.SortFunc(group, x.compareRows(l, area))
				for _, r := range group {
					several = append(several, r.line)
				}
			}
			lines = append(lines, group[0].line)
			for _, r := range group {
				g.Add(l, area, r.record)
			}
		}
		x.from.add(append(lines, several...))
	}
	x.Grid = *g.Grid()
}

// byLeistung gives all rows, those of Leistung n from begins[n] on, with records renumbered.
func (b *Builder) byLeistung(renumber, recordOf []uint32) (rows []draft, begins []uint32) {
	b.chunks = append(b.chunks, b.rows)
	begins = make([]uint32, len(renumber)+2)
	for _, c := range b.chunks {
		for i := range c {
			begins[renumber[c[i].leistung]+2]++
		}
	}
	for i := range begins[1:] {
		begins[i+1] += begins[i]
	}
	rows = make([]draft, b.report.Rows)
	for n, c := range b.chunks {
		for _, r := range c {
			at := &begins[renumber[r.leistung]+1]
			r.record = recordOf[r.record]
			rows[*at] = r
			*at++
		}
		b.chunks[n] = nil
	}
	b.chunks, b.rows = nil, nil
	return rows, begins
}

// compareRows is the order of the rows of one place, in which a decision takes them if nothing else separates them: services
// before pages, then R10's order, then title and URL as they read, then where they were read, then everything else.
func (x *Index) compareRows(l registry.Leistung, area uint32) func(a, b draft) int {
	text := func(n uint32) []byte { return x.AppendText(nil, n, l, area) }
	return func(a, b draft) int {
		r, s := &x.records[a.record], &x.records[b.record]
		t, u := &x.traits[r.Traits], &x.traits[s.Traits]
		if n := cmp.Or(
			cmp.Compare(t.Flags&Page, u.Flags&Page), cmp.Compare(t.Source, u.Source),
			cmp.Compare(t.Flags&General, u.Flags&General), cmp.Compare(t.Flags&OtherRole, u.Flags&OtherRole),
			cmp.Compare(x.extras[s.Extra].Priority, x.extras[r.Extra].Priority),
		); n != 0 {
			return n
		}
		return cmp.Or(
			bytes.Compare(text(r.Title), text(s.Title)), bytes.Compare(text(r.URL), text(s.URL)),
			cmp.Compare(r.Origin, s.Origin), cmp.Compare(a.line, b.line), cmp.Compare(a.record, b.record),
		)
	}
}
