// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// embedded is the official table, parsed once.
var embedded = sync.OnceValues(registry.EmbeddedAreas)

// loaded is a vector as package routing takes it.
type loaded struct {
	areas *registry.Areas
	in    routing.Input
	ids   map[string]string // origin → id of the vector
	err   error             // the first load error, as a loader of files reports it
}

// origins of the rows: the line is the row's number, so that ids survive whatever order a table keeps.
func (l *loaded) origin(id, source string) registry.Origin {
	o := registry.Origin{Source: source, File: "vector", Line: int32(len(l.ids) + 1)}
	l.ids[o.String()] = id
	return o
}

// load plays the loader of files: it parses texts and reports what a loader must.
func load(v *vector) *loaded {
	l := &loaded{ids: map[string]string{}}
	var err error
	if v.Areas.embedded {
		l.areas, err = embedded()
	} else {
		var records []registry.AreaRecord
		for _, a := range v.Areas.list {
			ars, err := registry.ParseARS(a.ARS)
			l.fail("", err)
			records = append(records, registry.AreaRecord{ARS: ars, Name: a.Name})
		}
		l.areas, err = registry.NewAreas(records)
	}
	l.fail("areas", err)
	if l.err != nil {
		return l
	}
	if l.aliases(v); l.err != nil {
		return l
	}
	l.in = routing.Input{
		Areas: l.areas, Sources: append([]string{"operator", "marktplatz"}, v.Sources...), Marktplatz: 1,
		ParentKey: map[uint8]bool{}, SelfHosts: v.SelfHosts,
	}
	for _, k := range v.ParentKey {
		n, _ := strconv.Atoi(k)
		l.in.ParentKey[uint8(n)] = true
	}
	infos := map[registry.Leistung]registry.LeistungInfo{}
	for _, i := range v.Leistungen {
		info := registry.LeistungInfo{Title: i.Title}
		for _, t := range i.Types {
			info.Types |= registry.ParseType(t)
		}
		if i.Successor != "" {
			info.Successor = l.leistung(i.Successor)
		}
		infos[l.leistung(i.Key)] = info
	}
	l.in.Catalogue = registry.NewCatalogue(infos)
	for _, b := range v.Backends {
		l.in.Backends = append(l.in.Backends, routing.Backend{Name: b.Name, Hosts: b.Hosts, Proxy: b.Mode == "proxy", Require: b.Require})
	}
	for i := range v.Entries {
		l.entry(v, &v.Entries[i])
	}
	l.marktplatz(v)
	for i := range v.Overrides {
		l.override(&v.Overrides[i])
	}
	for _, s := range v.Lookups {
		l.in.Lookups = append(l.in.Lookups, slices.Index(l.in.Sources, s))
	}
	return l
}

