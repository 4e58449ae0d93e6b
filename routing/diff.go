// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"bytes"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// Diff says what becomes of every pair of a Leistung and a plot of land between two moments: of two tables, or of one
// table at two times. The answer is that of asking [Table.Resolve] and [Table.AppendURL] for each pair at both moments and
// comparing, which would be a hundred million questions; sweep says why far fewer do.
//
// Compared are all Leistungen of [Table.Leistungen], of the catalogues and of overrides, in German, from one sender. Areas
// above Gemeinde are not asked about: their answers follow from those inside (R12).

// DiffOptions say how two moments are compared.
type DiffOptions struct {
	Sender   string // who asks; "" = direct
	Examples int    // for each flow; at most one of each Leistung

	// Each, if set, gets every change, in the order of Leistungen. An error ends the comparison.
	Each func(*Change) error
}

// ChangeKind is what becomes of a pair.
type ChangeKind uint8

// The kinds. The first that applies is a pair's.
const (
	Unchanged       ChangeKind = iota
	Moved                      // another backend at another address
	Renamed                    // another backend at the same address: the host is another backend's now
	Readdressed                // the same backend at another address, or by a page instead of a service or vice versa
	BecameAmbiguous            // several targets, as before there were not
	Appeared                   // a target where there was none
	Vanished                   // none where there was one
	OtherReason                // none before and after, for another reason
)

// ChangeKinds is one more than the largest kind.
const ChangeKinds = int(OtherReason) + 1

var changeWords = [ChangeKinds]string{
	Moved: "moved", Renamed: "renamed", Readdressed: "readdressed", BecameAmbiguous: "ambiguous", Appeared: "appeared",
	Vanished: "vanished", OtherReason: "reason",
}

// String is the word of reports.
func (k ChangeKind) String() string { return changeWords[k] }

// MarshalText writes the word.
func (k ChangeKind) MarshalText() ([]byte, error) { return []byte(changeWords[k]), nil }

// Change is what becomes of one Leistung on neighbouring plots.
type Change struct {
	Kind     ChangeKind
	Leistung registry.Leistung
	From, To string // the backend, or the reason why there is none
	Plots    []Plot // valid during the call
}

// comparison is the state of one Diff.
type comparison struct {
	o        DiffOptions
	old, new Moment
	p        *plots
	turns    *turnSet
	lands    []uint32 // the Bund and the Länder, by old id
	backends []BackendID
	seeds    []uint64
	report   *reporter

	before, after Query // the question of the moment
	buf           [2][]byte
}

// compared is what two answers are to each other.
type compared struct {
	kind     ChangeKind
	varies   bool // the next plot's addresses may compare otherwise, though its answers are the same
	old, new Decision
}

// Diff compares two moments. Nothing is looked up.
func Diff(old, new Moment, o DiffOptions) (*Difference, error) {
	old.Table, new.Table = old.Table.Bulk(), new.Table.Bulk()
	c := &comparison{o: o, old: old, new: new, p: layOut(old, new), lands: old.Table.lands(), turns: newTurnSet(old.Table.areas)}
	c.before = Query{At: old.At, Sender: o.Sender}
	c.after = Query{At: new.At, Sender: o.Sender}
	c.seeds = splits(old.Table, new.Table)
	for id := range BackendID(old.Table.Backends()) {
		c.backends = append(c.backends, new.Table.backendNamed(old.Table.BackendName(id)))
	}
	c.report = newReporter(c)
	asked := questions(old.Table, new.Table)
	for _, l := range asked {
		c.leistung(l)
		if c.report.err != nil {
			return nil, c.report.err
		}
	}
	return c.report.done(len(asked)), nil
}

// leistung compares all pairs of a Leistung.
func (c *comparison) leistung(l registry.Leistung) {
	c.before.Leistung, c.after.Leistung = l, l
	s := c.turns
	s.scratch = append(s.scratch, c.lands...)
	s.scratch = c.old.Table.appendTurnsOf(s.scratch, l, c.o.Sender)
	s.add(nil)
	s.scratch = c.new.Table.appendTurnsOf(s.scratch, l, c.o.Sender)
	s.add(c.p.toOld)
	sweep(s.take(), c.p.within, c.compare, c.emit)
	for n := c.p.plain; int(n) < len(c.p.list); n++ {
		c.emit(n, n+1, c.compareAlone(n))
	}
}

// emit takes down a run of plots that have the same answers.
func (c *comparison) emit(first, end uint32, r compared) {
	switch {
	case r.varies && end-first > 1:
		for n := first; n < end; n++ {
			c.emit(n, n+1, c.compareAlone(n))
		}
	case r.kind != Unchanged:
		c.report.add(first, end, &r)
	}
}

