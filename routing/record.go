// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// recorder takes down every row of the chain while a decision is made. A nil recorder costs a comparison per row.
type recorder struct {
	rows     []recorded
	keys     []registry.Leistung // tried
	result   result
	won      bool
	override bool // one answered
	verdict  Verdict
	differs  bool   // the answer differs inside the asked area
	inside   inside // what makes it differ
}

// recorded is one row as the walk saw it.
type recorded struct {
	row    uint32
	native uint32 // area
	area   uint32 // effective
	depth  uint8
	key    uint8 // place in the walker's keys
	alias  bool
	why    Why
	ended  int64 // WhyExpired: Unix nanoseconds
	rank   uint64
}

// add takes down one row.
func (rec *recorder) add(w *walker, row uint32, why Why, ended int64, c *cursor) {
	rec.rows = append(rec.rows, recorded{
		row: row, native: c.native, area: c.area, depth: w.t.places.At(c.area).Depth(), key: uint8(w.nKeys - 1), alias: c.alias,
		why: why, ended: ended, rank: w.t.rank(row, w.t.traitsOf(row), c.alias),
	})
}

// done takes down what the walk found.
func (rec *recorder) done(w *walker, r *result, won bool) {
	if rec != nil {
		rec.keys = append(rec.keys, w.keys[:w.nKeys]...)
		rec.result, rec.won = *r, won
	}
}

// overridden takes down that an override answered, with what the walk to its backend found.
func (rec *recorder) overridden(w *walker, r *result, won bool) {
	if rec != nil {
		rec.done(w, r, won)
		rec.override = true
	}
}

// coarse takes down that the area must be named more exactly, what would have been answered otherwise, and why (R12).
func (rec *recorder) coarse(d *Decision, in inside) {
	if rec != nil {
		rec.differs, rec.verdict, rec.inside = true, d.Verdict, in
	}
}

// dead says whether the row itself could not have answered whatever else there is.
func (r *recorded) dead() bool {
	return r.why == WhyNotYet || r.why == WhyExpired || r.why == WhyInactive
}

// closed says whether only the want of an adoption stood against the row.
func (r *recorded) closed() bool { return r.why == WhyNotJoined || r.why == WhyLeft }

// settle gives each row that could have won its outcome, and sorts the rows: winners first, then losers as [Loser]
// says.
func (rec *recorder) settle(t *Table, d *Decision) []settled {
	if !rec.differs {
		rec.verdict = d.Verdict
	}
	out := make([]settled, 0, len(rec.rows))
	for i := range rec.rows {
		r := &rec.rows[i]
		s := settled{recorded: *r, outcome: Lost, at: index.At{Row: r.row, Leistung: rec.keys[r.key], Area: r.native}}
		s.title = t.titleAt(s.at)
		s.url, _ = t.addressText(t.rowAddress(s.at))
		if r.why == WhyNone {
			s.outcome, s.why = rec.outcome(t, r)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b settled) int { return compareSettled(t, a, b) })
	if rec.verdict == Ambiguous {
		rec.tie(t, out)
	}
	for i := range out {
		if rec.differs && out[i].outcome != Lost {
			out[i].outcome = Withheld
		}
	}
	return out
}

// settled is a row with what became of it.
type settled struct {
	recorded
	outcome    Outcome
	at         index.At
	title, url string // as registered
}

// outcome of a row that could have won.
func (rec *recorder) outcome(t *Table, r *recorded) (Outcome, Why) {
	switch {
	case rec.verdict == Pending:
		return Withheld, WhyNone
	case !rec.won:
		return Lost, WhyOverride // without one, what can win wins
	}
	o, why := rec.compare(t, r)
	if rec.override && (o == Lost || t.traitsOf(r.row).backend != t.traitsOf(rec.result.row).backend) {
		return Lost, WhyOverride
	}
	return o, why
}

// compare sets a row against the winner (R8, R10).
func (rec *recorder) compare(t *Table, r *recorded) (Outcome, Why) {
	b := &rec.result
	switch {
	case int(r.key) != b.key:
		return Lost, WhyOtherKey
	case t.traitsOf(r.row).kind() != t.traitsOf(b.row).kind():
		return Lost, WhyPageAfterService
	case r.area != b.area:
		return Lost, WhyLessLocal
	case r.rank>>rankSource != b.rank>>rankSource:
		return Lost, WhySourceOrder
	case r.rank&rankAlias != b.rank&rankAlias:
		return Lost, WhyAlias
	case r.rank&rankGeneral != b.rank&rankGeneral:
		return Lost, WhyNotSpecialised
	case r.rank&rankRole != b.rank&rankRole:
		return Lost, WhyRole
	case r.rank != b.rank:
		return Lost, WhyPriority
	case rec.verdict == Ambiguous:
		return Tied, WhyNone
	case r.row != b.row:
		return Lost, WhySameTarget
	case rec.verdict == TargetRefused:
		return Refused, WhyNone
	}
	return Won, WhyNone
}

// tie keeps one row of each target among the tied ones; where all have one target, one for each value of what the
// backend requires (R11).
func (rec *recorder) tie(t *Table, rows []settled) {
	same := func(a, b *settled) bool { return t.sameTarget(a.at, b.at) }
	if !rec.result.tied {
		needs := t.backend(t.traitsOf(rec.result.row).backend).require
		same = func(a, b *settled) bool {
			oe, lb, od := t.contextOf(a.row)
			oe2, lb2, od2 := t.contextOf(b.row)
			return (needs&requireOE == 0 || oe == oe2) && (needs&requireLB == 0 || lb == lb2) && (needs&requireOD == 0 || od == od2)
		}
	}
	why := WhySameTarget
	if rec.override {
		why = WhyOverride // stands before R10's causes
	}
	for i := range rows {
		for j := range i {
			if rows[i].outcome == Tied && rows[j].outcome == Tied && same(&rows[i], &rows[j]) {
				rows[i].outcome, rows[i].why = Lost, why
			}
		}
	}
	slices.SortFunc(rows, func(a, b settled) int { return compareSettled(t, a, b) })
}

// tier puts winners before losers, and dead losers last.
func (s *settled) tier() int {
	switch {
	case s.outcome != Lost:
		return 0
	case !s.dead():
		return 1
	}
	return 2
}

// compareSettled is the order that Loser describes.
func compareSettled(t *Table, a, b settled) int {
	uncovered := func(s *settled) int {
		if s.closed() {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(a.tier(), b.tier()),
		cmp.Compare(a.key, b.key),
		cmp.Compare(t.traitsOf(a.row).kind(), t.traitsOf(b.row).kind()),
		cmp.Compare(uncovered(&a), uncovered(&b)),
		cmp.Compare(b.depth, a.depth), // the chain goes up
		cmp.Compare(a.rank, b.rank),
		strings.Compare(a.title, b.title),
		strings.Compare(a.url, b.url),
		cmp.Compare(a.row, b.row),
	)
}

// record is resolve with everything that was seen.
func (t *Table) record(q *Query) (Decision, []settled, *recorder) {
	rec := &recorder{}
	d := t.resolve(q, rec)
	return d, rec.settle(t, &d), rec
}

// Losers is Resolve with every row of the chain that did not win and why. It allocates.
func (t *Table) Losers(q *Query) (Decision, []Loser) {
	d, rows, _ := t.record(q)
	var losers []Loser
	for i := range rows {
		if rows[i].outcome == Lost {
			losers = append(losers, Loser{RowID(rows[i].row), rows[i].why})
		}
	}
	return d, losers
}
