// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// R15: what no bulk source knows may be looked up, for a Gemeinde. Resolve answers Pending and names the key; who asks the
// sources, and waits for them, is not here. What they say is laid over the table as a third part ([Table.With]), and the
// same question asked again, of the same code: until there is an answer, or another key has to be looked up, which may be
// the successor's or the parent's (R8).
//
// An example. Asked is a key that has ended, in Augsburg; the table has a page of it at Bayern, and nothing of its
// successor. No service: Pending, the asked key. The source knows a page at Augsburg: that answers, being a page of the
// asked key, and the successor is never looked up. If it knew a service at Bayern, that would; if it failed, nothing would.

// Lookup is what the sources that are asked for one key at a time have said about one.
type Lookup struct {
	Leistung registry.Leistung
	Rows     []LookupRows
}

// LookupRows are the entries of one source. An entry's AreaKey says where it is, "" = at the asked area: AreaIDs are of one
// table, and an answer may be older. Area and Source of an entry are not looked at.
type LookupRows struct {
	Source  int // place in the order of trust, as Entry.Source
	Entries []registry.Entry
}

// With is the table for one question about one Gemeinde, with what was looked up for it. Of keys that are in said none is
// Pending again. Rows that no index could hold are left out, and targets that may not be used block, as with other sources
// (R7, R16). A decision is of this table then. The tables share everything else, so it costs little: some rows.
func (t *Table) With(area registry.AreaID, said []Lookup) *Table {
	made := *t
	f := &made.found
	*f = found{}
	a := adder{t: &made, area: area, texts: map[string]uint32{}}
	var rows []draft
	for i := range said {
		f.asked = append(f.asked, said[i].Leistung)
		for _, r := range said[i].Rows {
			for j := range r.Entries {
				if d, ok := a.draft(&r.Entries[j], said[i].Leistung, r.Source); ok {
					rows = append(rows, d)
				}
			}
		}
	}
	slices.SortFunc(rows, a.compare)
	for i := range rows {
		a.add(&rows[i])
	}
	return &made
}

// Bulk is the table without look-ups: what can be said of all Leistungen and areas at once.
func (t *Table) Bulk() *Table {
	if len(t.lookups) == 0 {
		return t
	}
	made := *t
	made.lookups, made.found = nil, found{}
	return &made
}

// lookupNames are the names of the sources that are asked.
func (t *Table) lookupNames() []string {
	names := make([]string, 0, len(t.lookups))
	for _, i := range t.lookups {
		names = append(names, t.sourceName(i))
	}
	return names
}

// unsaid says whether an answer for an area above Gemeinde may be another one inside because a look-up is asked there: it is
// not where a service is found (R12, R15).
func (w *walker) unsaid(r *result, won bool) bool {
	if won && r.traits.kind() == registry.Service {
		return false
	}
	w.found = inside{area: w.area, row: none, override: -1, lookup: true}
	return true
}

// element is element n of a list that another one continues.
func element[T any](list, more []T, n uint32) *T {
	if int(n) < len(list) {
		return &list[n]
	}
	return &more[int(n)-len(list)]
}

// found is the part of a table that look-ups made: few rows, for one question. Its lists continue those of the table.
type found struct {
	asked  []registry.Leistung // the keys that were looked up
	first  uint32              // id of the first row
	groups []foundGroup        // by Leistung, then by area, the deepest first

	rows     []policyRow
	traits   []traits // by row
	extra    []extraRow
	others   []otherURL
	valid    []span
	backends []backend // implicit ones
	origins  []originBase
	texts    []string
}

// foundGroup is the rows of one Leistung at one area. A block is the number of a Leistung's first group.
type foundGroup struct {
	leistung   registry.Leistung
	area       uint32
	first, end uint32 // ids of rows
}

func (f *found) find(l registry.Leistung) (block uint32) {
	for i := range f.groups {
		if f.groups[i].leistung == l {
			return uint32(i)
		}
	}
	return none
}

// around gives the deepest group of a block at an area that contains id, and that area.
func (f *found) around(places *index.Places, block, id uint32) (group, area uint32) {
	for i := block; int(i) < len(f.groups) && f.groups[i].leistung == f.groups[block].leistung; i++ {
		if a := f.groups[i].area; a <= id && id < places.End(a) {
			return i, a
		}
	}
	return none, none
}

func (f *found) exact(block, id uint32) (group uint32) {
	for i := block; int(i) < len(f.groups) && f.groups[i].leistung == f.groups[block].leistung; i++ {
		if f.groups[i].area == id {
			return i
		}
	}
	return none
}

func (f *found) of(group uint32) (first, end uint32) {
	return f.groups[group].first, f.groups[group].end
}

// adder lays rows over a table.
type adder struct {
	t     *Table
	area  registry.AreaID // asked
	texts map[string]uint32
}

