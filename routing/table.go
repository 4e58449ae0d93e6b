// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"math"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Table is the compiled registry. Immutable, safe for concurrent use.
type Table struct {
	areas  *registry.Areas
	cat    *registry.Catalogue
	places []place  // by area id; the index's
	turned []uint32 // areas that a dated change touches, ascending (R4)

	index   index
	hot     []hotRow  // by row; the index's
	cold    []coldRow // by row
	extra   []extraRow
	valid   []span
	others  []otherURL
	origins []originBase
	strings stringTable

	templates []template
	backends  []backend // configured ones first
	byName    map[string]BackendID
	nConf     int
	sources   []string
	market    uint16 // the source of rows made by adoptions

	offers    []offer
	adoptions []adoption
	overrides []override // best rank first

	parentKey [18]bool // by Land; 17 = never
	help      [18]Help
}

// coldRow is read for templates, pages and explain.
type coldRow struct {
	title, oe, lb, od uint32 // strings
	extra             uint32 // into extra; 0 = nothing unusual
	line              uint32
	origin, col       uint16
}

// extraRow is what few rows have and many share.
type extraRow struct {
	areaKey, lang, role, refused uint32 // strings
	othersAt, othersN            uint32 // into others
	priority                     int32
	adoption                     int32 // into adoptions + 1; 0 = an entry
}

// otherURL is a further address of a row's target.
type otherURL struct{ lang, url uint32 }

// span is begin ≤ t < end in Unix nanoseconds.
type span struct{ begin, end int64 }

type originBase struct{ source, file string }

type rowFlags uint16

const (
	flagPage      rowFlags = 1 << iota
	flagInactive           // aktiv = nein
	flagBlocked            // the target is refused (R7)
	flagClosed             // the backend is closed (R9)
	flagAdopted            // made by an adoption (R9)
	flagGeneral            // not specialised: loses against Spezialisierung (R10)
	flagOtherRole          // role is not 01 (R10)
	flagPriority           // has a priority, in extra
	flagContext            // has oe, lb or od, in cold
	flagOthers             // has further languages or one that is not de, in extra
	flagNoBackend          // the target's host could not be read; always blocked
	flagTemplate           // the address is a template
	flagFollows            // the row before it is of the same group
)

// backend is a backend as the table knows it.
type backend struct {
	name    string
	hosts   []string // in lower case
	root    uint32   // address of its first host's "/", for an override without a row
	proxy   bool
	closed  bool
	require require
	owner   registry.AreaID
}

// require is the set of context ids that a backend's templates need (R11).
type require uint8

const (
	requireOE require = 1 << iota
	requireLB
	requireOD
)

// template is a parsed address of ours.
type template struct {
	t      registry.Template
	strict bool // a placeholder in path or fragment may be empty: check before answering (CONTRACT 13)
}

// offer is an EfA service (R9).
type offer struct {
	name, successor string
	live            bool // its backend is closed, and adoptions make rows
	backend         BackendID
	provider        registry.Provider
	span            span
	origin          registry.Origin
}

// adoption is one area set of an offer's adoption (R9).
type adoption struct {
	offer   int32
	without []uint32 // areas taken out, ascending
	origin  registry.Origin
}

// always is the validity of rows without dates.
var always = span{math.MinInt64, math.MaxInt64}

