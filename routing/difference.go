// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// Difference is what changes between two moments. Its JSON is described in docs/diff.md.
type Difference struct {
	Leistungen int `json:"leistungen"` // compared
	Gemeinden  int `json:"gemeinden"`  // plots compared
	Pairs      int `json:"pairs"`      // compared

	Changed  Tally      `json:"changed"`
	Kinds    []OfKind   `json:"kinds"`    // that occur
	Lands    []OfLand   `json:"laender"`  // where something changes
	Backends []OfName   `json:"backends"` // that gain or lose, biggest first
	Offers   []OfName   `json:"offers"`
	Flows    []Flow     `json:"flows"` // biggest first
	Hosts    []HostMove `json:"hosts"`
	Places   []OfPlace  `json:"places"` // Gemeinden that get another key, come or go
}

// Empty says whether nothing changes.
func (d *Difference) Empty() bool {
	return d.Changed.Pairs == 0 && len(d.Hosts) == 0 && len(d.Places) == 0
}

// Tally counts changes.
type Tally struct {
	Pairs       int `json:"pairs"`
	Gemeinden   int `json:"gemeinden"`   // with a change
	Inhabitants int `json:"inhabitants"` // of these, each once
}

// OfKind are the changes of one kind.
type OfKind struct {
	Kind ChangeKind `json:"kind"`
	Tally
}

// OfLand are the changes in a Land.
type OfLand struct {
	Land string `json:"land"` // two digits
	Name string `json:"name"`
	Tally
	Kinds map[ChangeKind]int `json:"kinds"` // pairs
}

// OfName is what a backend or an offer gains and loses.
type OfName struct {
	Name   string `json:"name"`
	Gained Tally  `json:"gained"`
	Lost   Tally  `json:"lost"`
}

// Flow are the changes of one kind from one answer to another.
type Flow struct {
	Kind ChangeKind `json:"kind"`
	From string     `json:"from"` // the backend, or the reason why there is none
	To   string     `json:"to"`
	Tally
	Examples []Example `json:"examples"`
}

// Example is one pair of a flow.
type Example struct {
	Leistung registry.Leistung `json:"leistung"`
	Title    string            `json:"title,omitempty"`
	Area     string            `json:"area"` // its key at the new moment, or at the old one if it is not there any more
	Name     string            `json:"name"`
	Old      string            `json:"old,omitempty"` // addresses
	New      string            `json:"new,omitempty"`
}

// HostMove are hosts that belong to another backend (R16).
type HostMove struct {
	From  string   `json:"from"`
	To    string   `json:"to"`
	Hosts []string `json:"hosts"`
	// Renamed says that the old moment has no backend To and the new one none From.
	Renamed bool `json:"renamed"`
	Pairs   int  `json:"pairs"` // that go from the one to the other at the same address
}

// OfPlace is a Gemeinde that gets another key, comes or goes (R4), with what that does to its Leistungen.
type OfPlace struct {
	Old         string `json:"old,omitempty"` // key
	New         string `json:"new,omitempty"`
	Name        string `json:"name"`
	Inhabitants int    `json:"inhabitants"`
	Pairs       int    `json:"pairs"` // that change
	Flows       []Flow `json:"flows"` // biggest first, without examples
}

// maxFlows bounds the flows that are told apart; what comes beyond is counted under "other".
const maxFlows = 50_000

// flowKey names a flow: backends by id, reasons as -1 - Verdict.
type flowKey struct {
	kind     ChangeKind
	from, to int32
}

const otherFlow = -1 - int32(Verdicts)

// counter counts pairs and notes the plots.
type counter struct {
	pairs int
	plots plotSet
}

func (n *counter) add(first, end uint32) {
	n.pairs += int(end - first)
	n.plots.add(first, end)
}

// sided is what one name gains and loses.
type sided struct{ gained, lost counter }

// reporter takes changes down.
type reporter struct {
	c        *comparison
	err      error
	all      counter
	kinds    [ChangeKinds]counter
	lands    [17][ChangeKinds]int
	flows    map[flowKey]*flow
	backends map[string]*sided
	offers   map[string]*sided
	places   map[uint32]map[flowKey]int // by number of a plot that is not plain
}

type flow struct {
	counter
	examples []Example
}

func newReporter(c *comparison) *reporter {
	return &reporter{
		c: c, flows: map[flowKey]*flow{}, backends: map[string]*sided{}, offers: map[string]*sided{}, places: map[uint32]map[flowKey]int{},
	}
}

