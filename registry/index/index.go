// SPDX-License-Identifier: EUPL-1.2

package index

import (
	"iter"
	"math"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Index is the compiled rows of all bulk sources. Immutable, safe for concurrent use. The values of its [Grid] are
// numbers of records.
type Index struct {
	Grid
	areas   *registry.Areas
	digest  string // of the areas
	sources []string

	records  []Record
	traits   []Traits
	contexts []Context
	extras   []Extra
	others   []Other
	origins  []Origin
	spans    []Span
	texts    *texts
	ids      *ids
	types    []typed // by Leistung

	from provenance
	facts
}

// Record is what a row says, apart from its Leistung, area and line. Rows that agree share one. All numbers are into
// the index's slices of that name, those of texts are of keyed texts.
type Record struct {
	Traits  uint32
	URL     uint32 // text
	Title   uint32 // text
	Context uint32
	Extra   uint32
	Origin  uint32
}

// Traits are what every decision reads of a row. There are few of them.
type Traits struct {
	Span   uint32
	Hosts  uint32 // text: the URL's host, then others of further languages, each once, with spaces between; 0 = unreadable
	Source uint16 // into Sources
	Flags  Flags
}

// Flags are yes or no of a row.
type Flags uint16

// The flags.
const (
	Page       Flags = 1 << iota
	Inactive         // aktiv = nein
	Refused          // the target cannot be used, and Extra says why (R7)
	General          // not specialised: loses against Spezialisierung (R10)
	OtherRole        // role is not 01 (R10)
	Priority         // has a priority, in Extra
	HasContext       // has a Context
	HasOthers        // has further languages or one that is not de, in Extra
	Fragment         // one of its URLs has a fragment
	Keyed            // its URL has digits of its own Leistung or area: rows with an equal number lead to different places
	allFlags   = 1<<iota - 1
)

// Context are ids of the organisation unit, the Leistungsbeschreibung and the Onlinedienst (R11).
type Context struct{ OE, LB, OD uint32 }

// Extra is what few rows have and many share.
type Extra struct {
	AreaKey, Role, Refused uint32 // texts
	Lang                   uint32 // id
	OthersAt, OthersN      uint32 // into others
	Priority               int32
}

// Other is a further address of a row's target: an id and a text.
type Other struct{ Lang, URL uint32 }

// Origin is where rows were read.
type Origin struct{ Source, File uint32 }

// Span is Begin ≤ t < End in Unix nanoseconds.
type Span struct{ Begin, End int64 }

// Always is the validity of rows without dates.
var Always = Span{math.MinInt64, math.MaxInt64}

// Nanos is t in Unix nanoseconds, at the ends of the range for what lies outside (years 1678 to 2262).
func Nanos(t time.Time) int64 {
	const billion = 1_000_000_000
	switch s := t.Unix(); {
	case s <= math.MinInt64/billion:
		return math.MinInt64
	case s >= math.MaxInt64/billion:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// SpanOf reads begin and end, of which zero times are open.
func SpanOf(begin, end time.Time) Span {
	s := Always
	if !begin.IsZero() {
		s.Begin = Nanos(begin)
	}
	if !end.IsZero() {
		s.End = Nanos(end)
	}
	return s
}

// Has says whether a moment in Unix nanoseconds is in the span.
func (s Span) Has(at int64) bool { return s.Begin <= at && at < s.End }

// And is what two spans have in common; its end is not after its begin if that is nothing.
func (s Span) And(o Span) Span { return Span{max(s.Begin, o.Begin), min(s.End, o.End)} }

// Times is the inverse of SpanOf, in German time.
func (s Span) Times() (begin, end time.Time) {
	if s.Begin != Always.Begin {
		begin = time.Unix(0, s.Begin).In(registry.Berlin())
	}
	if s.End != Always.End {
		end = time.Unix(0, s.End).In(registry.Berlin())
	}
	return begin, end
}

// Areas are those that the index was built or read with.
func (x *Index) Areas() *registry.Areas { return x.areas }

// AreasDigest is [AreasDigest] of the areas.
func (x *Index) AreasDigest() string { return x.digest }

// Places are the areas as its grid has them.
func (x *Index) Places() *Places { return x.places }

// Sources are the names of the sources, of which Traits.Source is a place.
func (x *Index) Sources() []string { return x.sources }

// Traits of all rows, by their number.
func (x *Index) Traits() []Traits { return x.traits }

// Spans are the validities of all rows, by their number; number 0 is [Always].
func (x *Index) Spans() []Span { return x.spans }

// TraitsOf gives the number of a row's traits.
func (x *Index) TraitsOf(row uint32) uint32 { return x.records[x.Value(row)].Traits }

// Record of a row.
func (x *Index) Record(row uint32) *Record { return &x.records[x.Value(row)] }

// Extra of a row.
func (x *Index) Extra(row uint32) *Extra { return &x.extras[x.Record(row).Extra] }

// Context of a row.
func (x *Index) Context(row uint32) Context { return x.contexts[x.Record(row).Context] }

// Others of a row.
func (x *Index) Others(row uint32) []Other {
	e := x.Extra(row)
	return x.others[e.OthersAt : e.OthersAt+e.OthersN]
}

// IDs is the number of ids, of which contexts and languages are numbers; number 0 is the empty one.
func (x *Index) IDs() uint32 { return uint32(len(x.ids.off) - 1) }

// ID gives the text of an id, without a copy.
func (x *Index) ID(n uint32) string { return x.ids.at(n) }

// FindID gives the number of an id.
func (x *Index) FindID(s string) (uint32, bool) { return x.ids.find(s) }

// AppendText appends the text of a row at a native area. It does not allocate if dst has room.
func (x *Index) AppendText(dst []byte, text uint32, l registry.Leistung, area uint32) []byte {
	at := len(dst)
	dst = x.texts.append(dst, text)
	for _, c := range dst[at:] {
		if c < markEnd {
			return expand(dst, at, l, x.areas.ARS(registry.AreaID(area)))
		}
	}
	return dst
}

// Text is AppendText as a string.
func (x *Index) Text(text uint32, l registry.Leistung, area uint32) string {
	return string(x.AppendText(nil, text, l, area))
}

// Entry is what a row was made of, but for the column of its origin. It allocates.
func (x *Index) Entry(row uint32) registry.Entry {
	l, area := x.Locate(row)
	return x.EntryAt(At{row, l, area})
}

// Entries gives all rows with their ids, each Leistung's together.
func (x *Index) Entries() iter.Seq2[uint32, registry.Entry] {
	return x.Where(func(uint32) bool { return true })
}

// Where gives the rows of some numbers of traits.
func (x *Index) Where(traits func(uint32) bool) iter.Seq2[uint32, registry.Entry] {
	return func(yield func(uint32, registry.Entry) bool) {
		for b := range uint32(len(x.blocks)) {
			for area, group := range x.All(b) {
				for row, end := x.Rows(group); row < end; row++ {
					if traits(x.TraitsOf(row)) && !yield(row, x.EntryAt(At{row, x.blocks[b].Key, area})) {
						return
					}
				}
			}
		}
	}
}

// EntryAt is Entry of a row whose place is known.
func (x *Index) EntryAt(at At) registry.Entry {
	l, area, r := at.Leistung, at.Area, x.Record(at.Row)
	t, c, e := &x.traits[r.Traits], x.contexts[r.Context], &x.extras[r.Extra]
	text := func(n uint32) string { return x.Text(n, l, area) }
	out := registry.Entry{
		Leistung: l, Area: registry.AreaID(area), AreaKey: text(e.AreaKey), URL: text(r.URL),
		Title: text(r.Title), Lang: x.ID(e.Lang), Inactive: t.Flags&Inactive != 0, Role: text(e.Role),
		Specialised: t.Flags&General == 0, Priority: int(e.Priority), OE: x.ID(c.OE), LB: x.ID(c.LB), OD: x.ID(c.OD),
		Source: int(t.Source), Refused: text(e.Refused),
		Origin: registry.Origin{
			Source: text(x.origins[r.Origin].Source), File: text(x.origins[r.Origin].File), Line: int32(x.from.line(&x.Grid, at.Row)),
		},
	}
	if t.Flags&Page != 0 {
		out.Kind = registry.Page
	}
	out.Begin, out.End = x.spans[t.Span].Times()
	for _, o := range x.others[e.OthersAt : e.OthersAt+e.OthersN] {
		out.Others = append(out.Others, registry.LangURL{Lang: x.ID(o.Lang), URL: text(o.URL)})
	}
	return out
}
