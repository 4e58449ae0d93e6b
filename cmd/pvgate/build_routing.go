// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// routes is what the routing half of a configuration becomes: the same for
// serve, check, explain and reload.
type routes struct {
	areas     *registry.Areas
	catalogue *registry.Catalogue
	table     *routing.Table // nil when anything was wrong
	// backends are the configured ones; the place of one is its routing.BackendID.
	backends []routedBackend
	sources  []sourceReport
	// lookups are the sources that are asked for one key at a time, in their order of trust.
	lookups []plannedLookup
	// applied is the registry of the sources, nil if there are none. pending: there are some, and none of them has ever
	// delivered anything; then nobody can say who is responsible.
	applied *appliedIndex
	pending bool
	// entries, offers and adoptions are those of the files, for what is said about them.
	entries   []registry.Entry
	offers    []registry.Offer
	adoptions []registry.Adoption
	// warnings are faults that cost a row, not the load.
	warnings config.Errors
}

// routedBackend is a backend with what its place in the files adds.
type routedBackend struct {
	name  string
	conf  *config.Backend
	owner registry.AreaID
}

// The order of trust before the configured sources (R10).
const (
	sourceOperator = iota
	sourceMarktplatz
	sourceFirst
)

// buildRoutes reads areas and sources and compiles the table. The error is a
// config.Errors with every fault; the routes then have no table, but may have
// warnings.
//
// Config has judged the form of every value and reported what it could not
// read; such values are empty here and passed over in silence, so that one fault
// is told once.
func buildRoutes(ctx context.Context, cfg *config.Config, kept *keeper) (*routes, error) {
	b := &routesBuilder{
		cfg: cfg, registry: kept, out: &routes{}, closer: map[registry.Origin]config.Origin{},
		helped: map[uint8]config.Origin{}, parented: map[uint8]config.Origin{},
		backends: map[string]bool{}, offers: map[string]bool{},
	}
	for _, f := range cfg.Files {
		for i := range f.Blocks.Backends {
			b.backends[f.Blocks.Backends[i].Name.V] = true
		}
		for i := range f.Blocks.Offers {
			b.offers[f.Blocks.Offers[i].Name.V] = true
		}
	}
	b.readAreas()
	if b.out.areas == nil {
		return b.out, b.errs.Sorted() // no area can be judged without the directory
	}
	b.readCatalogue()
	b.owned()
	b.in = routing.Input{
		Areas: b.out.areas, Catalogue: b.out.catalogue,
		Sources: []string{sourceOperator: "operator", sourceMarktplatz: "marktplatz"}, Marktplatz: sourceMarktplatz,
		ParentKey: map[uint8]bool{}, Help: map[uint8]routing.Help{}, SelfHosts: selfHosts(cfg),
	}
	for _, f := range cfg.Files {
		b.file(f)
	}
	b.senders()
	b.rivals()
	b.readSources(ctx)
	b.compile()
	if len(b.errs) > 0 {
		b.out.table = nil
		return b.out, b.errs.Sorted()
	}
	return b.out, nil
}

// routesBuilder is the state of one buildRoutes.
type routesBuilder struct {
	cfg      *config.Config
	registry *keeper
	out      *routes
	in       routing.Input
	errs     config.Errors
	// closer leads from the place of a block to the value in it that routing's
	// messages are about.
	closer           map[registry.Origin]config.Origin
	helped, parented map[uint8]config.Origin // by Land: where it was said
	backends, offers map[string]bool         // defined ones; config has reported uses of others
	owners           ownedAreas
}

func (b *routesBuilder) fail(o config.Origin, format string, args ...any) {
	b.errs = append(b.errs, config.At(o, format, args...))
}

// selfHosts are the hosts no target may have (R16): the domain, what lies below
// it, and what the listeners answer.
func selfHosts(cfg *config.Config) []string {
	var hosts []string
	if d := cfg.Root.Domain.V; d != "" {
		hosts = append(hosts, d, "*."+d)
	}
	for _, l := range cfg.Root.Listen {
		for _, h := range l.Hosts.Names {
			if h.V != "" && !slices.Contains(hosts, h.V) {
				hosts = append(hosts, h.V)
			}
		}
	}
	return hosts
}