// add takes down a change of neighbouring plots of the Leistung that is being compared. They lie in one Land.
func (r *reporter) add(first, end uint32, x *compared) {
	c := r.c
	r.all.add(first, end)
	r.kinds[x.kind].add(first, end)
	r.lands[c.p.land(first)][x.kind] += int(end - first)
	r.side(r.backends, c.old.Table.BackendName(x.target(&x.old)), c.new.Table.BackendName(x.target(&x.new)), first, end)
	r.side(r.offers, c.old.Table.offerOf(&x.old), c.new.Table.offerOf(&x.new), first, end)

	key := flowKey{x.kind, code(&x.old), code(&x.new)}
	f := r.flows[key]
	if f == nil && len(r.flows) >= maxFlows {
		key = flowKey{x.kind, otherFlow, otherFlow}
		f = r.flows[key]
	}
	if f == nil {
		f = &flow{}
		r.flows[key] = f
	}
	f.counter.add(first, end)
	if n := len(f.examples); n < c.o.Examples && (n == 0 || f.examples[n-1].Leistung != c.before.Leistung) {
		f.examples = append(f.examples, r.example(first, x))
	}
	for n := max(first, c.p.plain); n < end; n++ {
		if r.places[n] == nil {
			r.places[n] = map[flowKey]int{}
		}
		r.places[n][key]++
	}
	if c.o.Each != nil && r.err == nil {
		r.err = c.o.Each(&Change{
			Kind: x.kind, Leistung: c.before.Leistung, Plots: c.p.list[first:end],
			From: c.old.Table.nameOf(code(&x.old)), To: c.new.Table.nameOf(code(&x.new)),
		})
	}
}

// target is the backend of a decision that has a target.
func (*compared) target(d *Decision) BackendID {
	if d.Verdict != Handover {
		return NoBackend
	}
	return d.Backend
}

// side counts a gain and a loss, unless one has both.
func (r *reporter) side(of map[string]*sided, from, to string, first, end uint32) {
	if from == to {
		return
	}
	for _, name := range [2]string{from, to} {
		if name == "" {
			continue
		}
		s := of[name]
		if s == nil {
			s = &sided{}
			of[name] = s
		}
		if name == to {
			s.gained.add(first, end)
		} else {
			s.lost.add(first, end)
		}
	}
}

// offerOf is the offer that a decision's target is of: the one whose adoption made the row, else the only one of a closed
// backend; "" if there is none or several.
func (t *Table) offerOf(d *Decision) (name string) {
	if d.Verdict != Handover || !t.Closed(d.Backend) {
		return ""
	}
	if d.Row != NoRow {
		if name = t.Row(d.Row).Offer; name != "" {
			return name
		}
	}
	for i := range t.offers {
		if o := &t.offers[i]; o.backend == d.Backend {
			if name != "" {
				return ""
			}
			name = o.name
		}
	}
	return name
}

// code is a decision's part of a flowKey.
func code(d *Decision) int32 {
	if d.Verdict == Handover {
		return int32(d.Backend)
	}
	return -1 - int32(d.Verdict)
}

// nameOf is the backend or reason of a code.
func (t *Table) nameOf(code int32) string {
	switch {
	case code >= 0:
		return t.BackendName(BackendID(code))
	case code == otherFlow:
		return "other"
	case Verdict(-1-code) == noSuchArea:
		return "unknown_area"
	}
	return Verdict(-1 - code).String()
}

// example describes the first plot of a change.
func (r *reporter) example(number uint32, x *compared) Example {
	c := r.c
	e := Example{Leistung: c.before.Leistung, Title: cmp.Or(c.new.Table.Title(c.before.Leistung), c.old.Table.Title(c.before.Leistung))}
	old, new, name := c.p.keys(number)
	e.Area, e.Name = cmp.Or(new, old), name
	if x.old.Verdict == Handover {
		url, _ := c.old.Table.AppendURL(nil, &c.before, &x.old)
		e.Old = string(url)
	}
	if x.new.Verdict == Handover {
		url, _ := c.new.Table.AppendURL(nil, &c.after, &x.new)
		e.New = string(url)
	}
	return e
}

// keys are a plot's keys and its name.
func (p *plots) keys(number uint32) (old, new, name string) {
	x := p.list[number]
	if x.Old != NoArea {
		old, name = p.old.Table.areas.ARS(x.Old).String(), p.old.Table.areas.Area(x.Old).Short()
	}
	if x.New != NoArea {
		new, name = p.new.Table.areas.ARS(x.New).String(), p.new.Table.areas.Area(x.New).Short()
	}
	return old, new, name
}

func (r *reporter) tally(n *counter) Tally {
	t := Tally{Pairs: n.pairs}
	n.plots.each(func(number uint32) {
		t.Gemeinden++
		t.Inhabitants += r.c.p.list[number].Inhabitants
	})
	return t
}

