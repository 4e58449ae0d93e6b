// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// The generator makes registries and questions of the same form as the vectors, so that whatever it finds can be
// printed as a vector. Its few keys, areas, hosts and dates meet each other all the time.

// someAreas is a small Gemeindeverzeichnis of real keys in which every kind of territory occurs.
var someAreas = []string{
	"01", "01001", "010010000", "010010000000", "01002", "010020000", "010020000000", "01053", "010530032", "010530032032",
	"010530083", "010530083083", "010530090", "010530090090", "010539105", "010539105105", "02", "02000", "020000000", "020000000000",
	"04", "04011", "040110000", "040110000000", "04012", "040120000", "040120000000", "06", "064", "06435", "064350014",
	"064350014014", "064350010", "064350010010", "065", "06534", "065340014", "065340014014", "065340018", "065340018018",
	"065340004", "065340004004", "12", "12064", "120645410", "120645410340", "120645410190", "120645412", "120645412288",
}

// someLeistungen are few families: details with a parent, a pair of old and new, an information key, a local one.
var someLeistungen = []string{
	"99050012104000", "99050012104001", "99050012104002", "99050012000000", "99036024017000", "99036026017000", "99036026017001",
	"99154016000000", "06000000000012", "99102013104000",
}

var (
	someBegins  = []string{"", "", "", "", "1970-01-01", "2025-06-01", "2026-01-01", "2026-06-15 12:00", "2026-09-01"}
	someEnds    = []string{"", "", "", "", "2999-12-31", "2025-12-31", "2026-05-31", "2026-06-15 12:00", "2026-10-31", "2027-12-31"}
	someTimes   = []string{"2025-12-31T23:59:59+01:00", "2026-01-01T00:00:00+01:00", "2026-06-15T12:00:00+02:00", "2026-06-15T11:59:59+02:00", "2026-07-01T12:00:00+02:00", "2026-10-31T23:30:00+01:00", "2026-12-24T12:00:00+01:00"}
	someURLs    = []string{"https://a.example/1", "https://a.example/2", "https://b.example/", "https://c.example/form?x=1", "https://listed.example/a", "https://efa-a.example/x", "https://efa-a.example/z", "https://efa-b.example/y"}
	someForms   = []string{"https://a.example/1", "https://a.example/{ars:5}", "https://listed.example/{leistung}?oe={oe_id}", "https://listed.example/u/{oe}", "https://needs.example/?oe={oe_id}", "https://b.example/{ags}", "https://efa-a.example/{land}?k={lb_id}&x={ags}"}
	someOffers  = []string{"https://efa-a.example/{ags}", "https://efa-a.example/start?p={ars:6}&oe={oe_id}", "https://efa-b.example/{leistung}?oeId={oe_id}", "https://efa-b.example/"}
	someUnits   = []string{"", "", "", "L100012.OE.1", "L100012.OE.2"}
	someTitles  = []string{"", "", "Antrag", "Anmeldung"}
	someSources = []string{"", "pvog", "pvog", "hub"}
)

