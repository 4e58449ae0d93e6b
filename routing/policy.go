// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// A table has its rows in two parts: those of sources in an index, which snapshots share, and those of operators and of
// adoptions, the policy, which is made anew at each reload. The ids of the policy's rows follow the index's. Where both
// have rows at one area, the policy's are looked at first; what decides is in the rows.
const (
	partPolicy = iota
	partIndex
	partFound // what look-ups have found (R15), see lookup.go; it is last, so that a walk may leave it out
	parts
)

// policy is the rows that operators' files make.
type policy struct {
	grid   *index.Grid
	first  uint32 // id of the first row
	rows   []policyRow
	extra  []extraRow
	others []otherURL
	blocks []policyBlock // by block of grid
}

// policyRow is a row as operators wrote it, or what an adoption makes of an offer at one area.
type policyRow struct {
	leistung          registry.Leistung
	area              uint32
	traits            uint32 // into Table.traits
	url               uint32 // address, see address.go
	title             uint32 // string
	oe, lb, od        uint32 // ids, see Table.id
	extra             uint32 // into extra; 0 = nothing unusual
	origin, line, col uint32
}

// extraRow is what few rows have and many share.
type extraRow struct {
	areaKey, role, refused uint32 // strings
	lang                   uint32 // id
	othersAt, othersN      uint32 // into others
	priority               int32
	adoption               int32 // into adoptions + 1; 0 = an entry
}

// otherURL is a further address of a row's target: id and address.
type otherURL struct{ lang, url uint32 }

// policyBlock is what the rows of one Leistung have in common.
type policyBlock struct {
	first, end uint32 // rows
	adopted    bool   // has rows made by adoptions
	open       bool   // has rows that need no adoption's cover, the adoptions' own among them
	uniform    uint32 // a service, if all lead to one target, open to everybody; else none
}

// none is the block, group or row that is not there.
const none = index.None

const (
	gemeinde = index.Gemeinde // depth
	nDepths  = gemeinde + 1
)

// traits are what every decision reads of a row. Rows that agree share them: a million rows have a few thousand, which
// stay in a core's cache.
type traits struct {
	backend uint32
	valid   uint32 // into Table.valid; 0 = open
	source  uint16 // order of trust
	flags   rowFlags
}

type rowFlags uint16

const (
	flagPage      rowFlags = 1 << iota
	flagInactive           // aktiv = nein
	flagBlocked            // the target is refused (R7)
	flagClosed             // the backend is closed (R9)
	flagAdopted            // made by an adoption (R9)
	flagGeneral            // not specialised: loses against Spezialisierung (R10)
	flagOtherRole          // role is not 01 (R10)
	flagPriority           // has a priority, beside
	flagContext            // has oe, lb or od, beside
	flagOthers             // has further languages or one that is not de, beside
	flagNoBackend          // the target's host could not be read; always blocked
	flagTemplate           // the address is a template
)

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

// blocks are the numbers of a Leistung's blocks in both parts.
type blocks [parts]uint32

func (b blocks) none() bool { return b[partPolicy]&b[partIndex]&b[partFound] == none }

// find gives the blocks of a Leistung.
func (t *Table) find(l registry.Leistung) blocks {
	h := index.Hash(l)
	return blocks{t.policy.grid.FindHash(l, h), t.index.FindHash(l, h), t.found.find(l)}
}

// grid says where a part has rows, not that of look-ups.
func (t *Table) grid(part int) *index.Grid {
	if part == partPolicy {
		return t.policy.grid
	}
	return &t.index.Grid
}

// exact gives the group of a block at an area.
func (t *Table) exact(part int, block, id uint32) (group uint32) {
	switch {
	case block == none:
		return none
	case part == partPolicy:
		return t.policy.grid.Exact(block, id)
	case part == partFound:
		return t.found.exact(block, id)
	}
	return t.index.Exact(block, id)
}

// around gives the deepest group of a block at an area that contains id, and that area.
func (t *Table) around(part int, block, id uint32) (group, area uint32) {
	switch part {
	case partPolicy:
		return t.policy.grid.Around(block, id)
	case partFound:
		return t.found.around(t.places, block, id)
	}
	return t.index.Around(block, id)
}

