// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"iter"
	"slices"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// Table is the compiled registry. Immutable, safe for concurrent use.
type Table struct {
	areas  *registry.Areas
	cat    *registry.Catalogue
	places *index.Places
	turned []uint32 // areas that a dated change touches, ascending (R4)

	index   *index.Index // the sources' rows
	policy  policy       // the operators' rows
	found   found        // what look-ups have found for one question; it continues the lists of the table
	traits  []traits     // the index's, then the policy's own
	valid   []span       // likewise
	strings stringTable  // the policy's
	origins []originBase // the policy's

	templates []template
	backends  []backend // configured ones first
	byName    map[string]BackendID
	nConf     int
	selfHosts []string // in lower case
	sources   []string
	market    uint16           // the source of rows made by adoptions
	hosts     map[string]int32 // whose they are, by host (R16)
	lookups   []int            // places of the sources that are asked for one key at a time (R15)

	offers    []offer
	adoptions []adoption
	overrides []override // best rank first

	parentKey [18]bool // by Land; 17 = never
	help      [18]Help
}

// span is begin ≤ t < end in Unix nanoseconds.
type span = index.Span

type originBase struct{ source, file string }

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
	// destination says that FIT-Connect has to be asked before it is filled.
	destination bool
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

// Backends is the number of backends, implicit ones included.
func (t *Table) Backends() int { return len(t.backends) + len(t.found.backends) }

// Configured is the number of backends that Input named; their ids come first.
func (t *Table) Configured() int { return t.nConf }

// BackendName is the configured name, or the host of an implicit backend; "" for NoBackend.
func (t *Table) BackendName(id BackendID) string {
	if id < 0 {
		return ""
	}
	return t.backend(uint32(id)).name
}

// BackendProxy says whether requests for the backend are forwarded.
func (t *Table) BackendProxy(id BackendID) bool { return id >= 0 && t.backend(uint32(id)).proxy }

// BackendOwner is the area whose file defined the backend; the Bund for implicit ones.
func (t *Table) BackendOwner(id BackendID) registry.AreaID { return t.backend(uint32(id)).owner }

// BackendByName finds a configured backend.
func (t *Table) BackendByName(name string) (BackendID, bool) {
	id, ok := t.byName[name]
	return id, ok
}

// Closed says whether an offer names the backend (R9).
func (t *Table) Closed(id BackendID) bool { return id >= 0 && t.backend(uint32(id)).closed }

// Areas is the table's Gemeindeverzeichnis.
func (t *Table) Areas() *registry.Areas { return t.areas }

// Catalogue is the table's list of Leistungen; it may be nil, which is an empty one.
func (t *Table) Catalogue() *registry.Catalogue { return t.cat }

// Types of a Leistung, as the catalogue and the sources know them (R13).
func (t *Table) Types(l registry.Leistung) registry.Types { return t.cat.Types(l) | t.index.Types(l) }

// Rows is the number of rows, those made by adoptions included.
func (t *Table) Rows() int { return t.index.Len() + len(t.policy.rows) }

// RowsTo describes all rows to some backends, NoBackend among them where a URL cannot be read.
func (t *Table) RowsTo(backend func(BackendID) bool) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for row, e := range t.index.Where(func(n uint32) bool { return backend(t.traits[n].backendID()) }) {
			if !yield(t.indexRow(row, &e)) {
				return
			}
		}
		for i := range t.policy.rows {
			if row := t.policy.first + uint32(i); backend(t.traitsOf(row).backendID()) && !yield(t.policyRow(row)) {
				return
			}
		}
	}
}

// Leistungen are the keys that have rows, ascending.
func (t *Table) Leistungen() []registry.Leistung { return slices.Collect(t.leistungenFrom(0)) }