// fileArea is the area of a route file, which everything in it must lie in.
type fileArea struct {
	id    registry.AreaID
	text  config.Text
	owner string // who signed it; "" is nobody
}

func (b *routesBuilder) file(f *config.RouteFile) {
	if f.Area.V == "" {
		return // reported
	}
	id, ok := b.lookUp(f.Area)
	if !ok {
		return
	}
	own := fileArea{id, f.Area, f.Owner}
	b.signer(own)
	b.help(own, f)
	for i := range f.Blocks.Backends {
		b.backend(own, &f.Blocks.Backends[i])
	}
	for i := range f.Blocks.Entries {
		b.entry(own, &f.Blocks.Entries[i])
	}
	for i := range f.Blocks.Offers {
		b.offer(own, &f.Blocks.Offers[i])
	}
	for i := range f.Blocks.Adoptions.List {
		b.adoption(own, &f.Blocks.Adoptions.List[i])
	}
	for i := range f.Blocks.Overrides {
		b.override(own, &f.Blocks.Overrides[i])
	}
	for i := range f.Blocks.Tests {
		b.inside(own, f.Blocks.Tests[i].Area, "test")
	}
}

// lookUp finds the area of a key.
func (b *routesBuilder) lookUp(t config.Text) (registry.AreaID, bool) {
	if t.V == "" {
		return 0, false // absent or reported
	}
	id, err := b.out.areas.EntryArea(t.V)
	if err == nil {
		return id, true
	}
	text := err.Error()
	var unknown *registry.UnknownArea
	if errors.As(err, &unknown) && unknown.Hint == "" && len(unknown.Near) > 0 {
		var near []string
		for _, n := range unknown.Near {
			near = append(near, b.named(n))
		}
		text += "; near it: " + strings.Join(near, ", ")
	}
	b.fail(t.Origin, "%s", text)
	return 0, false
}

// named is an area with its name, for messages.
func (b *routesBuilder) named(id registry.AreaID) string {
	return fmt.Sprintf("%s (%s)", b.key(id), b.out.areas.Area(id).Short())
}

func (b *routesBuilder) key(id registry.AreaID) string {
	if id == registry.Bund {
		return "00"
	}
	return b.out.areas.ARS(id).String()
}

// inside finds the area of a key and holds that it lies at or below the file's.
func (b *routesBuilder) inside(own fileArea, t config.Text, noun string) (registry.AreaID, bool) {
	id, ok := b.lookUp(t)
	if !ok {
		return 0, false
	}
	areas := b.out.areas
	if areas.Contains(own.id, id) {
		return id, true
	}
	b.fail(t.Origin, "area %s (%s) is outside this file's area %s (%s); move the %s to a file for %s%s",
		t.V, areas.Area(id).Short(), own.text.V, areas.Area(own.id).Short(), noun, b.fileFor(own.id, id), b.outsider(own, id))
	return 0, false
}

// fileFor is the area whose file is the place for id: its Land, if that is
// another than the file's; else its Kreis, if that is another; else itself.
func (b *routesBuilder) fileFor(own, id registry.AreaID) string {
	areas := b.out.areas
	if land := areas.LandOf(id); land != 0 && land != areas.LandOf(own) {
		return fmt.Sprintf("%02d", land)
	}
	if kreis := areas.ARS(id).At(registry.LevelKreis); !areas.Contains(id, own) && kreis.Level() == registry.LevelKreis {
		return kreis.String()
	}
	return b.key(id)
}