// done makes the report.
func (r *reporter) done(leistungen int) *Difference {
	p := r.c.p
	d := &Difference{
		Leistungen: leistungen, Gemeinden: len(p.list), Pairs: leistungen * len(p.list), Changed: r.tally(&r.all),
		Kinds: []OfKind{}, Backends: r.names(r.backends), Offers: r.names(r.offers), Flows: []Flow{}, Places: []OfPlace{},
	}
	for k := Moved; int(k) < ChangeKinds; k++ {
		if n := &r.kinds[k]; n.pairs > 0 {
			d.Kinds = append(d.Kinds, OfKind{k, r.tally(n)})
		}
	}
	d.Lands = r.ofLands()
	for key, f := range r.flows {
		d.Flows = append(d.Flows, Flow{
			Kind: key.kind, From: r.c.old.Table.nameOf(key.from), To: r.c.new.Table.nameOf(key.to), Tally: r.tally(&f.counter), Examples: append([]Example{}, f.examples...),
		})
	}
	slices.SortFunc(d.Flows, compareFlows)
	d.Hosts = r.hosts()
	for number := p.plain; int(number) < len(p.list); number++ {
		if x, ok := r.place(number); ok {
			d.Places = append(d.Places, x)
		}
	}
	return d
}

// compareFlows puts the bigger one first, and reasons for nothing last.
func compareFlows(a, b Flow) int {
	rank := func(k ChangeKind) int {
		if k == OtherReason {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(b.Pairs, a.Pairs), cmp.Compare(a.Kind, b.Kind),
		strings.Compare(a.From, b.From), strings.Compare(a.To, b.To),
	)
}

// ofLands gives the Länder in which something changes.
func (r *reporter) ofLands() []OfLand {
	p := r.c.p
	var sets [17]counter
	r.all.plots.each(func(number uint32) { sets[p.land(number)].plots.add(number, number+1) })
	list := []OfLand{}
	for land := range r.lands {
		l := OfLand{Land: fmt.Sprintf("%02d", land), Kinds: map[ChangeKind]int{}}
		for k, n := range r.lands[land] {
			if n > 0 {
				l.Kinds[ChangeKind(k)] = n
				sets[land].pairs += n
			}
		}
		if l.Tally = r.tally(&sets[land]); l.Pairs == 0 {
			continue
		}
		for _, areas := range [2]*registry.Areas{r.c.new.Table.areas, r.c.old.Table.areas} {
			if id, err := areas.EntryArea(l.Land); err == nil && l.Name == "" {
				l.Name = areas.Area(id).Short()
			}
		}
		list = append(list, l)
	}
	return list
}

func (r *reporter) names(of map[string]*sided) []OfName {
	list := []OfName{}
	for name, s := range of {
		list = append(list, OfName{name, r.tally(&s.gained), r.tally(&s.lost)})
	}
	slices.SortFunc(list, func(a, b OfName) int {
		return cmp.Or(cmp.Compare(b.Gained.Pairs+b.Lost.Pairs, a.Gained.Pairs+a.Lost.Pairs), strings.Compare(a.Name, b.Name))
	})
	return list
}

// hosts lists the hosts that belong to another backend than before.
func (r *reporter) hosts() []HostMove {
	was, is := r.c.old.Table.hostOwners(), r.c.new.Table.hostOwners()
	byPair := map[[2]string]*HostMove{}
	for host, to := range is {
		from := was[host]
		if from == "" || from == to {
			continue
		}
		m := byPair[[2]string{from, to}]
		if m == nil {
			m = &HostMove{From: from, To: to}
			byPair[[2]string{from, to}] = m
		}
		m.Hosts = append(m.Hosts, host)
	}
	list := []HostMove{}
	for _, m := range byPair {
		slices.Sort(m.Hosts)
		old, new := r.c.old.Table, r.c.new.Table
		m.Renamed = old.backendNamed(m.To) == NoBackend && new.backendNamed(m.From) == NoBackend
		if f := r.flows[flowKey{Renamed, int32(old.backendNamed(m.From)), int32(new.backendNamed(m.To))}]; f != nil {
			m.Pairs = f.pairs
		}
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b HostMove) int { return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To)) })
	return list
}

// hostOwners are the backends by host, the implicit ones included.
func (t *Table) hostOwners() map[string]string {
	of := map[string]string{}
	for i := range t.backends {
		b := &t.backends[i]
		if i >= t.nConf {
			of[b.name] = b.name
		}
		for _, h := range b.hosts {
			of[h] = b.name
		}
	}
	return of
}

// place describes a plot whose Gemeinde has another key than before, or is at one moment only.
func (r *reporter) place(number uint32) (OfPlace, bool) {
	x := OfPlace{Inhabitants: r.c.p.list[number].Inhabitants, Flows: []Flow{}}
	if x.Old, x.New, x.Name = r.c.p.keys(number); x.Old == x.New {
		return x, false
	}
	for key, n := range r.places[number] {
		x.Pairs += n
		x.Flows = append(x.Flows, Flow{
			Kind: key.kind, From: r.c.old.Table.nameOf(key.from), To: r.c.new.Table.nameOf(key.to),
			Tally: Tally{Pairs: n, Gemeinden: 1, Inhabitants: x.Inhabitants}, Examples: []Example{},
		})
	}
	slices.SortFunc(x.Flows, compareFlows)
	return x, true
}
