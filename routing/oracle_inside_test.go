// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// matches is R6 without the area.
func (o *oOverride) matches(q oQuery) bool {
	return (o.leistung == "" || o.leistung == q.leistung) && (o.group == "" || o.group == q.leistung[:5]) &&
		(o.sender == "" || o.sender == q.sender) && (o.from.IsZero() || !q.at.Before(o.from)) && q.at.Before(o.until)
}

// length of the Leistung that an override names.
func (o *oOverride) length() int { return len(o.leistung) + len(o.group) }

// compareRank is negative if x goes before y (R6).
func compareRank(x, y *oOverride, depthX, depthY int, m mutant) int {
	priority, depth := cmp.Compare(y.priority, x.priority), cmp.Compare(depthX, depthY)
	if m == mutantDepthBeforePriority {
		priority, depth = depth, priority
	}
	return cmp.Or(priority, depth, cmp.Compare(y.length(), x.length()), cmp.Compare(number(x.sender == ""), number(y.sender == "")))
}

// override is R6: the best one that matches, nil if none does.
func (w *oWorld) override(q oQuery, chain []string, m mutant) *oOverride {
	var best *oOverride
	bestDepth := 0
	for _, o := range w.overrides {
		if !o.matches(q) {
			continue
		}
		for _, p := range w.dir.at(o.area, q.at) {
			depth := slices.Index(chain, p.area)
			if depth >= 0 && (best == nil || compareRank(o, best, depth, bestDepth, m) < 0) {
				best, bestDepth = o, depth
			}
		}
	}
	return best
}

// overridden is the answer of an override. One that names a backend takes the address of the best row that leads
// there, if there is one.
func (w *oWorld) overridden(q oQuery, o *oOverride, keys []string, areas int, seats []*seat, m mutant) oAnswer {
	var pinned []*seat
	for _, s := range seats {
		switch {
		case s.why != "":
		case o.pin && s.row.backend == o.backend:
			pinned = append(pinned, s)
		default:
			s.why = "override"
		}
	}
	tied, a := w.tie(q, w.walk(pinned, len(keys), areas, m), keys, m)
	if a.verdict == "" {
		a = oAnswer{verdict: "handover", backend: o.backend, url: o.url, key: q.leistung}
	}
	if a.area = ""; o.gone {
		a = oAnswer{verdict: "gone"}
	}
	if w.differsInside(q, keys, tied, a, o, m) {
		a = oAnswer{verdict: "area_required"}
	}
	for _, s := range pinned {
		if s.why != "" {
			s.why = "override"
		}
	}
	a.losers = losers(seats, m)
	return a
}

func (o *oOverride) same(x *oOverride) bool {
	return o.gone == x.gone && o.backend == x.backend && o.url == x.url
}

// differsInside is R12: would anybody inside an area above the Gemeinden get another answer? o is the override that
// answered, if one did, and tied what is left of the walk.
func (w *oWorld) differsInside(q oQuery, keys []string, tied []*seat, a oAnswer, o *oOverride, m mutant) bool {
	if len(q.area) == 12 || m == mutantInsideIgnored {
		return false
	}
	if w.overriddenInside(q, tied, a, o) {
		return true
	}
	if o != nil && len(tied) == 0 {
		return false // an override answers everybody inside, whatever rows there are
	}
	for _, r := range w.rows {
		if w.keepsSuccessorOut(r, q, keys, tied) || (o == nil || r.backend == o.backend) && w.disturbs(r, q, keys, tied, a.verdict == "ambiguous", m) {
			return true
		}
	}
	return single(tied) != "" && m != mutantExclusionIgnored && w.excludedInside(tied[0].row, q, m)
}

// overriddenInside looks for an override strictly inside that says something else and is not outranked.
func (w *oWorld) overriddenInside(q oQuery, tied []*seat, a oAnswer, o *oOverride) bool {
	for _, x := range w.overrides {
		if !x.matches(q) || !slices.ContainsFunc(w.dir.at(x.area, q.at), func(p place) bool { return w.dir.inside(q.area, p.area) }) {
			continue
		}
		switch {
		case o != nil && (x.priority < o.priority || x.same(o)):
		case o == nil && a.verdict == "handover" && !x.gone && x.backend == a.backend && (x.pin || x.url == tied[0].row.url):
		default:
			return true
		}
	}
	return false
}

// keepsSuccessorOut: where the asked key has a live row, open or not, its successor is not asked (R8), so an answer by
// the successor does not hold there.
func (w *oWorld) keepsSuccessorOut(r *oRow, q oQuery, keys []string, tied []*seat) bool {
	return len(tied) > 0 && tied[0].key > 0 && keys[tied[0].key] == w.successor[q.leistung] && r.leistung == q.leistung && r.dead(q.at, 0) == "" &&
		slices.ContainsFunc(w.dir.at(r.area, q.at), func(p place) bool { return w.dir.inside(q.area, p.area) })
}

