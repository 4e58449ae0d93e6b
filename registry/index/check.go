// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"bytes"
	"errors"
	"math/bits"

	"github.com/pvgate/pvgate/registry"
)

// What a Builder makes is right by construction. What a file says is looked at once, number by number: it must be what a
// Builder could have made, with nothing that no row leads to. Only which line a row stands in is anybody's word.
var (
	errBlocks  = errors.New("its Leistungen are damaged")
	errLines   = errors.New("its bitmaps are damaged")
	errGroups  = errors.New("its groups are damaged")
	errRecords = errors.New("its records are damaged")
	errUnused  = errors.New("it has records or texts that no row leads to")
	errOrder   = errors.New("its rows are not in their order")
	errSource  = errors.New("its sources are damaged")
	errURL     = errors.New("a row has a URL that cannot be a target")
)

func (x *Index) check(sources []byte) error {
	for len(sources) > 0 {
		name, rest, ok := bytes.Cut(sources, []byte{0})
		if !ok || len(name) == 0 {
			return errSource
		}
		x.sources = append(x.sources, string(name))
		sources = rest
	}
	if err := x.checkBlocks(); err != nil {
		return err
	}
	if err := x.checkGroups(); err != nil {
		return err
	}
	if err := x.from.check(&x.Grid); err != nil {
		return err
	}
	if err := x.checkNumbers(); err != nil {
		return err
	}
	if err := x.checkUse(); err != nil {
		return err
	}
	if err := x.checkURLs(); err != nil {
		return err
	}
	if err := x.checkTypes(); err != nil {
		return err
	}
	return x.checkRows()
}

// checkBlocks holds that keys ascend, and that lines and groups follow one another without a gap.
func (x *Grid) checkBlocks() error {
	if len(x.blocks) > maxBlocks || len(x.groups) > maxValue || len(x.more) > maxValue || len(x.groups)+len(x.more) > maxValue {
		return errBlocks
	}
	line, group, areas := uint32(0), uint32(0), uint32(x.places.Len())
	for i := range x.blocks {
		b := &x.blocks[i]
		if !soundKey(b.Key) || i > 0 && x.blocks[i-1].Key.Compare(b.Key) >= 0 || b.Mask == 0 ||
			b.Line != line || b.Group != group || uint64(line)+uint64(bits.OnesCount64(b.Mask)) > uint64(len(x.lines)) {
			return errBlocks
		}
		for at := range uint32(maxLines) {
			if b.Mask>>at&1 == 0 {
				continue
			}
			l := &x.lines[line]
			if l[0] != uint64(group) {
				return errLines
			}
			n, last := 0, uint32(0)
			for j, w := range l[1:] {
				n += bits.OnesCount64(w)
				if w != 0 {
					last = uint32(j)*64 + uint32(bits.Len64(w)) - 1
				}
			}
			if n == 0 || at*lineBits+last >= areas || uint64(group)+uint64(n) > uint64(len(x.groups)) {
				return errLines
			}
			group += uint32(n)
			line++
		}
		if b.Groups != group-b.Group {
			return errBlocks
		}
	}
	if int(line) != len(x.lines) || int(group) != len(x.groups) {
		return errBlocks
	}
	return nil
}

// soundKey says whether a key is one of 14 digits.
func soundKey(l registry.Leistung) bool { return !l.IsZero() && l.Number() < 1e14 }

// checkGroups holds that every row has a record, and that each row of more is of one group, of two rows at least.
func (x *Index) checkGroups() error {
	next, records := uint32(0), uint32(len(x.records))
	for i := range x.blocks {
		b := &x.blocks[i]
		if b.More != next {
			return errGroups
		}
		for _, v := range x.groups[b.Group : b.Group+b.Groups] {
			if v&severalRows == 0 {
				if v == 0 || v >= records { // the first is nobody's
					return errGroups
				}
				continue
			}
			if v&^severalRows != next {
				return errGroups
			}
			for first := next; ; next++ {
				if int(next) >= len(x.more) || x.more[next]&^rowFollows == 0 || x.more[next]&^rowFollows >= records {
					return errGroups
				}
				if x.more[next]&rowFollows == 0 {
					if next == first {
						return errGroups
					}
					next++
					break
				}
			}
		}
	}
	if int(next) != len(x.more) {
		return errGroups
	}
	return nil
}