// rows gives the rows of a group: first ≤ r < end.
func (t *Table) rows(part int, group uint32) (first, end uint32) {
	switch part {
	case partPolicy:
		return t.policy.of(group)
	case partFound:
		return t.found.of(group)
	}
	return t.index.Rows(group)
}

func (p *policy) of(group uint32) (first, end uint32) {
	from, to := p.grid.Rows(group)
	first = p.first + p.grid.Value(from)
	return first, first + to - from
}

// own is a row of the policy, or of a look-up; nil if it is the index's.
func (t *Table) own(row uint32) *policyRow {
	if row < t.policy.first {
		return nil
	}
	return element(t.policy.rows, t.found.rows, row-t.policy.first)
}

func (t *Table) traitsOf(row uint32) *traits {
	if row < t.policy.first {
		return &t.traits[t.index.TraitsOf(row)]
	}
	return element(t.traits, t.found.traits, t.own(row).traits)
}

// spanOf is when a row is live by its dates.
func (t *Table) spanOf(h *traits) *span { return element(t.valid, t.found.valid, h.valid) }

// text is a text of the policy, or of a look-up.
func (t *Table) text(n uint32) string {
	if own := uint32(t.strings.len()); n >= own {
		return t.found.texts[n-own]
	}
	return t.strings.at(n)
}

// backend is one of the table's, not NoBackend.
func (t *Table) backend(id uint32) *backend { return element(t.backends, t.found.backends, id) }

// extraOf is the extra of a row that is not the index's.
func (t *Table) extraOf(r *policyRow) *extraRow {
	return element(t.policy.extra, t.found.extra, r.extra)
}

// othersOf are the further addresses of such a row.
func (t *Table) othersOf(x *extraRow) []otherURL {
	if own := uint32(len(t.policy.others)); x.othersAt >= own {
		at := x.othersAt - own
		return t.found.others[at : at+x.othersN]
	}
	return t.policy.others[x.othersAt : x.othersAt+x.othersN]
}

// priorityOf is the priority of a row with flagPriority.
func (t *Table) priorityOf(row uint32) int32 {
	if r := t.own(row); r != nil {
		return t.extraOf(r).priority
	}
	return t.index.Extra(row).Priority
}

// contextOf are the ids of a row (R11).
func (t *Table) contextOf(row uint32) (oe, lb, od uint32) {
	if r := t.own(row); r != nil {
		return r.oe, r.lb, r.od
	}
	c := t.index.Context(row)
	return c.OE, c.LB, c.OD
}

// id is the text of an id: the index's come first.
func (t *Table) id(n uint32) string {
	if own := t.index.IDs(); n >= own {
		return t.text(n - own)
	}
	return t.index.ID(n)
}

// sameTarget says whether two rows lead to the same place (R10). A refused target is not the same as one that may be
// used.
func (t *Table) sameTarget(a, b index.At) bool {
	if h, o := t.traitsOf(a.Row), t.traitsOf(b.Row); h.backend != o.backend || (h.flags^o.flags)&flagBlocked != 0 {
		return false
	}
	r, s := t.own(a.Row), t.own(b.Row)
	switch {
	case r != nil && s != nil:
		return r.url == s.url || len(t.found.texts) > 0 && (r.url|s.url)&isTemplate == 0 && t.text(r.url) == t.text(s.url)
	case r != nil:
		return r.url&isTemplate == 0 && t.index.HasURL(b, t.text(r.url))
	case s != nil:
		return s.url&isTemplate == 0 && t.index.HasURL(a, t.text(s.url))
	}
	return t.index.SameURL(a, b)
}

// titleAt is a row's title as registered.
func (t *Table) titleAt(at index.At) string {
	if r := t.own(at.Row); r != nil {
		return t.text(r.title)
	}
	return t.index.Text(t.index.Record(at.Row).Title, at.Leistung, at.Area)
}

// refusedAt is why a row's target is refused (R7), "" if it is not.
func (t *Table) refusedAt(at index.At) string {
	if r := t.own(at.Row); r != nil {
		return t.text(t.extraOf(r).refused)
	}
	if t.traitsOf(at.Row).flags&flagBlocked == 0 {
		return ""
	}
	if n := t.index.Extra(at.Row).Refused; n != 0 {
		return t.index.Text(n, at.Leistung, at.Area)
	}
	e := t.index.EntryAt(at)
	return t.whyRefused(at.Row, &e)
}