// help and parent_key are said once for each Land, in the file of its area.
func (b *routesBuilder) help(own fileArea, f *config.RouteFile) {
	land := b.out.areas.LandOf(own.id)
	isLand := own.id == registry.Bund
	if !isLand {
		id, err := b.out.areas.EntryArea(fmt.Sprintf("%02d", land))
		isLand = err == nil && id == own.id
	}
	once := func(key string, at config.Origin, said map[uint8]config.Origin) bool {
		if !isLand {
			b.fail(at, "%s is said for a Land or the Bund; this file's area is %s, move it to a file for %02d", key, b.named(own.id), land)
			return false
		}
		if other, twice := said[land]; twice {
			b.fail(at, "%s of area %02d is already given at %s; remove one", key, land, other)
			return false
		}
		said[land] = at
		return true
	}
	if h := f.Blocks.Help; h != nil && once("help", h.At, b.helped) {
		b.in.Help[land] = routing.Help{Portal: h.Portal.V, Phone: h.Phone.V}
	}
	if p := f.Blocks.ParentKey; p.Set() && once("parent_key", p.Origin, b.parented) {
		b.in.ParentKey[land] = p.V
	}
}

func (b *routesBuilder) backend(own fileArea, c *config.Named[config.Backend]) {
	if c.Name.V == "" {
		return // reported
	}
	owner := own.id
	if c.V.Owner.Set() {
		id, ok := b.inside(own, c.V.Owner, "backend")
		if !ok {
			id = own.id
		}
		owner = id
	}
	r := routing.Backend{
		Name: c.Name.V, Proxy: c.V.Mode.V == "proxy", Owner: owner, Origin: rowOrigin(c.Name.Origin),
		Hosts: texts(c.V.Hosts), Require: texts(c.V.Require),
	}
	b.in.Backends = append(b.in.Backends, r)
	b.out.backends = append(b.out.backends, routedBackend{c.Name.V, &c.V, owner})
}

// texts are the values of a list, without those that config has reported.
func texts(list []config.Text) []string {
	var out []string
	for _, t := range list {
		if t.V != "" {
			out = append(out, t.V)
		}
	}
	return out
}

func (b *routesBuilder) leistung(t config.Text) (registry.Leistung, bool) {
	if t.V == "" {
		return registry.Leistung{}, false
	}
	l, err := registry.ParseLeistung(t.V)
	if err != nil {
		b.fail(t.Origin, "%v", err)
		return l, false
	}
	return l, true
}

// moment reads a begin (or, with end, an end); an absent one is open.
func (b *routesBuilder) moment(key string, t config.Text, end bool) (time.Time, bool) {
	if t.V == "" {
		return time.Time{}, !t.Set()
	}
	parse := registry.ParseTime
	if end {
		parse = registry.ParseEnd
	}
	at, err := parse(t.V)
	if err == nil {
		return at, true
	}
	// What is wrong with this very day ("… does not exist …") says it all; what
	// times look like needs the key before it.
	text := err.Error()
	if !strings.HasPrefix(text, t.V[:min(len(t.V), len(time.DateOnly))]) {
		text = key + ": " + text
	}
	b.fail(t.Origin, "%s", text)
	return at, false
}

// validity reads begin and end; an entry, offer, adoption or override lives in
// begin ≤ t < end.
func (b *routesBuilder) validity(names [2]string, begin, end config.Text) (from, until time.Time, ok bool) {
	from, fine := b.moment(names[0], begin, false)
	until, ok = b.moment(names[1], end, true)
	if ok = ok && fine; ok && !from.IsZero() && !until.IsZero() && !from.Before(until) {
		b.fail(end.Origin, "%s %s is not after %s %s; correct one of them", names[1], end.V, names[0], begin.V)
		ok = false
	}
	return from, until, ok
}

// beginEnd are the keys of all validities but overrides'.
var beginEnd = [2]string{"begin", "end"}

func (b *routesBuilder) template(t config.Text) (registry.Template, bool) {
	if t.V == "" {
		return registry.Template{}, false
	}
	tmpl, err := registry.ParseTemplate(t.V)
	if err != nil {
		b.fail(t.Origin, "%v", err)
		return tmpl, false
	}
	return tmpl, true
}

