// SPDX-License-Identifier: EUPL-1.2

package routing_test

// The oracle is a second resolver, written from the text of the rules and from nothing else: every question scans all
// rows, keys are texts, nothing is prepared. It is slow and short on purpose, so that a reader can hold each function
// against its rule. It shares no code with package routing; of registry it uses the vocabulary only.
//
// A mutant is a deliberate mistake. mutants_test.go shows that the vectors notice each of them.

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// oRow is one row: an entry, or what an adoption makes of an offer.
type oRow struct {
	id, leistung, area string // area: canonical key, "" = Bund
	kind               registry.Kind
	backend, url       string // backend as R16 finds it; url literal or template text
	template           bool
	urls               []registry.LangURL
	title, lang        string
	begin, end         time.Time
	inactive, refused  bool
	role               string
	specialised        bool
	priority           int
	oe, lb, od         string
	source             int
	adoption           *oAdoption // nil for entries
}

type oOffer struct {
	name, backend string
	begin, end    time.Time
	leistungen    map[string]string
}

type oAdoption struct {
	offer          *oOffer
	areas, without []string
	leistungen     []string
	begin, end     time.Time
}

type oOverride struct {
	id, area, leistung, group, sender string
	from, until                       time.Time
	priority                          int
	backend, url                      string // target
	pin                               bool   // names a backend; url is then the backend's root
	gone                              bool
}

// oWorld is everything a question is asked of.
type oWorld struct {
	lookups   bool // there are sources that are asked for one key at a time
	answers   []oLookup
	dir       *oDirectory
	rows      []*oRow // adoption-made ones last
	adoptions []*oAdoption
	overrides []*oOverride
	closed    map[string]bool // backends that an offer names (R9)
	require   map[string][]string
	parentKey map[string]bool // by Land, "01"
	successor map[string]string
	types     map[string][]string
}

type oQuery struct {
	leistung, area string // no area named = Bund (R12)
	at             time.Time
	sender, lang   string
}

// oLookup is what a look-up source says when it is asked for a Leistung in an area; about all else it knows nothing.
type oLookup struct {
	leistung, area string
	fails          bool
	rows           []*oRow
}

type oLoser struct{ id, why string }

type oAnswer struct {
	verdict, backend, url, kind, area, key string
	winner, oe                             string
	tied, asked                            []string
	losers                                 []oLoser
}

// mutant selects a mistake; the zero value makes none.
type mutant int

// seat is a row where it lies at the asked time, seen from the asked area.
type seat struct {
	row   *oRow
	depth int    // place in the chain, 0 = the asked area
	area  string // that place
	moved bool   // came by a dated change (R4)
	key   int    // place in the list of keys
	why   string // "" while it may win
	live  bool   // by R7 alone
}

// resolve answers one question: R15, and everything else of what is known then.
func (w *oWorld) resolve(q oQuery, m mutant) oAnswer {
	known := *w
	var asked []string
	for {
		key := known.lookUp(q, asked, m)
		if key == "" {
			a := known.answer(q, m)
			a.asked = asked
			return a
		}
		asked = append(asked, key+"@"+q.area)
		for _, a := range w.answers {
			if a.leistung != key || a.area != q.area {
				continue
			}
			if a.fails && m != mutantFailureIsEmpty {
				return oAnswer{verdict: "registry_unavailable", asked: asked}
			}
			for _, r := range a.rows {
				if m == mutantLookupAtAsked {
					moved := *r
					moved.area, r = q.area, &moved
				}
				known.rows = append(slices.Clone(known.rows), r)
			}
		}
	}
}

// lookUp is R15: the key that has to be looked up before there can be an answer, "" if there is none. That is the first
// one of the list, for a Gemeinde, for which the first walk is empty, if nothing of a key before it answers.
func (w *oWorld) lookUp(q oQuery, asked []string, m mutant) string {
	chain := w.dir.chain(q.area)
	if !w.lookups || len(q.area) != 12 || w.override(q, chain, m) != nil {
		return ""
	}
	keys := w.keys(q, chain, m)
	seats := w.seats(q, chain, keys, m)
	has := func(key int, kind registry.Kind) bool {
		return slices.ContainsFunc(seats, func(s *seat) bool {
			closed := s.why == "not_joined" || s.why == "left"
			return s.key == key && s.row.kind == kind && (s.why == "" || m == mutantClosedStopsLookup && closed) &&
				!(m == mutantBlockedIsNoService && s.row.refused)
		})
	}
	for i, key := range keys {
		page := has(i, registry.Page)
		if has(i, registry.Service) || m == mutantPageStopsLookup && page {
			return ""
		}
		if !slices.Contains(asked, key+"@"+q.area) && !(m == mutantAskedKeyOnly && i > 0) {
			return key
		}
		if page {
			return ""
		}
	}
	return ""
}