type generator struct {
	*rand.Rand
	areas []string
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// world makes a registry of about n rows.
func (g *generator) world(n int, embedded bool) *vector {
	v := &vector{
		Name: "generated", Sources: []string{"pvog", "hub"}, Areas: vectorAreas{embedded: embedded},
		Backends: []vectorBackend{
			{Name: "listed", Hosts: []string{"listed.example", "LISTED2.example"}},
			{Name: "needs", Hosts: []string{"needs.example"}, Require: []string{"oe_id"}},
			{Name: "efa-a", Hosts: []string{"efa-a.example"}},
			{Name: "efa-b", Hosts: []string{"efa-b.example"}, Require: []string{"oe_id"}},
		},
		Leistungen: []vectorLeistung{
			{Key: "99036024017000", Successor: "99036026017000"},
			{Key: "99050012104002", Successor: "99036026017001", Types: []string{"6", "2b"}},
			{Key: "99154016000000", Types: []string{"11"}},
			{Key: "99036026017001", Types: []string{"7", "10"}},
			{Key: "06000000000012", Successor: "99036026017000"},
		},
	}
	for _, l := range []string{"01", "06", "12"} {
		if g.chance(40) {
			v.ParentKey = append(v.ParentKey, l)
		}
	}
	g.places(v)
	if g.chance(60) {
		g.marktplatz(v, 1+n/12)
	}
	for i := range n {
		e := g.entry(i)
		if i > 0 && g.chance(40) && n < 1000 { // rivals at one place
			e.Leistung, e.Area = v.Entries[i-1].Leistung, v.Entries[i-1].Area
			e.Kind, e.Source = v.Entries[i-1].Kind, v.Entries[i-1].Source
			e.URL = pick(g, someURLs)
			if e.Source == "" {
				e.URL, e.End = pick(g, someForms), ""
			}
		}
		v.Entries = append(v.Entries, e)
	}
	if g.chance(60) {
		g.overrides(v)
	}
	g.states(v)
	g.lookups(v)
	return v
}

// lookups gives some worlds a source that is asked for one key at a time. What is drawn otherwise does not depend on it.
func (g *generator) lookups(v *vector) {
	own := &generator{Rand: rand.New(rand.NewPCG(uint64(len(v.Entries)), uint64(len(v.Overrides))+7*uint64(len(v.Aliases))+99)), areas: g.areas}
	if own.chance(35) {
		v.Sources = slices.Insert(v.Sources, own.IntN(3), "live")
		v.Lookups = []string{"live"}
	}
}

// answers draws what that source says about each key in the area of a question: about some nothing, and rarely it fails.
func (g *generator) answers(v *vector, number int) {
	v.Answers = nil
	if len(v.Lookups) == 0 || v.Ask.Area == nil {
		return
	}
	own := &generator{Rand: rand.New(rand.NewPCG(uint64(number), uint64(len(v.Entries)))), areas: g.areas}
	for i, l := range someLeistungen {
		a := vectorAnswer{Source: "live", Leistung: l, Area: *v.Ask.Area, Fails: own.chance(15)}
		for j := range own.IntN(4) {
			e := own.entry(j)
			e.ID, e.Source, e.Leistung, e.URL = fmt.Sprintf("live%d-%d", i, j), "", l, pick(own, someURLs)
			if e.Area = ""; own.chance(60) {
				e.Area = pick(own, own.areas)
			}
			if own.chance(40) {
				e.Area = (*v.Ask.Area)[:min(len(*v.Ask.Area), pick(own, []int{2, 5, 12}))]
			}
			if _, err := registry.ParseARS(e.Area); err != nil || l[:2] != "99" && strings.Trim(e.Area, "0") == "" {
				e.Area = ""
			}
			a.Entries = append(a.Entries, e)
		}
		v.Answers = append(v.Answers, a)
	}
}

// states says of some offers and adoptions that they are not live. The questions to come do not depend on it.
func (g *generator) states(v *vector) {
	own := &generator{Rand: rand.New(rand.NewPCG(uint64(len(v.Entries)), uint64(len(v.Adoptions))))}
	some := func(s *string) {
		if own.chance(10) {
			*s = pick(own, []string{"contracted", "interessenbekundung"})
		}
	}
	for i := range v.Offers {
		some(&v.Offers[i].State)
	}
	for i := range v.Adoptions {
		some(&v.Adoptions[i].State)
	}
}

// places picks the Gemeindeverzeichnis and its changes.
func (g *generator) places(v *vector) {
	g.areas = append([]string{"00", "000000000000"}, someAreas...)
	if !v.Areas.embedded {
		for _, a := range someAreas {
			v.Areas.list = append(v.Areas.list, vectorArea{ARS: a, Name: "Ort " + a})
		}
	}
	if g.chance(40) {
		v.Aliases = append(v.Aliases, vectorAlias{From: []string{"064350014014"}, To: []string{"064150000000"}, On: "2026-01-01", Name: "Hanau"})
		g.areas = append(g.areas, "064150000000", "064350014014", "064350014014")
	}
	if g.chance(20) {
		v.Aliases = append(v.Aliases, vectorAlias{From: []string{"010530090090"}, To: []string{"010530032032", "010530083083"}, On: "2026-06-16"})
		g.areas = append(g.areas, "010530090090", "010530032032")
	}
}

func (g *generator) entry(i int) vectorEntry {
	e := vectorEntry{
		ID: "e" + strconv.Itoa(i), Source: pick(g, someSources), Leistung: pick(g, someLeistungen), Area: pick(g, g.areas),
		Title: pick(g, someTitles), Begin: pick(g, someBegins), End: pick(g, someEnds), Inactive: g.chance(4), OE: pick(g, someUnits),
	}
	e.URL = pick(g, someURLs)
	if e.Source == "" {
		e.URL = pick(g, someForms)
	}
	for e.Leistung[:2] != "99" && (e.Area == "00" || e.Area == "000000000000") {
		e.Area = pick(g, g.areas)
	}
	if g.chance(25) {
		e.Kind = "page"
	}
	if g.chance(12) {
		e.Refused = "refused by policy"
	}
	if g.chance(10) {
		e.Role = pick(g, []string{"01", "02", "03"})
	}
	e.Specialised = g.chance(10)
	if g.chance(15) {
		e.Priority = g.IntN(3)
	}
	if g.chance(30) {
		e.LB = "L1.LB." + strconv.Itoa(g.IntN(2))
	}
	if b, end := oTime(e.Begin, registry.ParseTime), oTime(e.End, registry.ParseEnd); e.Source == "" && !b.IsZero() && !end.IsZero() && !b.Before(end) {
		e.End = "" // a load error in an operator's file
	}
	return e
}

func (g *generator) marktplatz(v *vector, n int) {
	for i, b := range []string{"efa-a", "efa-b"} {
		if i > 0 && g.chance(30) {
			continue
		}
		o := vectorOffer{Name: b + "-2026", Backend: b, Leistungen: map[string]string{}}
		for range 1 + g.IntN(4) {
			if l := pick(g, someLeistungen); l[:2] == "99" {
				o.Leistungen[l] = pick(g, someOffers[2*i:2*i+2])
			}
		}
		if len(o.Leistungen) == 0 {
			continue
		}
		if g.chance(25) {
			o.End = pick(g, []string{"2026-05-31", "2026-10-31"})
		}
		if g.chance(20) {
			o.Begin = pick(g, []string{"2025-06-01", "2026-01-01"})
		}
		v.Offers = append(v.Offers, o)
		for j := range g.IntN(n + 2) {
			g.adoption(v, &o, fmt.Sprintf("%s%d", b, j))
		}
	}
}

func (g *generator) adoption(v *vector, o *vectorOffer, id string) {
	a := vectorAdoption{ID: id, Offer: o.Name}
	for range 1 + g.IntN(3) {
		x := pick(g, g.areas)
		if !slices.ContainsFunc(a.Areas, func(y vectorAdopted) bool { return y.Area == x }) {
			a.Areas = append(a.Areas, vectorAdopted{Area: x, OE: pick(g, someUnits)})
		}
	}
	for range g.IntN(3) {
		a.Without = append(a.Without, g.below(pick(g, a.Areas).Area))
	}
	for _, l := range slices.Sorted(maps.Keys(o.Leistungen)) { // in order, so that a seed always makes the same
		if g.chance(10) {
			a.Leistungen = append(a.Leistungen, l)
		}
	}
	a.Begin = pick(g, []string{"", "", "2026-01-01", "2026-07-01"})
	if g.chance(25) {
		a.End = pick(g, []string{"2026-05-31", "2026-06-15 12:00", "2027-01-31"})
	}
	begin, end := (&oAdoption{begin: oTime(a.Begin, registry.ParseTime), end: oTime(a.End, registry.ParseEnd), offer: &oOffer{
		begin: oTime(o.Begin, registry.ParseTime), end: oTime(o.End, registry.ParseEnd),
	}}).span()
	own := a.Begin == "" || a.End == "" || oTime(a.Begin, registry.ParseTime).Before(oTime(a.End, registry.ParseEnd))
	if own && (end.IsZero() || begin.Before(end)) {
		v.Adoptions = append(v.Adoptions, a)
	}
}

// overrides never makes two of equal rank, which would be a load error.
func (g *generator) overrides(v *vector) {
	for i := range 1 + g.IntN(4) {
		o := vectorOverride{ID: "o" + strconv.Itoa(i), File: "00", Area: pick(g, someAreas), Until: pick(g, []string{"2026-06-15 12:00", "2027-12-31"}), Priority: i}
		if g.chance(60) {
			o.Area = pick(g, []string{"00", "01", "06", "06534", "01053", "04", "02", "120645410"})
		}
		if g.chance(50) {
			o.Priority = 0
		}
		switch g.IntN(3) {
		case 0:
			o.Leistung = pick(g, someLeistungen)
		case 1:
			o.Leistung = pick(g, []string{"99050", "99036"})
		}
		if o.Area == "00" && (o.Leistung == "" || o.Leistung[:2] != "99") {
			o.Leistung = "99050"
		}
		if g.chance(30) {
			o.Sender = "hessen"
		}
		if g.chance(30) {
			o.From = "2026-01-01"
		}
		switch g.IntN(6) {
		case 0, 1, 2:
			o.Gone = "Satzung aufgehoben"
		case 3:
			o.To.one = "listed"
		default:
			o.To.one = pick(g, someURLs[:4])
		}
		touched := slices.Contains([]string{"064350014014", "064350014", "010530090090", "010530090", "010530032032", "010530032", "010530083083", "010530083"}, o.Area)
		if !touched && !slices.ContainsFunc(v.Overrides, func(p vectorOverride) bool {
			return o.Priority == p.Priority && o.Leistung == p.Leistung && o.Sender == p.Sender
		}) {
			v.Overrides = append(v.Overrides, o)
		}
	}
}

// ask makes a question; three of four are about a row and a place at or below it.
func (g *generator) ask(v *vector) vectorAsk {
	a := vectorAsk{Leistung: pick(g, someLeistungen), At: pick(g, someTimes), Sender: pick(g, []string{"hessen", "bund"})}
	area := pick(g, g.areas)
	switch {
	case g.chance(8):
		return a
	case g.chance(25) && len(v.Overrides) > 0:
		o := pick(g, v.Overrides)
		if area = g.below(o.Area); len(o.Leistung) == 14 {
			a.Leistung = o.Leistung
		}
	case g.chance(15) && len(v.Adoptions) > 0:
		x := pick(g, v.Adoptions)
		area = pick(g, x.Areas).Area
		for i := range v.Offers {
			if o := &v.Offers[i]; o.Name == x.Offer {
				a.Leistung = slices.Sorted(maps.Keys(o.Leistungen))[g.IntN(len(o.Leistungen))]
			}
		}
	case g.chance(75):
		e := pick(g, v.Entries)
		a.Leistung, area = e.Leistung, g.below(e.Area)
	}
	a.Area = &area
	return a
}

// below is an area at or below another, a Gemeinde if it can.
func (g *generator) below(upper string) string {
	upper = strings.TrimRight(upper, "0")
	for range 20 {
		if a := pick(g, g.areas); strings.HasPrefix(a, upper) && len(a) == 12 {
			return a
		}
	}
	return pick(g, g.areas)
}

// answer asks the table and describes what it says as the oracle does.
func (l *loaded) answer(v *vector, table *routing.Table, q *routing.Query) oAnswer {
	table, asked, failed := l.lookUp(v, table, q)
	if failed {
		return oAnswer{verdict: "registry_unavailable", asked: asked}
	}
	a := l.said(table, q)
	a.asked = asked
	return a
}

// said is the answer of a table that has all that it needs.
func (l *loaded) said(table *routing.Table, q *routing.Query) oAnswer {
	x := table.Explain(q, routing.Asked{})
	d := table.Resolve(q)
	a := oAnswer{verdict: d.Verdict.String()}
	if x.Decision != d {
		a.verdict += " (Explain decided otherwise: " + x.Decision.Verdict.String() + ")"
	}
	if d.Verdict == routing.Handover {
		url, err := table.AppendURL(nil, q, &d)
		if err != nil {
			url = []byte(err.Error())
		}
		a.url, a.backend, a.key = string(url), table.BackendName(d.Backend), d.Key.String()
		a.oe, _, _ = table.Context(&d)
		if d.Row != routing.NoRow {
			a.kind, a.winner = d.Kind.String(), l.ids[table.Row(d.Row).Origin.String()]
		}
		if d.Override < 0 {
			a.area = cmp.Or(l.areas.ARS(d.Area).String(), "00")
		}
	}
	if d.Verdict == routing.Ambiguous {
		for _, c := range table.Candidates(q, &d) {
			a.tied = append(a.tied, l.ids[table.Row(c.Row).Origin.String()])
		}
	}
	for _, c := range x.Candidates {
		if c.Outcome == routing.Lost {
			a.losers = append(a.losers, oLoser{l.ids[c.Row.Origin.String()], c.Why.String()})
		}
	}
	return a
}

// visible drops what only an inner state of the oracle tells.
func (a oAnswer) visible() string {
	if a.verdict != "handover" {
		a = oAnswer{verdict: a.verdict, tied: a.tied, losers: a.losers, asked: a.asked}
	}
	return fmt.Sprintf("%s backend=%s url=%s kind=%s area=%s key=%s winner=%s oe=%s tied=%v losers=%v asked=%v",
		a.verdict, a.backend, a.url, a.kind, a.area, a.key, a.winner, a.oe, a.tied, a.losers, a.asked)
}

// trial is one registry and how many questions it is asked.
type trial struct {
	rows, questions int
	embedded        bool
}

// trials are 20 000 questions, or with PVGATE_PROVE a million, of registries from 1 to 100 000 rows.
func trials() []trial {
	var list []trial
	small := []int{1, 3, 6, 10, 15, 20, 25, 30, 40, 60}
	if os.Getenv("PVGATE_PROVE") == "" {
		for i := range 100 {
			list = append(list, trial{rows: small[i%len(small)], questions: 195})
		}
		return append(list, trial{rows: 1000, questions: 500})
	}
	for i := range 4950 {
		list = append(list, trial{rows: small[i%len(small)], questions: 200})
	}
	for i := range 20 {
		list = append(list, trial{rows: 1000, questions: 900, embedded: i%2 == 0})
	}
	return append(list, trial{10_000, 1500, false}, trial{10_000, 1000, true}, trial{100_000, 300, false}, trial{100_000, 200, true})
}

// firstSeed is that of a failure that is to be seen again, or 1.
func firstSeed(t *testing.T) uint64 {
	t.Helper()
	s := os.Getenv("PVGATE_SEED")
	if s == "" {
		return 1
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTableAgreesWithOracle(t *testing.T) {
	t.Parallel()
	first := firstSeed(t)
	verdicts, asked, failures := map[string]int{}, 0, 0
	for i, tr := range trials() {
		seed := first + uint64(i)
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
		v := g.world(tr.rows, tr.embedded)
		l := load(v)
		table, problems := compiled(l.in)
		if l.err != nil || table == nil {
			t.Fatalf("PVGATE_SEED=%d: does not load: %v %v\n%s", seed, l.err, problems, asJSON(v))
		}
		dir := directory(v)
		w := oracleWorld(v, dir, mutantNone)
		for n := range tr.questions {
			v.Ask = g.ask(v)
			if g.answers(v, n); len(v.Lookups) > 0 {
				w.answers = oracleWorld(&vector{Backends: v.Backends, Sources: v.Sources, Lookups: v.Lookups, Answers: v.Answers}, dir, mutantNone).answers
			}
			q, reason, _ := oAsk(&v.Ask, w.dir)
			if reason != "" {
				continue
			}
			asked++
			query, err := l.question(&v.Ask)
			if err != nil {
				t.Fatalf("PVGATE_SEED=%d: question refused: %v\n%s", seed, err, asJSON(&v.Ask))
			}
			want := w.resolve(q, mutantNone)
			verdicts[want.verdict]++
			if got, want := l.answer(v, table, &query).visible(), want.visible(); got != want {
				t.Errorf("PVGATE_SEED=%d:\n got %s\nwant %s\n%s", seed, got, want, asJSON(v))
				if failures++; failures == 3 {
					t.FailNow()
				}
			}
		}
	}
	t.Logf("%d questions: %v", asked, verdicts)
	for v := routing.Handover; int(v) < routing.Verdicts; v++ {
		name := v.String()
		if v == routing.Pending { // what it ends with at worst
			name = "registry_unavailable"
		}
		if n := verdicts[name]; n*50 < asked {
			t.Errorf("verdict %s: %d of %d questions, want at least 2 %%", name, n, asked)
		}
	}
}

// asJSON prints a vector without the areas, which are always the same.
func asJSON(v any) string {
	if w, ok := v.(*vector); ok {
		short := *w
		short.Areas = vectorAreas{embedded: true}
		v = short
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (a vectorAreas) MarshalJSON() ([]byte, error) {
	if a.embedded {
		return []byte(`"embedded"`), nil
	}
	return json.Marshal(a.list)
}

func (t vectorTo) MarshalJSON() ([]byte, error) {
	if t.weights != nil {
		return json.Marshal(t.weights)
	}
	return json.Marshal(t.one)
}

// TestGeneratedQuestionsCatchMutants: the generator reaches what the mistakes change.
func TestGeneratedQuestionsCatchMutants(t *testing.T) {
	t.Parallel()
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 300; seed++ {
				g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
				v := g.world(5+int(seed%40), false)
				d := directory(v)
				right, wrong := oracleWorld(v, d, mutantNone), oracleWorld(v, d, m.mutant)
				for n := range 50 {
					a := g.ask(v)
					if v.Ask = a; len(v.Lookups) > 0 {
						g.answers(v, n)
						right.answers = oracleWorld(&vector{Backends: v.Backends, Sources: v.Sources, Lookups: v.Lookups, Answers: v.Answers}, d, mutantNone).answers
						wrong.answers = right.answers
					}
					if q, reason, _ := oAsk(&a, d); reason == "" && right.resolve(q, mutantNone).visible() != wrong.resolve(q, m.mutant).visible() {
						return
					}
				}
			}
			t.Error("no generated question notices this mistake")
		})
	}
}