func (b *routesBuilder) entry(own fileArea, c *config.Entry) {
	e := registry.Entry{
		AreaKey: c.Area.V, Backend: c.Backend.V, Title: c.Title.V, Lang: c.Lang.V, Role: c.Role.V,
		Specialised: c.Specialised.V, Priority: c.Priority.V, OE: c.OE.V, LB: c.LB.V, OD: c.OD.V,
		Source: sourceOperator, Origin: rowOrigin(c.At),
	}
	if c.Kind.V == "page" {
		e.Kind = registry.Page
	}
	ok := true
	e.Leistung = good[registry.Leistung](&ok)(b.leistung(c.Leistung))
	e.Area = good[registry.AreaID](&ok)(b.inside(own, c.Area, "entry"))
	var fine bool
	e.Begin, e.End, fine = b.validity(beginEnd, c.Begin, c.End)
	ok = ok && fine
	if c.URL.Set() {
		t := good[registry.Template](&ok)(b.template(c.URL))
		e.URL, e.Template = c.URL.V, ok && !t.Static()
	} else {
		good[registry.Template](&ok)(b.template(c.Path))
		e.Path = c.Path.V
		ok = ok && b.backends[c.Backend.V]
	}
	if ok {
		b.in.Entries = append(b.in.Entries, e)
	}
}

// good makes a function that passes a value on and notes in ok whether all so
// far could be read: every fault of a block is told, not only the first.
func good[T any](ok *bool) func(T, bool) T {
	return func(v T, fine bool) T {
		*ok = *ok && fine
		return v
	}
}

func (b *routesBuilder) offer(own fileArea, c *config.Named[config.Offer]) {
	o := registry.Offer{
		Name: c.Name.V, State: state(c.V.State), Backend: c.V.Backend.V, Successor: c.V.Successor.V, Origin: rowOrigin(c.Name.Origin),
		Contract: c.V.Contract.V, PriceModel: c.V.PriceModel.V,
		Provider:   registry.Provider{Area: own.id, Name: c.V.Provider.Name.V, Via: c.V.Provider.Via.V},
		Leistungen: make(map[registry.Leistung]registry.Template, len(c.V.Leistungen)),
	}
	ok := c.Name.V != "" && b.backends[o.Backend] && b.ownBackend(own, c)
	if c.V.Provider.Area.Set() {
		o.Provider.Area = good[registry.AreaID](&ok)(b.inside(own, c.V.Provider.Area, "offer"))
	}
	var fine bool
	o.Begin, o.End, fine = b.validity(beginEnd, c.V.Begin, c.V.End)
	ok = ok && fine
	first := map[registry.Leistung]config.Origin{}
	for i := range c.V.Leistungen {
		m := &c.V.Leistungen[i]
		l, fine := b.leistung(m.Name)
		t, fits := b.template(m.V)
		if fine && first[l] != (config.Origin{}) {
			b.fail(m.Name.Origin, "leistung %s is given twice (first at %s); remove one", l, first[l])
		}
		if ok = ok && fine && fits; ok {
			o.Leistungen[l], first[l] = t, m.Name.Origin
		}
	}
	if ok {
		b.in.Offers = append(b.in.Offers, o)
	}
}

// state of an offer or adoption; config holds its form.
func state(t config.Text) registry.State {
	s, _ := registry.ParseState(t.V)
	return s
}

func (b *routesBuilder) adoption(own fileArea, c *config.Adoption) {
	a := registry.Adoption{Offer: c.Offer.V, State: state(c.State), Contract: c.Contract.V, Origin: rowOrigin(c.At)}
	ok := b.offers[c.Offer.V]
	for i := range c.Areas {
		m := &c.Areas[i]
		id := good[registry.AreaID](&ok)(b.inside(own, m.Name, "adoption"))
		a.Areas = append(a.Areas, registry.AdoptedArea{Area: id, Key: m.Name.V, OE: m.V.V})
	}
	for _, w := range c.Without {
		id, fine := b.inside(own, w, "adoption")
		if fine && ok && !slices.ContainsFunc(a.Areas, func(at registry.AdoptedArea) bool { return b.out.areas.Contains(at.Area, id) }) {
			b.fail(w.Origin, "without %s (%s) lies in no area of this adoption; remove it or correct areas", w.V, b.out.areas.Area(id).Short())
		}
		a.Without = append(a.Without, id)
		ok = ok && fine
	}
	for _, t := range c.Leistungen {
		a.Leistungen = append(a.Leistungen, good[registry.Leistung](&ok)(b.leistung(t)))
	}
	var fine bool
	a.Begin, a.End, fine = b.validity(beginEnd, c.Begin, c.End)
	if ok && fine {
		b.closer[a.Origin] = c.Offer.Origin
		b.in.Adoptions = append(b.in.Adoptions, a)
	}
}