func (l *loaded) fail(what string, err error) {
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (l *loaded) aliases(v *vector) {
	var list []registry.Alias
	for _, a := range v.Aliases {
		list = append(list, registry.Alias{From: a.From, To: a.To, On: l.begin(a.On), Name: a.Name})
	}
	if len(list) > 0 {
		var err error
		l.areas, err = l.areas.WithAliases(list)
		l.fail("aliases", err)
	}
}

func (l *loaded) leistung(s string) registry.Leistung {
	k, err := registry.ParseLeistung(s)
	l.fail("leistung", err)
	return k
}

func (l *loaded) area(s string) registry.AreaID {
	id, err := l.areas.EntryArea(s)
	l.fail("area", err)
	return id
}

func (l *loaded) begin(s string) (t time.Time) {
	if s != "" {
		var err error
		t, err = registry.ParseTime(s)
		l.fail("time", err)
	}
	return t
}

func (l *loaded) end(s string) (t time.Time) {
	if s != "" {
		var err error
		t, err = registry.ParseEnd(s)
		l.fail("time", err)
	}
	return t
}

// lookUp does what a request does while the table says that a key has to be looked up: it asks the sources, which answer as
// the vector says. It returns the table that decides, the keys that were asked for, and whether a source failed.
func (l *loaded) lookUp(v *vector, base *routing.Table, q *routing.Query) (t *routing.Table, asked []string, failed bool) {
	var said []routing.Lookup
	for t = base; ; t = base.With(q.Area, said) {
		d := t.Resolve(q)
		if d.Verdict != routing.Pending {
			return t, asked, false
		}
		asked = append(asked, d.Key.String()+"@"+l.areas.ARS(q.Area).String())
		one := routing.Lookup{Leistung: d.Key}
		for i := range v.Answers {
			a := &v.Answers[i]
			if l.leistung(a.Leistung) != d.Key || l.area(a.Area) != q.Area {
				continue
			}
			if a.Fails {
				return t, asked, true
			}
			rows := routing.LookupRows{Source: slices.Index(l.in.Sources, a.Source)}
			for j := range a.Entries {
				e := &a.Entries[j]
				out := l.row(e)
				out.Area, out.Source = registry.AreaID(l.areas.Len()+1), -1 // nothing may read them
				out.Origin = l.origin(e.ID, a.Source)
				rows.Entries = append(rows.Entries, out)
			}
			one.Rows = append(one.Rows, rows)
		}
		said = append(said, one)
	}
}

// below is the loader's rule that all in a file lies at or below the file's area (S74).
func (l *loaded) below(file string, area registry.AreaID) {
	if file == "" {
		return
	}
	f := l.area(file)
	if l.err == nil && !l.areas.Contains(f, area) {
		l.err = fmt.Errorf("area %s is outside this file's area %s", l.areas.ARS(area), l.areas.ARS(f))
	}
}

func (l *loaded) entry(v *vector, e *vectorEntry) {
	out := l.row(e)
	out.Area, out.Source, out.Template = l.area(e.Area), slices.Index(l.in.Sources, cmp.Or(e.Source, "operator")), e.Source == ""
	if out.Source < 0 {
		l.fail("source "+e.Source, errors.New("not listed"))
	}
	out.Origin = l.origin(e.ID, e.Source)
	l.below(e.File, out.Area)
	l.in.Entries = append(l.in.Entries, out)
}

// row is an entry without its place in a table.
func (l *loaded) row(e *vectorEntry) registry.Entry {
	out := registry.Entry{
		Leistung: l.leistung(e.Leistung), AreaKey: e.Area, URL: e.URL, Backend: e.Backend, Path: e.Path,
		Title: e.Title, Lang: e.Lang, Begin: l.begin(e.Begin), End: l.end(e.End), Inactive: e.Inactive, Role: e.Role,
		Specialised: e.Specialised, Priority: e.Priority, OE: e.OE, LB: e.LB, OD: e.OD, Refused: e.Refused,
	}
	if e.Kind == "page" {
		out.Kind = registry.Page
	}
	for _, u := range e.URLs {
		out.Others = append(out.Others, registry.LangURL{Lang: u.Lang, URL: u.URL})
	}
	return out
}

func (l *loaded) marktplatz(v *vector) {
	for _, o := range v.Offers {
		out := registry.Offer{
			Name: o.Name, State: l.state(o.State), Backend: o.Backend, Begin: l.begin(o.Begin), End: l.end(o.End), Successor: o.Successor,
			Leistungen: map[registry.Leistung]registry.Template{},
		}
		for k, text := range o.Leistungen {
			t, err := registry.ParseTemplate(text)
			l.fail("template", err)
			out.Leistungen[l.leistung(k)] = t
		}
		l.in.Offers = append(l.in.Offers, out)
	}
	for _, a := range v.Adoptions {
		out := registry.Adoption{Offer: a.Offer, State: l.state(a.State), Begin: l.begin(a.Begin), End: l.end(a.End), Origin: registry.Origin{File: "vector"}}
		for _, x := range a.Areas {
			out.Areas = append(out.Areas, registry.AdoptedArea{Area: l.area(x.Area), Key: x.Area, OE: x.OE, Origin: l.origin(a.ID+"@"+x.Area, "")})
		}
		for _, x := range a.Without {
			out.Without = append(out.Without, l.area(x))
		}
		for _, x := range a.Leistungen {
			out.Leistungen = append(out.Leistungen, l.leistung(x))
		}
		l.in.Adoptions = append(l.in.Adoptions, out)
	}
}

func (l *loaded) state(word string) registry.State {
	s, ok := registry.ParseState(word)
	if !ok {
		l.fail("state", fmt.Errorf("%q is none", word))
	}
	return s
}

func (l *loaded) override(o *vectorOverride) {
	out := routing.Override{
		Sender: o.Sender, From: l.begin(o.From), Until: l.end(o.Until), Priority: o.Priority, To: o.To.one, Gone: o.Gone,
		By: o.By, Why: o.Why, Origin: l.origin(o.ID, ""), AreaKey: cmp.Or(o.Area, o.File),
	}
	out.Area = l.area(out.AreaKey)
	l.below(o.File, out.Area)
	if len(o.Leistung) == 5 {
		out.Group = o.Leistung
	} else if o.Leistung != "" {
		out.Leistung = l.leistung(o.Leistung)
	}
	for b, n := range o.To.weights {
		out.Weights = append(out.Weights, routing.Weight{Backend: b, Percent: n})
	}
	l.in.Overrides = append(l.in.Overrides, out)
}

// question is what a request surface does before it asks the table: R1, R2, R4, R5.
func (l *loaded) question(a *vectorAsk) (routing.Query, error) {
	q := routing.Query{At: l.begin(a.At), Lang: a.Lang}
	if a.Sender != "direct" {
		q.Sender = a.Sender
	}
	named := a.Named
	if named == nil {
		named = []vectorNamed{{Leistung: a.Leistung}}
		if a.Area != nil {
			named[0].Area = *a.Area
		}
	}
	hasArea := false
	for _, n := range named {
		if n.ARS != "" && n.AGS != "" {
			return q, errConflict
		}
		if n.Leistung != "" {
			k, err := registry.ParseLeistung(n.Leistung)
			if err != nil {
				return q, err
			}
			if !q.Leistung.IsZero() && q.Leistung != k {
				return q, errConflict
			}
			q.Leistung = k
		}
		if key := cmp.Or(n.Area, n.ARS, n.AGS); key != "" {
			p, err := l.areas.Locate(key, q.At, registry.LocateOptions{Direct: q.Sender == ""})
			if err != nil {
				return q, err
			}
			if hasArea && q.Area != p.ID {
				return q, errConflict
			}
			q.Area, hasArea = p.ID, true
		}
	}
	return q, nil
}

var errConflict = errors.New("conflicting_keys")

// refusal gives the reason of a question that never reaches the table.
func refusal(err error) (reason, hint string, choices []registry.AreaID) {
	var key *registry.KeyError
	var invalid *registry.InvalidArea
	var unknown *registry.UnknownArea
	var split *registry.SplitArea
	switch {
	case errors.Is(err, errConflict):
		return "conflicting_keys", "", nil
	case errors.As(err, &invalid):
		return "invalid_area", invalid.Hint, nil
	case errors.As(err, &unknown):
		return "unknown_area", unknown.Hint + unknown.AliasDate.Format(" "+time.DateOnly), nil
	case errors.As(err, &split):
		return "area_required", "", split.Choices
	case errors.As(err, &key):
		return "invalid_leistung", key.Hint, nil
	}
	return err.Error(), "", nil
}
