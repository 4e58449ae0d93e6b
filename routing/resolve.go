// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Resolve decides. It does not allocate, except for addresses of more than 1 KiB.
func (t *Table) Resolve(q *Query) Decision { return t.resolve(q, nil) }

// resolve is the one place where a decision is made. The recorder, if any, sees every row of the chain; it never
// changes what is decided.
//
//  1. An override that matches answers and ends it (R6).
//  2. A local key without an area needs one (R12).
//  3. The walk finds the deepest service, else the deepest page (R8–R10), or nothing. A key for which it finds no service
//     has to be looked up before anything else may answer, if there are sources for that (R15).
//  4. For an asked area above Gemeinde the answer must hold everywhere inside (R12).
//  5. What won is checked once more: one target, not refused, its context complete (R7, R10, R11). What did not win
//     has its reason (R13).
func (t *Table) resolve(q *Query, rec *recorder) Decision {
	if q.Leistung.IsZero() {
		return nothing(q, UnknownLeistung)
	}
	var w walker
	w.ask(t, q, rec)
	coarse := t.places.At(uint32(q.Area)).Depth() != gemeinde
	if i := w.matching(q, 0); i >= 0 {
		d, r, won := w.answer(q, i)
		if coarse && w.differs(q, &d, &r, won, i) {
			rec.coarse(&d, w.found)
			return nothing(q, AreaRequired)
		}
		return d
	}
	if q.Area == registry.Bund && !q.Leistung.Federal() {
		return nothing(q, AreaRequired)
	}
	w.looks = len(t.lookups) > 0 && !coarse
	var r result
	won := w.walk(q.Leistung, &r)
	rec.done(&w, &r, won)
	var d Decision
	if w.waits() {
		d = nothing(q, Pending)
		d.Key = w.pending
		return d
	}
	if won {
		w.decide(q, &r, &d)
	} else {
		d = nothing(q, NoRoute)
	}
	if coarse && (len(t.lookups) > 0 && w.unsaid(&r, won) || w.differs(q, &d, &r, won, -1)) {
		rec.coarse(&d, w.found)
		return nothing(q, AreaRequired)
	}
	if !won {
		w.reason(q, &d)
	}
	return d
}

// nothing is a decision without a target.
func nothing(q *Query, v Verdict) Decision {
	return Decision{Verdict: v, Backend: NoBackend, Key: q.Leistung, Area: q.Area, Row: NoRow, Override: -1}
}

// decide turns what won the walk into a decision.
func (w *walker) decide(q *Query, r *result, d *Decision) {
	t, h := w.t, r.traits
	*d = Decision{
		Verdict: Handover, Kind: h.kind(), Backend: h.backendID(), Key: w.keys[r.key], Area: registry.AreaID(r.area),
		Row: RowID(r.row), Override: -1, native: r.native, oe: r.oe.get(), lb: r.lb.get(), od: r.od.get(),
	}
	switch {
	case r.missed:
		d.Note = NoteNotJoined
	case r.key == 0:
	case d.Key == t.successor(q.Leistung):
		d.Note = NoteSuccessor
	default:
		d.Note = NoteParent
	}
	switch {
	case r.tied:
		d.Verdict = Ambiguous
	case h.flags&flagBlocked != 0:
		d.Verdict = TargetRefused
	case h.flags&flagTemplate != 0 && t.backend(h.backend).require&^d.context() != 0:
		d.Verdict = Ambiguous
	case h.flags&(flagTemplate|flagOthers) != 0 && !t.fillable(q, d):
		d.Verdict = TargetRefused
	}
}

// context is the set of context ids that the decision has (R11).
func (d *Decision) context() (have require) {
	if d.oe != 0 {
		have |= requireOE
	}
	if d.lb != 0 {
		have |= requireLB
	}
	if d.od != 0 {
		have |= requireOD
	}
	return have
}

// reason says why there is nothing (R13); area_required has been asked before.
func (w *walker) reason(q *Query, d *Decision) {
	switch {
	case w.facts.notJoined:
		d.Verdict = NotJoined
	case w.facts.anyEnded:
		d.Verdict, d.Ended = Expired, w.facts.ended/int64(time.Second)
	case w.t.Types(q.Leistung).NotAnApplication():
		d.Verdict = NotAnApplication
	case !w.facts.known:
		d.Verdict = UnknownLeistung
	}
}

// matching gives the best override that matches from place i on, -1 if none does (R6).
func (w *walker) matching(q *Query, i int) int {
	for ; i < len(w.t.overrides); i++ {
		o := &w.t.overrides[i]
		if o.applies(q, w.at) && w.in(o.area) {
			return i
		}
	}
	return -1
}

// applies says whether an override is about this question, wherever it is asked.
func (o *override) applies(q *Query, at int64) bool {
	return o.span.Has(at) && (o.sender == "" || o.sender == q.Sender) && o.about(q.Leistung)
}

// answer is what an override says. One that names a backend takes the address from the best row that leads there, so
// that it can pin one of several equal targets; r and won are of that walk. Where no row does, a proxied backend gets
// the path that the walk would have given another proxied one, which is what a canary needs; failing that, the
// backend's root.
func (w *walker) answer(q *Query, i int) (d Decision, r result, won bool) {
	t, o := w.t, &w.t.overrides[i]
	free := *w // walks as if there were no override
	w.rec = nil
	d = nothing(q, Handover)
	d.Area, d.Override = registry.AreaID(o.area), o.id
	switch b := o.pick(q.Seed); {
	case o.gone != "":
		d.Verdict = Gone
	case o.url != 0:
		d.Backend, d.url = o.backend, o.url
	default:
		w.only = b
		if won = w.walk(q.Leistung, &r); won {
			w.decide(q, &r, &d)
			d.Override, d.Note = o.id, NoteNone
		} else {
			d.Backend, d.url = b, t.backend(uint32(b)).root
		}
	}
	wantsPath := d.Verdict == Handover && !won && o.url == 0 && t.BackendProxy(d.Backend)
	if wantsPath || free.rec != nil {
		var f result
		found := free.walk(q.Leistung, &f)
		free.rec.overridden(&free, &r, won)
		if wantsPath && found && !f.tied {
			t.takePath(&d, &f, free.keys[f.key])
		}
	}
	if d.Verdict == Handover && (t.urlOf(&d) == address{} || !t.fillable(q, &d)) { // a backend without hosts and without a row
		d.Verdict = TargetRefused
	}
	return d, r, won
}

// takePath gives a decision for another proxied backend the path of what the walk found, if that has one.
func (t *Table) takePath(d *Decision, f *result, key registry.Leistung) {
	if own := t.own(f.row); own != nil && t.isPath(own.url) {
		d.Key, d.url = key, own.url
		d.oe, d.lb, d.od = f.oe.get(), f.lb.get(), f.od.get()
	}
}

// pick is the backend of an override; of a split, the part that the seed falls into.
func (o *override) pick(seed uint64) BackendID {
	for _, p := range o.weights {
		if uint8(seed%100) < p.below {
			return p.backend
		}
	}
	return o.backend
}

// isPath says whether an address of the policy is a path at a proxied backend.
func (t *Table) isPath(url uint32) bool {
	text, _ := t.addressText(address{n: url})
	return text != "" && text[0] == '/'
}

// leadsTo says whether a decision's address, before languages are looked at, is a literal of the policy.
func (t *Table) leadsTo(d *Decision, url uint32) bool {
	a := t.urlOf(d)
	if a.indexed {
		return t.index.HasURL(a.at, t.text(url))
	}
	return a.n == url
}