// leistungenFrom gives the keys that have rows from a number on.
func (t *Table) leistungenFrom(key uint64) iter.Seq[registry.Leistung] {
	return func(yield func(registry.Leistung) bool) {
		a, b := t.policy.grid.From(key), t.index.From(key)
		for int(a) < t.policy.grid.Blocks() || int(b) < t.index.Blocks() {
			var l registry.Leistung
			switch {
			case int(b) == t.index.Blocks():
				l, a = t.policy.grid.Leistung(a), a+1
			case int(a) == t.policy.grid.Blocks():
				l, b = t.index.Leistung(b), b+1
			default:
				own, other := t.policy.grid.Leistung(a), t.index.Leistung(b)
				l = own
				switch own.Compare(other) {
				case -1:
					a++
				case 0:
					a, b = a+1, b+1
				default:
					l, b = other, b+1
				}
			}
			if !yield(l) {
				return
			}
		}
	}
}

// Title of a Leistung: the catalogue's, else that of its first row that has one, else "".
func (t *Table) Title(l registry.Leistung) string {
	if s := t.cat.Title(l); s != "" || l.IsZero() {
		return s
	}
	at := t.find(l)
	if n := at[partPolicy]; n != none {
		b := &t.policy.blocks[n]
		for _, r := range t.policy.rows[b.first:b.end] {
			if r.title != 0 {
				return t.text(r.title)
			}
		}
	}
	if n := at[partIndex]; n != none {
		for area, group := range t.index.All(n) {
			for row, end := t.index.Rows(group); row < end; row++ {
				if text := t.index.Record(row).Title; text != 0 {
					return t.index.Text(text, l, area)
				}
			}
		}
	}
	return ""
}

// Row describes one row. It allocates.
func (t *Table) Row(id RowID) Row {
	if row := uint32(id); row >= t.policy.first {
		return t.policyRow(row)
	}
	e := t.index.Entry(uint32(id))
	return t.indexRow(uint32(id), &e)
}

func (t *Table) indexRow(row uint32, e *registry.Entry) Row {
	h := t.traitsOf(row)
	at := index.At{Row: row, Leistung: e.Leistung, Area: uint32(e.Area)}
	r := Row{
		ID: RowID(row), Leistung: e.Leistung, Area: e.Area, AreaKey: e.AreaKey, Kind: e.Kind, Backend: h.backendID(),
		URL: e.URL, Title: e.Title, Lang: e.Lang, Begin: e.Begin, End: e.End, Inactive: e.Inactive, Role: e.Role,
		Specialised: e.Specialised, Priority: e.Priority, OE: e.OE, LB: e.LB, OD: e.OD, Source: int(h.source), Origin: e.Origin,
		Refused: t.refusedAt(at),
	}
	t.fillDefaults(&r)
	return r
}

func (t *Table) policyRow(row uint32) Row {
	p := t.own(row)
	h, x, origin := t.traitsOf(row), t.extraOf(p), element(t.origins, t.found.origins, p.origin)
	r := Row{
		ID: RowID(row), Leistung: p.leistung, Area: registry.AreaID(p.area), AreaKey: t.text(x.areaKey), Kind: h.kind(),
		Backend: h.backendID(), Title: t.text(p.title), Lang: t.id(x.lang), Inactive: h.flags&flagInactive != 0,
		Role: t.text(x.role), Specialised: h.flags&flagGeneral == 0, Priority: int(x.priority),
		OE: t.id(p.oe), LB: t.id(p.lb), OD: t.id(p.od), Source: int(h.source), Refused: t.text(x.refused),
		Origin: registry.Origin{
			Source: origin.source, File: origin.file, Line: int32(p.line), Col: int32(p.col),
		},
	}
	r.URL, r.Template = t.addressText(t.rowAddress(index.At{Row: row}))
	r.Begin, r.End = t.spanOf(h).Times()
	if x.adoption > 0 {
		r.Offer = t.offers[t.adoptions[x.adoption-1].offer].name
	}
	t.fillDefaults(&r)
	return r
}

// fillDefaults writes what a row has where nothing was said.
func (t *Table) fillDefaults(r *Row) {
	if r.AreaKey == "" {
		r.AreaKey = t.areas.ARS(r.Area).String()
	}
	r.Role, r.Lang = cmp.Or(r.Role, "01"), cmp.Or(r.Lang, "de")
}