// checkNumbers holds that every number is one of what it is a number of.
func (x *Index) checkNumbers() error {
	n := uint32(x.texts.n)
	ok := true
	for i := range x.records {
		r := &x.records[i]
		ok = ok && int(r.Traits) < len(x.traits) && r.URL < n && r.Title < n && int(r.Context) < len(x.contexts) &&
			int(r.Extra) < len(x.extras) && int(r.Origin) < len(x.origins)
	}
	for i := range x.traits {
		t := &x.traits[i]
		ok = ok && int(t.Span) < len(x.spans) && t.Hosts < n && t.Flags&^allFlags == 0 &&
			(int(t.Source) < len(x.sources) || i == 0) // the first is nobody's
	}
	for i := range x.contexts {
		c := &x.contexts[i]
		ok = ok && c.OE < x.IDs() && c.LB < x.IDs() && c.OD < x.IDs()
	}
	for i := range x.extras {
		e := &x.extras[i]
		ok = ok && e.AreaKey < n && e.Lang < x.IDs() && e.Role < n && e.Refused < n &&
			uint64(e.OthersAt)+uint64(e.OthersN) <= uint64(len(x.others)) && x.plain(e.Role)
	}
	for _, o := range x.others {
		ok = ok && o.Lang < x.IDs() && o.URL < n
	}
	for _, o := range x.origins {
		ok = ok && o.Source < n && o.File < n && x.plain(o.Source) && x.plain(o.File)
	}
	if !ok || !x.inForm() {
		return errRecords
	}
	return nil
}

// plain says whether a text has nothing to do with its row's place.
func (x *Index) plain(n uint32) bool {
	text := x.texts.append(nil, n)
	return firstMark(text) < 0 || text[0] == markPlain
}

// inForm says whether each table has the order of a Builder: its first value, then the others ascending.
func (x *Index) inForm() bool {
	return ordered(x.records, Record{}, compareRecords) && ordered(x.traits, Traits{}, compareTraits) &&
		ordered(x.contexts, Context{}, compareContexts) && ordered(x.origins, Origin{}, compareOrigins) &&
		ordered(x.spans, Always, compareSpans) && x.extrasInForm()
}

func ordered[T comparable](list []T, first T, compare func(a, b T) int) bool {
	ok := len(list) > 0 && list[0] == first
	for i := 1; ok && i < len(list); i++ {
		ok = list[i] != first && (i == 1 || compare(list[i-1], list[i]) < 0)
	}
	return ok
}

// extrasInForm is inForm of the extras, whose lists of others lie one after the other, equal ones once.
func (x *Index) extrasInForm() bool {
	list := make([]extra, len(x.extras))
	next := uint32(0)
	for i, e := range x.extras {
		made := &list[i]
		*made = extra{areaKey: e.AreaKey, lang: e.Lang, role: e.Role, refused: e.Refused, priority: e.Priority}
		if i > 0 && e.OthersAt == x.extras[i-1].OthersAt && e.OthersN == x.extras[i-1].OthersN {
			made.others = list[i-1].others
			continue
		}
		if e.OthersAt != next {
			return false
		}
		next += e.OthersN
		var others []byte
		for _, o := range x.others[e.OthersAt:next] {
			others = append(others, pair(o.Lang, o.URL)...)
		}
		if made.others = string(others); i > 0 && made.others == list[i-1].others {
			return false
		}
	}
	return int(next) == len(x.others) && ordered(list, extra{}, compareExtras)
}

// marks are numbers that were seen.
type marks []uint64

func newMarks(n int) marks { return make(marks, n/64+1) }

func (m marks) add(numbers ...uint32) {
	for _, n := range numbers {
		m[n/64] |= 1 << (n % 64)
	}
}

// all says whether every number below n was seen, but for 0, which is nobody's.
func (m marks) all(n int) bool {
	seen := 0
	m.add(0)
	for _, w := range m {
		seen += bits.OnesCount64(w)
	}
	return seen == n
}