var groupForm = regexp.MustCompile(`^99[0-9]{3}$`)

func (b *routesBuilder) override(own fileArea, c *config.Override) {
	o := routing.Override{
		Area: own.id, AreaKey: own.text.V, Sender: c.Sender.V, Priority: c.Priority.V, To: c.To.Target.V,
		Gone: c.Gone.V, By: c.By.V, Why: c.Why.V, Origin: rowOrigin(c.At), ToOrigin: rowOrigin(c.To.Origin),
	}
	ok := c.Until.V != "" && c.By.V != "" && c.Why.V != "" // else reported
	if c.Area.Set() {
		o.Area = good[registry.AreaID](&ok)(b.inside(own, c.Area, "override"))
		o.AreaKey = c.Area.V
	}
	switch t := c.Leistung; {
	case groupForm.MatchString(t.V):
		o.Group = t.V
	case len(t.V) == 5:
		b.fail(t.Origin, "leistung %q is no group; write 99 and three digits, or all 14 digits", t.V)
		ok = false
	case t.Set():
		o.Leistung = good[registry.Leistung](&ok)(b.leistung(t))
	}
	var fine bool
	o.From, o.Until, fine = b.validity([2]string{"from", "until"}, c.From, c.Until)
	ok = ok && fine
	if ok && o.Until.IsZero() {
		b.fail(c.Until.Origin, "until %s means for ever; every override ends, e.g. until: 2026-12-31", c.Until.V)
		ok = false
	}
	for i := range c.To.Weights {
		w := &c.To.Weights[i]
		o.Weights = append(o.Weights, routing.Weight{Backend: w.Name.V, Percent: w.V.V})
		ok = ok && b.backends[w.Name.V]
	}
	if o.To != "" && !c.To.IsURL() {
		ok = ok && b.backends[o.To]
	}
	targets := 0
	for _, set := range [...]bool{o.To != "", len(o.Weights) > 0, o.Gone != ""} {
		if set {
			targets++
		}
	}
	if ok && targets == 1 { // else reported
		b.in.Overrides = append(b.in.Overrides, o)
	}
}

// senders holds that each sender's area exists.
func (b *routesBuilder) senders() {
	for i := range b.cfg.Root.Senders {
		b.lookUp(b.cfg.Root.Senders[i].V.Area)
	}
}

// compile makes the table and brings routing's findings into the form of ours.
func (b *routesBuilder) compile() {
	table, problems := routing.Compile(b.in)
	b.out.table, b.out.entries, b.out.offers, b.out.adoptions = table, b.in.Entries, b.in.Offers, b.in.Adoptions
	for _, p := range problems {
		at := configOrigin(p.Origin)
		if exact, ok := b.closer[p.Origin]; ok && strings.HasPrefix(p.Text, `offer "`) {
			at = exact
		}
		e := config.At(at, "%s%s", p.Text, b.overlapping(at, p.Text))
		if p.Fatal {
			b.errs = append(b.errs, e)
		} else {
			b.out.warnings = append(b.out.warnings, e)
		}
	}
}

// rowOrigin is a place of a file as registry and routing know it.
func rowOrigin(o config.Origin) registry.Origin {
	return registry.Origin{File: o.Name, Line: int32(o.Line), Col: int32(o.Col)}
}

// configOrigin is the way back; a row of a source is named by its file.
func configOrigin(o registry.Origin) config.Origin {
	name := o.File
	if name == "" {
		name = o.Source
	}
	if name == "" {
		name = "registry"
	}
	return config.Origin{Where: config.FromFile, Name: name, Line: int(o.Line), Col: int(o.Col)}
}