// draft reads an entry; false leaves it out.
func (a *adder) draft(e *registry.Entry, asked registry.Leistung, source int) (d draft, ok bool) {
	own := *e
	own.Source = source
	if own.Area = a.area; own.AreaKey != "" {
		id, err := a.t.areas.EntryArea(own.AreaKey)
		if err != nil {
			return d, false
		}
		own.Area = id
	}
	switch {
	case own.Leistung != asked || own.Backend != "" || own.Path != "" || own.Template || source < 0 || source > math.MaxUint16:
		return d, false
	case own.Area == registry.Bund && !own.Leistung.Federal():
		return d, false
	case !own.Begin.IsZero() && !own.End.IsZero() && !own.Begin.Before(own.End):
		return d, false
	}
	d = draft{e: &own, backend: -1, span: index.SpanOf(own.Begin, own.End), refused: own.Refused}
	a.target(&d, own.URL)
	for _, o := range own.Others {
		a.target(&d, o.URL)
	}
	d.flags = entryFlags(&d)
	if d.backend >= 0 && a.t.Closed(BackendID(d.backend)) {
		d.flags |= flagClosed
	}
	return d, true
}

// target finds the backend of an address, and whether it can be one (R7, R16).
func (a *adder) target(d *draft, url string) {
	u, err := registry.ParseTarget(url)
	if err != nil {
		d.refused = cmp.Or(d.refused, err.Error())
		return
	}
	if d.backend < 0 {
		d.backend = a.backend(u.Host)
	}
	d.refused = cmp.Or(d.refused, a.t.refusal(&u, d.backend))
}

// backend is that of a host: a configured one, an implicit one that the table has, or one of our own (R16).
func (a *adder) backend(host string) int32 {
	if id, ok := a.t.hosts[host]; ok {
		return id
	}
	f, own := &a.t.found, len(a.t.backends)
	for i := range f.backends {
		if f.backends[i].name == host {
			return int32(own + i)
		}
	}
	f.backends = append(f.backends, backend{name: host})
	return int32(own + len(f.backends) - 1)
}

// compare is the order of rows: by Leistung, the deepest area first, then as the policy's.
func (a *adder) compare(x, y draft) int {
	return cmp.Or(
		x.e.Leistung.Compare(y.e.Leistung), cmp.Compare(y.e.Area, x.e.Area), cmp.Compare(x.e.Kind, y.e.Kind),
		cmp.Compare(x.e.Source, y.e.Source), strings.Compare(x.e.Title, y.e.Title), strings.Compare(x.e.URL, y.e.URL),
		compareOrigins(x.e.Origin, y.e.Origin),
	)
}

// text gives the number of a text.
func (a *adder) text(s string) uint32 {
	if s == "" {
		return 0
	}
	n, ok := a.texts[s]
	if !ok {
		n = uint32(a.t.strings.len() + len(a.t.found.texts))
		a.t.found.texts = append(a.t.found.texts, s)
		a.texts[s] = n
	}
	return n
}

// id gives the number of an id: the index's, if it has it.
func (a *adder) id(s string) uint32 {
	if n, ok := a.t.index.FindID(s); ok {
		return n
	}
	return a.t.index.IDs() + a.text(s)
}

// put appends to a list that continues another, and gives the element's number.
func put[T any](list []T, more *[]T, v T) uint32 {
	*more = append(*more, v)
	return uint32(len(list) + len(*more) - 1)
}

// add writes a row. They come sorted.
func (a *adder) add(d *draft) {
	t, f, e := a.t, &a.t.found, d.e
	f.first = t.policy.first + uint32(len(t.policy.rows))
	r := policyRow{
		leistung: e.Leistung, area: uint32(e.Area), url: a.text(e.URL), title: a.text(e.Title),
		oe: a.id(e.OE), lb: a.id(e.LB), od: a.id(e.OD),
		origin: put(t.origins, &f.origins, originBase{e.Origin.Source, e.Origin.File}),
		line:   uint32(max(e.Origin.Line, 0)), col: uint32(max(e.Origin.Col, 0)),
	}
	x := extraRow{refused: a.text(d.refused), priority: int32(min(max(e.Priority, math.MinInt32), math.MaxInt32))}
	if e.AreaKey != t.areas.ARS(e.Area).String() {
		x.areaKey = a.text(e.AreaKey)
	}
	if e.Lang != "de" {
		x.lang = a.id(e.Lang)
	}
	if e.Role != "01" {
		x.role = a.text(e.Role)
	}
	x.othersAt, x.othersN = uint32(len(t.policy.others)+len(f.others)), uint32(len(e.Others))
	for _, o := range e.Others {
		lang := o.Lang
		if lang == "de" {
			lang = ""
		}
		f.others = append(f.others, otherURL{a.id(lang), a.text(o.URL)})
	}
	h := traits{backend: uint32(d.backend), source: uint16(e.Source), flags: d.flags}
	if d.span != index.Always {
		h.valid = put(t.valid, &f.valid, d.span)
	}
	r.extra, r.traits = put(t.policy.extra, &f.extra, x), put(t.traits, &f.traits, h)
	f.rows = append(f.rows, r)
	end := f.first + uint32(len(f.rows))
	if n := len(f.groups); n > 0 && f.groups[n-1].leistung == e.Leistung && f.groups[n-1].area == r.area {
		f.groups[n-1].end = end
		return
	}
	f.groups = append(f.groups, foundGroup{e.Leistung, r.area, end - 1, end})
}