// checkUse holds that everything is there for a row.
func (x *Index) checkUse() error {
	records, traits, contexts, extras := newMarks(len(x.records)), newMarks(len(x.traits)), newMarks(len(x.contexts)), newMarks(len(x.extras))
	origins, spans, texts, ids := newMarks(len(x.origins)), newMarks(len(x.spans)), newMarks(x.texts.n), newMarks(int(x.IDs()))
	for _, v := range x.groups {
		if v&severalRows == 0 {
			records.add(v)
		}
	}
	for _, v := range x.more {
		records.add(v &^ rowFollows)
	}
	for i := range x.records {
		r := &x.records[i]
		traits.add(r.Traits)
		contexts.add(r.Context)
		extras.add(r.Extra)
		origins.add(r.Origin)
		texts.add(r.URL, r.Title)
	}
	for i := range x.traits {
		spans.add(x.traits[i].Span)
		texts.add(x.traits[i].Hosts)
	}
	for _, c := range x.contexts {
		ids.add(c.OE, c.LB, c.OD)
	}
	for i := range x.extras {
		e := &x.extras[i]
		texts.add(e.AreaKey, e.Role, e.Refused)
		ids.add(e.Lang)
	}
	for _, o := range x.others {
		texts.add(o.URL)
		ids.add(o.Lang)
	}
	for _, o := range x.origins {
		texts.add(o.Source, o.File)
	}
	if !records.all(len(x.records)) || !traits.all(len(x.traits)) || !contexts.all(len(x.contexts)) || !extras.all(len(x.extras)) ||
		!origins.all(len(x.origins)) || !spans.all(len(x.spans)) || !texts.all(x.texts.n) || !ids.all(int(x.IDs())) {
		return errUnused
	}
	return nil
}

// checkURLs holds that what is not refused can be a target, and that traits say of their records what is so: decisions
// trust them. Many records share an address; the last that was seen is not looked at again.
func (x *Index) checkURLs() error {
	some, err := registry.ParseLeistung("99000000000000")
	if err != nil {
		return err
	}
	var last Record
	var all targets
	var text []byte
	for i := range x.records[1:] {
		r := &x.records[i+1]
		if r.URL == last.URL && r.Extra == last.Extra && r.Traits == last.Traits && r.Context == last.Context {
			continue
		}
		last = *r
		t, e := &x.traits[r.Traits], &x.extras[r.Extra]
		all = targets{hosts: all.hosts[:0]}
		keyed, ok := x.checkURL(r.URL, some, &all)
		for _, o := range x.others[e.OthersAt : e.OthersAt+e.OthersN] {
			_, sound := x.checkURL(o.URL, some, &all)
			ok = ok && sound
		}
		text = x.texts.append(text[:0], t.Hosts)
		if !ok || all.err != nil && e.Refused == 0 || !bytes.Equal(text, all.hosts) {
			return errURL
		}
		if t.Flags != t.Flags&(Page|Inactive|General)|keyed|all.fragment|flagsOf(r, e) {
			return errRecords
		}
	}
	return nil
}

// checkURL adds a URL to the targets of its record. It says whether it is keyed, and it is not sound if its host is: what
// follows from a host must not depend on the place.
func (x *Index) checkURL(n uint32, some registry.Leistung, all *targets) (keyed Flags, sound bool) {
	all.add(x.Text(n, some, uint32(registry.Bund)))
	if x.plain(n) {
		return 0, true
	}
	text := x.texts.append(nil, n)
	return Keyed, firstMark(text) >= authorityEnd(string(text))
}

// flagsOf are the flags that follow from what lies beside the traits.
func flagsOf(r *Record, e *Extra) (f Flags) {
	for _, is := range [...]struct {
		flag Flags
		on   bool
	}{
		{Refused, e.Refused != 0},
		{OtherRole, e.Role != 0},
		{Priority, e.Priority != 0},
		{HasContext, r.Context != 0},
		{HasOthers, e.OthersN > 0 || e.Lang != 0},
	} {
		if is.on {
			f |= is.flag
		}
	}
	return f
}

// checkRows holds the order of rows that stand at one place, and that local keys have none at the Bund (R1).
func (x *Index) checkRows() error {
	for n := range x.blocks {
		b := &x.blocks[n]
		for area, group := range x.All(uint32(n)) {
			if area == uint32(registry.Bund) && !b.Key.Federal() {
				return errBlocks
			}
			first, end := x.Rows(group)
			if end-first == 1 {
				continue
			}
			compare := x.compareRows(b.Key, area)
			last := draft{record: x.Value(first), line: x.from.line(&x.Grid, first)}
			if x.from.line(&x.Grid, group) != last.line { // it has a place of its own there, too
				return errProvenance
			}
			for row := first + 1; row < end; row++ {
				next := draft{record: x.Value(row), line: x.from.line(&x.Grid, row)}
				if compare(last, next) > 0 {
					return errOrder
				}
				last = next
			}
		}
	}
	return nil
}