// answer is what is said of the rows that are known.
func (w *oWorld) answer(q oQuery, m mutant) oAnswer {
	chain := w.dir.chain(q.area)
	keys := w.keys(q, chain, m)
	seats := w.seats(q, chain, keys, m)
	if o := w.override(q, chain, m); o != nil {
		return w.overridden(q, o, keys, len(chain), seats, m)
	}
	if q.area == "" && !federal(q.leistung) {
		return oAnswer{verdict: "area_required"} // R12, last sentence
	}
	won := w.walk(seats, len(keys), len(chain), m)
	tied, a := w.tie(q, won, keys, m)
	unsaid := w.lookups && len(q.area) != 12 && !(len(won) > 0 && won[0].row.kind == registry.Service) // R12 with R15
	if unsaid && m != mutantCoarseWithoutLookups || w.differsInside(q, keys, tied, a, nil, m) {
		a = oAnswer{verdict: "area_required"}
	}
	if a.verdict == "" {
		a.verdict = w.nothing(q, seats)
	}
	a.losers = losers(seats, m)
	return a
}

// keys is R8's list: the asked key, its successor, its parent.
func (w *oWorld) keys(q oQuery, chain []string, m mutant) []string {
	keys := []string{q.leistung}
	if !federal(q.leistung) {
		return keys // R1
	}
	live := slices.ContainsFunc(w.seats(q, chain, keys, m), func(s *seat) bool { return s.live })
	var successor, parent string
	if s := w.successor[q.leistung]; s != "" && !live {
		successor = s
	}
	if p := q.leistung[:11] + "000"; w.parentKey[land(q.area)] && p != q.leistung && !strings.HasSuffix(p, "000000") {
		parent = p
	}
	if m == mutantParentBeforeSuccessor {
		successor, parent = parent, successor
	}
	for _, k := range []string{successor, parent} {
		if k != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	if top := q.leistung[:8] + "000000"; m == mutantUpwardTwice && w.parentKey[land(q.area)] && !slices.Contains(keys, top) {
		keys = append(keys, top)
	}
	return keys
}

// seats finds every row of the keys in the chain and says which of them may not win for a cause of their own.
func (w *oWorld) seats(q oQuery, chain, keys []string, m mutant) []*seat {
	var all []*seat
	for _, r := range w.rows {
		k := slices.Index(keys, r.leistung)
		if k < 0 {
			continue
		}
		for _, p := range w.dir.at(r.area, q.at) {
			if d := slices.Index(chain, p.area); d >= 0 {
				s := &seat{row: r, depth: d, area: p.area, moved: p.moved, key: k}
				s.why, s.live = w.bar(r, q.area, q.at, m), r.dead(q.at, m) == ""
				all = append(all, s)
			}
		}
	}
	return all
}

// dead is R7: why a row is not live, "" if it is.
func (r *oRow) dead(at time.Time, m mutant) string {
	begin, end := r.begin, r.end
	if m == mutantEndInclusive && !end.IsZero() {
		end = end.Add(time.Second)
	}
	switch {
	case !begin.IsZero() && at.Before(begin):
		return "not_yet"
	case !end.IsZero() && !at.Before(end):
		return "expired"
	case r.inactive:
		return "inactive"
	}
	return ""
}

// bar is R7 and R9: why a row cannot win for this area at this time, "" if it can.
func (w *oWorld) bar(r *oRow, area string, at time.Time, m mutant) string {
	dead := r.dead(at, m)
	if dead == "not_yet" || dead == "expired" {
		return dead
	}
	if cover := w.cover(r, area, at, m); cover == "expired" || dead == "" {
		return cover
	}
	return dead
}

// cover is R9: "" if the row's backend is open to the area.
func (w *oWorld) cover(r *oRow, area string, at time.Time, m mutant) string {
	if !w.closed[r.backend] || m == mutantClosedIsOpen {
		return ""
	}
	if r.adoption != nil {
		if w.without(r.adoption, area, at) && m != mutantWithoutIgnored {
			return "left"
		}
		return ""
	}
	why := "not_joined"
	for _, a := range w.adoptions {
		if a.offer.backend != r.backend || !a.grants(r.leistung) || !w.covers(a.areas, area, at) {
			continue
		}
		begin, end := a.span()
		without := w.without(a, area, at) && m != mutantWithoutIgnored
		switch {
		case !begin.IsZero() && at.Before(begin):
		case !end.IsZero() && !at.Before(end):
			if !without {
				why = "expired"
			}
		case !without:
			return ""
		case why != "expired":
			why = "left"
		}
	}
	return why
}

func (w *oWorld) covers(areas []string, area string, at time.Time) bool {
	for _, k := range areas {
		for _, p := range w.dir.at(k, at) {
			if slices.Contains(w.dir.chain(area), p.area) {
				return true
			}
		}
	}
	return false
}

func (w *oWorld) without(a *oAdoption, area string, at time.Time) bool {
	return w.covers(a.without, area, at)
}

func (a *oAdoption) grants(leistung string) bool {
	_, ok := a.offer.leistungen[leistung]
	return ok && (len(a.leistungen) == 0 || slices.Contains(a.leistungen, leistung))
}

// span is when an adoption lives: by its own and its offer's dates.
func (a *oAdoption) span() (begin, end time.Time) {
	begin, end = a.begin, a.end
	if begin.IsZero() || a.offer.begin.After(begin) {
		begin = a.offer.begin
	}
	if end.IsZero() || !a.offer.end.IsZero() && a.offer.end.Before(end) {
		end = a.offer.end
	}
	return begin, end
}

// walk is R8: for each key the services of the chain, then the pages; the first area with a candidate wins. Whoever
// does not stand there gets its why.
func (w *oWorld) walk(seats []*seat, keys, areas int, m mutant) []*seat {
	var won []*seat
	for key := 0; key < keys && won == nil; key++ {
		for _, kind := range []registry.Kind{registry.Service, registry.Page} {
			for depth := 0; depth < areas && won == nil; depth++ {
				for _, s := range seats {
					page := s.row.kind == kind
					if m == mutantPageHidesService {
						page = true
					}
					if m == mutantBlockedSkipped && s.row.refused {
						continue
					}
					if s.why == "" && s.key == key && page && s.depth == depth {
						won = append(won, s)
					}
				}
			}
		}
	}
	for _, s := range seats {
		switch {
		case s.why != "" || slices.Contains(won, s) || won == nil:
		case s.key != won[0].key:
			s.why = "other_key"
		case s.row.kind != won[0].row.kind:
			s.why = "page_after_service"
		default:
			s.why = "less_local"
		}
	}
	if m == mutantSourceAcrossAreas && won != nil {
		for _, s := range seats {
			if s.why == "less_local" && s.row.source < won[0].row.source && s.row.kind == won[0].row.kind {
				won[0].why, s.why, won = "source_order", "", []*seat{s}
			}
		}
	}
	return won
}

// better are R10's criteria in order: the row for which the number is smaller stays.
var better = []struct {
	why  string
	rank func(*seat) int
}{
	{"source_order", func(s *seat) int { return s.row.source }},
	{"alias", func(s *seat) int { return number(s.moved) }},
	{"not_specialised", func(s *seat) int { return number(!s.row.specialised) }},
	{"role", func(s *seat) int { return number(s.row.role != "" && s.row.role != "01") }},
	{"priority", func(s *seat) int { return -s.row.priority }},
}

// tie is R10 and R11: what is left of the rows at the winning place.
func (w *oWorld) tie(q oQuery, won []*seat, keys []string, m mutant) ([]*seat, oAnswer) {
	if len(won) == 0 {
		return nil, oAnswer{}
	}
	for _, b := range better {
		if m == mutantRoleIgnored && b.why == "role" {
			continue
		}
		if m == mutantAliasBeatsNative && b.why == "alias" {
			b.rank = func(s *seat) int { return -number(s.moved) }
		}
		best := b.rank(slices.MinFunc(won, func(x, y *seat) int { return cmp.Compare(b.rank(x), b.rank(y)) }))
		var rest []*seat
		for _, s := range won {
			if b.rank(s) == best {
				rest = append(rest, s)
			} else {
				s.why = b.why
			}
		}
		won = rest
	}
	slices.SortStableFunc(won, byName)
	merged := map[string]*seat{}
	var targets []*seat
	for _, s := range won {
		t := s.target()
		if merged[t] != nil {
			s.why = "same_target"
			continue
		}
		merged[t] = s
		targets = append(targets, s)
	}
	if len(targets) == 1 {
		return w.one(q, won, keys, m)
	}
	a := oAnswer{verdict: "ambiguous", key: keys[won[0].key]}
	for _, s := range targets {
		a.tied = append(a.tied, s.row.id)
	}
	return targets, a
}

// one is what follows when one target is left: refused (R7), lacking its context (R11), or the answer.
func (w *oWorld) one(q oQuery, won []*seat, keys []string, m mutant) ([]*seat, oAnswer) {
	s := won[0]
	a := oAnswer{verdict: "handover", backend: s.row.backend, kind: s.row.kind.String(), area: pad00(s.area), key: keys[s.key], winner: s.row.id}
	if s.row.refused {
		a.verdict = "target_refused"
		return won[:1], a
	}
	oe := only(won, func(r *oRow) string { return r.oe })
	if s.row.template && slices.Contains(w.require[s.row.backend], "oe_id") && oe == "" && m != mutantRequireIgnored {
		return w.overUnits(won, oAnswer{verdict: "ambiguous", key: a.key})
	}
	a.oe = oe
	fill := oFill{
		q: q, dir: w.dir, key: a.key, oe: oe,
		lb: only(won, func(r *oRow) string { return r.lb }), od: only(won, func(r *oRow) string { return r.od }),
	}
	var ok bool
	if a.url, ok = fill.url(s.row); !ok {
		a.verdict = "target_refused"
	}
	return won[:1], a
}

// overUnits lists the rows by their unit (R11).
func (w *oWorld) overUnits(won []*seat, a oAnswer) ([]*seat, oAnswer) {
	seen := map[string]bool{}
	var targets []*seat
	for _, s := range won {
		if seen[s.row.oe] {
			s.why = "same_target"
			continue
		}
		s.why = ""
		seen[s.row.oe] = true
		targets = append(targets, s)
		a.tied = append(a.tied, s.row.id)
	}
	return targets, a
}

// only is the value that all rows of the target have in common, R11.
func only(won []*seat, value func(*oRow) string) string {
	found := ""
	for _, s := range won {
		switch v := value(s.row); {
		case v == "" || v == found:
		case found == "":
			found = v
		default:
			return ""
		}
	}
	return found
}

// target is what makes two rows one (R10).
func (s *seat) target() string {
	return s.row.backend + " " + s.row.url + " " + string('0'+rune(number(s.row.refused)))
}

// nothing is R13.
func (w *oWorld) nothing(q oQuery, seats []*seat) string {
	has := func(whys ...string) bool {
		return slices.ContainsFunc(seats, func(s *seat) bool { return slices.Contains(whys, s.why) })
	}
	information := len(w.types[q.leistung]) > 0
	for _, t := range w.types[q.leistung] {
		information = information && slices.Contains([]string{"6", "7", "10", "11", "12"}, t)
	}
	switch {
	case has("not_joined", "left"):
		return "not_joined"
	case has("expired"):
		return "expired"
	case information:
		return "not_an_application"
	case !slices.ContainsFunc(w.rows, func(r *oRow) bool { return r.leistung == q.leistung }):
		return "unknown_leistung"
	}
	return "no_route"
}

// losers lists who did not win: dead rows last; among the others by key, services before pages, rows that R9 keeps out
// after those that could have won, then in chain order, then as R10 would rank them.
func losers(seats []*seat, m mutant) []oLoser {
	var lost []*seat
	for _, s := range seats {
		if s.why != "" {
			lost = append(lost, s)
		}
	}
	dead := func(s *seat) int {
		return number(s.why == "not_yet" || s.why == "expired" || s.why == "inactive")
	}
	out := func(s *seat) int { return number(s.why == "not_joined" || s.why == "left") }
	slices.SortStableFunc(lost, func(x, y *seat) int {
		return cmp.Or(cmp.Compare(dead(x), dead(y)), cmp.Compare(x.key, y.key), cmp.Compare(x.row.kind, y.row.kind),
			cmp.Compare(out(x), out(y)), cmp.Compare(x.depth, y.depth), byRank(x, y), byName(x, y))
	})
	var list []oLoser
	for _, s := range lost {
		list = append(list, oLoser{s.row.id, s.why})
	}
	if m == mutantLosersUnsorted {
		slices.Reverse(list)
	}
	return list
}

func byRank(x, y *seat) int {
	for _, b := range better {
		if c := cmp.Compare(b.rank(x), b.rank(y)); c != 0 {
			return c
		}
	}
	return 0
}

func byName(x, y *seat) int {
	return cmp.Or(cmp.Compare(x.row.title, y.row.title), cmp.Compare(x.row.url, y.row.url))
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func federal(leistung string) bool { return strings.HasPrefix(leistung, "99") }

func land(area string) string {
	if area == "" {
		return "00"
	}
	return area[:2]
}

func pad00(area string) string {
	if area == "" {
		return "00"
	}
	return area
}