// compare compares a plot's answers, for others that have the same.
func (c *comparison) compare(number uint32) (r compared) {
	for _, seed := range c.seeds {
		if r = c.ask(number, seed); r.kind != Unchanged || r.varies || !c.isSplit(&r) {
			return r
		}
	}
	return r
}

// compareAlone compares the answers of one plot.
func (c *comparison) compareAlone(number uint32) (r compared) {
	for _, seed := range c.seeds {
		if r = c.ask(number, seed); r.kind != Unchanged || !c.isSplit(&r) {
			break
		}
	}
	r.varies = false
	return r
}

// isSplit says whether an answer depends on the request's place in a split.
func (c *comparison) isSplit(r *compared) bool {
	return c.old.Table.isSplit(&r.old) || c.new.Table.isSplit(&r.new)
}

func (t *Table) isSplit(d *Decision) bool {
	return d.Override >= 0 && slices.ContainsFunc(t.overrides, func(o override) bool { return o.id == d.Override && len(o.weights) > 0 })
}

// splits are the seeds at which some split of the tables goes over to its next backend, and 0.
func splits(tables ...*Table) []uint64 {
	seeds := []uint64{0}
	for _, t := range tables {
		for i := range t.overrides {
			for _, p := range t.overrides[i].weights {
				if p.below < 100 {
					seeds = append(seeds, uint64(p.below))
				}
			}
		}
	}
	slices.Sort(seeds)
	return slices.Compact(seeds)
}

// ask asks both tables.
func (c *comparison) ask(number uint32, seed uint64) (r compared) {
	x := &c.p.list[number]
	c.before.Area, c.before.Seed = x.Old, seed
	c.after.Area, c.after.Seed = x.New, seed
	r.old, r.new = c.old.Table.answer(&c.before), c.new.Table.answer(&c.after)
	switch from, to := r.old.Verdict, r.new.Verdict; {
	case from == Handover && to == Handover:
		c.targets(&r)
	case from == to:
	case to == Ambiguous:
		r.kind = BecameAmbiguous
	case to == Handover:
		r.kind = Appeared
	case from == Handover:
		r.kind = Vanished
	default:
		r.kind = OtherReason
	}
	return r
}

// noSuchArea is the verdict on [NoArea], which no table gives.
const noSuchArea Verdict = 0

func (t *Table) answer(q *Query) Decision {
	if q.Area == NoArea {
		return Decision{Verdict: noSuchArea, Backend: NoBackend, Row: NoRow, Override: -1}
	}
	return t.Resolve(q)
}

// targets compares two targets.
func (c *comparison) targets(r *compared) {
	same := r.old.Kind == r.new.Kind
	if same {
		same, r.varies = c.sameAddress(&r.old, &r.new)
	}
	switch named := c.backends[r.old.Backend] == r.new.Backend; {
	case same && !named:
		r.kind = Renamed
	case !named:
		r.kind = Moved
	case !same:
		r.kind = Readdressed
	}
}

// sameAddress compares the addresses of the present question's targets. It varies from plot to plot where a template is
// filled in, unless it is the same one on both sides.
func (c *comparison) sameAddress(old, new *Decision) (same, varies bool) {
	var errs [2]error
	c.buf[0], errs[0] = c.old.Table.AppendURL(c.buf[0][:0], &c.before, old)
	c.buf[1], errs[1] = c.new.Table.AppendURL(c.buf[1][:0], &c.after, new)
	same = errs[0] == nil && errs[1] == nil && bytes.Equal(c.buf[0], c.buf[1])
	from, to := c.old.Table.templateOf(old), c.new.Table.templateOf(new)
	return same, (from != "" || to != "") && !(same && from == to && old.Key == new.Key)
}

// templateOf is the template that a target's address is made of, "" for a literal one.
func (t *Table) templateOf(d *Decision) string {
	url, _ := t.address("", d)
	if !url.isTemplate() {
		return ""
	}
	text, _ := t.addressText(url)
	return text
}

// backendNamed finds a backend of either sort by name, NoBackend if there is none.
func (t *Table) backendNamed(name string) BackendID {
	if id, ok := t.byName[name]; ok {
		return id
	}
	implicit := t.backends[t.nConf:] // by name
	i, ok := slices.BinarySearchFunc(implicit, name, func(b backend, name string) int { return strings.Compare(b.name, name) })
	if !ok {
		return NoBackend
	}
	return BackendID(t.nConf + i)
}