// nanos is t in Unix nanoseconds, at the ends of the range for what lies outside (years 1678 to 2262).
func nanos(t time.Time) int64 {
	const billion = 1_000_000_000
	switch s := t.Unix(); {
	case s <= math.MinInt64/billion:
		return math.MinInt64
	case s >= math.MaxInt64/billion:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// spanOf reads begin and end, of which zero times are open.
func spanOf(begin, end time.Time) span {
	s := always
	if !begin.IsZero() {
		s.begin = nanos(begin)
	}
	if !end.IsZero() {
		s.end = nanos(end)
	}
	return s
}

func (s span) has(at int64) bool { return s.begin <= at && at < s.end }

func (s span) and(o span) span { return span{max(s.begin, o.begin), min(s.end, o.end)} }

// times is the inverse of spanOf, in German time.
func (s span) times() (begin, end time.Time) {
	if s.begin != always.begin {
		begin = time.Unix(0, s.begin).In(registry.Berlin())
	}
	if s.end != always.end {
		end = time.Unix(0, s.end).In(registry.Berlin())
	}
	return begin, end
}

// Backends is the number of backends, implicit ones included.
func (t *Table) Backends() int { return len(t.backends) }

// Configured is the number of backends that Input named; their ids come first.
func (t *Table) Configured() int { return t.nConf }

// BackendName is the configured name, or the host of an implicit backend; "" for NoBackend.
func (t *Table) BackendName(id BackendID) string {
	if id < 0 {
		return ""
	}
	return t.backends[id].name
}

// BackendProxy says whether requests for the backend are forwarded.
func (t *Table) BackendProxy(id BackendID) bool { return id >= 0 && t.backends[id].proxy }

// BackendOwner is the area whose file defined the backend; the Bund for implicit ones.
func (t *Table) BackendOwner(id BackendID) registry.AreaID { return t.backends[id].owner }

// BackendByName finds a configured backend.
func (t *Table) BackendByName(name string) (BackendID, bool) {
	id, ok := t.byName[name]
	return id, ok
}

// Closed says whether an offer names the backend (R9).
func (t *Table) Closed(id BackendID) bool { return id >= 0 && t.backends[id].closed }

// Areas is the table's Gemeindeverzeichnis.
func (t *Table) Areas() *registry.Areas { return t.areas }

// Catalogue is the table's list of Leistungen; it may be nil, which is an empty one.
func (t *Table) Catalogue() *registry.Catalogue { return t.cat }

// Rows is the number of rows, those made by adoptions included.
func (t *Table) Rows() int { return len(t.hot) }

// Leistungen are the keys that have rows, ascending.
func (t *Table) Leistungen() []registry.Leistung {
	list := make([]registry.Leistung, len(t.index.order))
	for i := range list {
		list[i] = t.index.leistung(i)
	}
	return list
}

// Title of a Leistung: the catalogue's, else that of its first row that has one, else "".
func (t *Table) Title(l registry.Leistung) string {
	if s := t.cat.Title(l); s != "" {
		return s
	}
	n := t.index.find(l)
	if n == none || l.IsZero() {
		return ""
	}
	b := &t.index.blocks[n]
	for r := b.r0; r < b.r1; r++ {
		if n := t.cold[r].title; n != 0 {
			return t.strings.at(n)
		}
	}
	return ""
}

// Row describes one row. It allocates.
func (t *Table) Row(id RowID) Row {
	h, c := t.index.traitsOf(uint32(id)), &t.cold[id]
	x := &t.extra[c.extra]
	r := Row{
		ID:          id,
		Leistung:    t.index.blockOf(uint32(id)).key,
		Area:        registry.AreaID(t.hot[id].area),
		AreaKey:     t.strings.at(x.areaKey),
		Kind:        h.kind(),
		Backend:     h.backendID(),
		Title:       t.strings.at(c.title),
		Lang:        t.strings.at(x.lang),
		Inactive:    h.flags&flagInactive != 0,
		Role:        t.strings.at(x.role),
		Specialised: h.flags&flagGeneral == 0,
		Priority:    int(x.priority),
		OE:          t.strings.at(c.oe),
		LB:          t.strings.at(c.lb),
		OD:          t.strings.at(c.od),
		Source:      int(h.source),
		Refused:     t.strings.at(x.refused),
		Origin: registry.Origin{
			Source: t.origins[c.origin].source, File: t.origins[c.origin].file, Line: int32(c.line), Col: int32(c.col),
		},
	}
	r.URL, r.Template = t.addressText(t.hot[id].url)
	r.Begin, r.End = t.valid[h.valid].times()
	if r.AreaKey == "" {
		r.AreaKey = t.areas.ARS(r.Area).String()
	}
	if r.Role == "" {
		r.Role = "01"
	}
	if r.Lang == "" {
		r.Lang = "de"
	}
	if x.adoption > 0 {
		r.Offer = t.offers[t.adoptions[x.adoption-1].offer].name
	}
	return r
}

func (h *traits) kind() registry.Kind {
	if h.flags&flagPage != 0 {
		return registry.Page
	}
	return registry.Service
}

func (h *traits) backendID() BackendID {
	if h.flags&flagNoBackend != 0 {
		return NoBackend
	}
	return BackendID(h.backend)
}

// needsCover says whether the row answers only where an adoption opens its backend (R9).
func (h *traits) needsCover() bool { return h.flags&(flagClosed|flagAdopted) == flagClosed }