// disturbs says whether a row inside the asked area would answer differently there.
func (w *oWorld) disturbs(r *oRow, q oQuery, keys []string, tied []*seat, choice bool, m mutant) bool {
	for _, p := range w.dir.at(r.area, q.at) {
		if !w.dir.inside(q.area, p.area) || w.bar(r, p.area, q.at, m) != "" {
			continue
		}
		key := slices.Index(keys, r.leistung)
		if key < 0 && len(tied) == 0 && w.parentOf(q.leistung, p.area) == r.leistung {
			key = len(keys) // allowed in that Land, though not for the area that was asked
		}
		switch {
		case key < 0:
		case len(tied) == 0:
			return true
		case key > tied[0].key, key == tied[0].key && r.kind > tied[0].row.kind:
		case key < tied[0].key, choice, (&seat{row: r}).target() != tied[0].target():
			return true
		}
	}
	return false
}

func (w *oWorld) parentOf(leistung, area string) string {
	p := leistung[:11] + "000"
	if !federal(leistung) || !w.parentKey[land(area)] || p == leistung || strings.HasSuffix(p, "000000") {
		return ""
	}
	return p
}

// excludedInside is R12's exclusion: the adoption that opens the winner's backend here leaves out a part of the area,
// and the walk there ends elsewhere.
func (w *oWorld) excludedInside(r *oRow, q oQuery, m mutant) bool {
	if !w.closed[r.backend] {
		return false
	}
	for _, a := range w.adoptions {
		begin, end := a.span()
		live := (begin.IsZero() || !q.at.Before(begin)) && (end.IsZero() || q.at.Before(end))
		if !live || a.offer.backend != r.backend || !a.grants(r.leistung) || !w.covers(a.areas, q.area, q.at) || w.without(a, q.area, q.at) {
			continue
		}
		for _, x := range a.without {
			for _, p := range w.dir.at(x, q.at) {
				if w.dir.inside(q.area, p.area) && w.endsElsewhere(r, q, p.area, m) {
					return true
				}
			}
		}
	}
	return false
}

// endsElsewhere walks for another area and compares the target.
func (w *oWorld) endsElsewhere(r *oRow, q oQuery, area string, m mutant) bool {
	q.area = area
	chain := w.dir.chain(area)
	keys := w.keys(q, chain, m)
	tied, _ := w.tie(q, w.walk(w.seats(q, chain, keys, m), len(keys), len(chain), m), keys, m)
	return single(tied) != (&seat{row: r}).target()
}

// single is the target if there is one, over however many units.
func single(tied []*seat) string {
	if len(tied) == 0 || slices.ContainsFunc(tied, func(s *seat) bool { return s.target() != tied[0].target() }) {
		return ""
	}
	return tied[0].target()
}

// oFill fills templates (R11, R16, CONTRACT 13).
type oFill struct {
	q              oQuery
	dir            *oDirectory
	key            string
	oe, lb, od     string
	emptyInAddress bool
}

// url is the address of a row, not ok if a value of its path or fragment is empty.
func (f *oFill) url(r *oRow) (string, bool) {
	if !r.template {
		return f.literal(r), true
	}
	rest, fragment, hasFragment := strings.Cut(r.url, "#")
	path, query, hasQuery := strings.Cut(rest, "?")
	out := f.text(path, true)
	if hasQuery {
		var kept []string
		for _, p := range strings.Split(query, "&") {
			name, value, _ := strings.Cut(p, "=")
			if v := f.text(value, false); v != "" || value == "" {
				kept = append(kept, name+p[len(name):len(p)-len(value)]+v)
			}
		}
		if len(kept) > 0 || query == "" {
			out += "?" + strings.Join(kept, "&")
		}
	}
	if hasFragment {
		out += "#" + f.text(fragment, true)
	}
	return out, !f.emptyInAddress
}

// literal is R16's last sentence: asked language, German, first.
func (f *oFill) literal(r *oRow) string {
	all := append([]registry.LangURL{{Lang: cmp.Or(r.lang, "de"), URL: r.url}}, r.urls...)
	for _, lang := range []string{cmp.Or(f.q.lang, "de"), "de"} {
		for _, u := range all {
			if u.Lang == lang {
				return u.URL
			}
		}
	}
	return r.url
}

// text fills the placeholders of one part.
func (f *oFill) text(s string, needed bool) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		v := f.value(name)
		if v == "" && needed {
			f.emptyInAddress = true
		}
		b.WriteString(v)
		s = after
	}
}

func (f *oFill) value(name string) string {
	padded := (f.q.area + strings.Repeat("0", 12))[:12]
	tail := func(id, mark string) string {
		if i := strings.LastIndex(id, mark); i >= 0 {
			return id[i+len(mark):]
		}
		return id
	}
	if n, ok := strings.CutPrefix(name, "ars:"); ok {
		return padded[:slices.Index([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}, n)]
	}
	switch name {
	case "leistung":
		return f.key
	case "ars":
		return padded
	case "land":
		return padded[:2]
	case "ags":
		if len(f.q.area) == 12 {
			return padded[:5] + padded[9:]
		}
	case "lang":
		return cmp.Or(f.q.lang, "de")
	case "locale":
		return map[string]string{"": "de_DE", "de": "de_DE", "en": "en_GB"}[f.q.lang]
	case "oe_id":
		return f.oe
	case "lb_id":
		return f.lb
	case "od_id":
		return f.od
	case "oe":
		return tail(f.oe, ".OE.")
	case "lb":
		return tail(f.lb, ".LB.")
	case "od":
		return tail(f.od, ".OD.")
	}
	return ""
}
