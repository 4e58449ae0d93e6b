// SPDX-License-Identifier: EUPL-1.2

package routing_test

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// embeddedDirectory is the oracle's view of the official table. Nothing changes it after it is made.
var embeddedDirectory = sync.OnceValue(func() *oDirectory {
	areas, err := embedded()
	if err != nil {
		panic(err)
	}
	var keys []string
	for id := range areas.Len() {
		keys = append(keys, areas.ARS(registry.AreaID(id)).String())
	}
	return newDirectory(keys)
})

// directory reads areas and aliases of a vector.
func directory(v *vector) *oDirectory {
	if v.Areas.embedded && len(v.Aliases) == 0 {
		return embeddedDirectory()
	}
	var keys []string
	for _, a := range v.Areas.list {
		keys = append(keys, a.ARS)
	}
	if v.Areas.embedded {
		for k := range embeddedDirectory().known {
			keys = append(keys, k)
		}
	}
	d := newDirectory(keys)
	for _, a := range v.Aliases {
		d.alias(a.From, a.To, oTime(a.On, registry.ParseTime))
	}
	return d
}

func oTime(text string, parse func(string) (time.Time, error)) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := parse(text)
	if err != nil {
		panic(err) // a fault of the vector; the runner of package routing reports it with its name
	}
	return t
}

// oracleWorld reads a vector without any loader's checks.
func oracleWorld(v *vector, d *oDirectory, m mutant) *oWorld {
	w := &oWorld{
		dir: d, closed: map[string]bool{}, require: map[string][]string{}, parentKey: map[string]bool{},
		successor: map[string]string{}, types: map[string][]string{},
	}
	hosts, roots := map[string]string{}, map[string]string{}
	for _, b := range v.Backends {
		w.require[b.Name] = b.Require
		for i, h := range b.Hosts {
			hosts[strings.ToLower(h)] = b.Name
			if i == 0 {
				roots[b.Name] = "https://" + strings.ToLower(h)
			}
		}
		if b.Mode == "proxy" {
			roots[b.Name] = ""
		}
	}
	backendOf := func(url string) string {
		_, rest, _ := strings.Cut(url, "://")
		if i := strings.IndexAny(rest, "/?#:"); i >= 0 {
			rest = rest[:i]
		}
		host := strings.ToLower(rest)
		return cmp.Or(hosts[host], host)
	}
	for _, k := range v.ParentKey {
		w.parentKey[k] = true
	}
	for _, i := range v.Leistungen {
		w.types[i.Key], w.successor[i.Key] = i.Types, i.Successor
	}
	sources := append([]string{"operator", "marktplatz"}, v.Sources...)
	read := func(e *vectorEntry) {
		area, _ := d.native(e.Area)
		r := &oRow{
			id: e.ID, leistung: oLeistung(e.Leistung), area: area, url: e.URL, backend: e.Backend, title: e.Title, lang: e.Lang,
			begin: oTime(e.Begin, registry.ParseTime), end: oTime(e.End, registry.ParseEnd), inactive: e.Inactive, refused: e.Refused != "",
			role: e.Role, specialised: e.Specialised, priority: e.Priority, oe: e.OE, lb: e.LB, od: e.OD,
			source: slices.Index(sources, cmp.Or(e.Source, "operator")), template: e.Source == "" && strings.Contains(e.URL+e.Path, "{"),
		}
		for _, u := range e.URLs {
			r.urls = append(r.urls, registry.LangURL{Lang: u.Lang, URL: u.URL})
		}
		if e.Kind == "page" {
			r.kind = registry.Page
		}
		if e.Backend == "" {
			r.backend = backendOf(e.URL)
		} else if e.URL == "" {
			r.url = roots[e.Backend] + e.Path
		}
		if quarantined := !r.begin.IsZero() && !r.end.IsZero() && !r.begin.Before(r.end); !quarantined {
			w.rows = append(w.rows, r)
		}
	}
	for i := range v.Entries {
		read(&v.Entries[i])
	}
	w.readLookups(v, read)
	w.readMarktplatz(v, m)
	for _, o := range v.Overrides {
		area, _ := d.native(cmp.Or(o.Area, o.File))
		x := &oOverride{
			id: o.ID, area: area, sender: o.Sender, from: oTime(o.From, registry.ParseTime), until: oTime(o.Until, registry.ParseEnd),
			priority: o.Priority, gone: o.Gone != "",
		}
		if len(o.Leistung) == 5 {
			x.group = o.Leistung
		} else {
			x.leistung = o.Leistung
		}
		for b := range o.To.weights { // vectors give one part of 100
			o.To.one = b
		}
		if strings.Contains(o.To.one, "://") {
			x.backend, x.url = backendOf(o.To.one), o.To.one
		} else if !x.gone {
			x.backend, x.url, x.pin = o.To.one, roots[o.To.one]+"/", true
		}
		w.overrides = append(w.overrides, x)
	}
	return w
}

// readLookups reads what look-up sources will say, with what reads an entry into w.rows.
func (w *oWorld) readLookups(v *vector, read func(*vectorEntry)) {
	own := w.rows
	w.lookups = len(v.Lookups) > 0
	for _, a := range v.Answers {
		w.rows = nil
		area, _ := w.dir.native(a.Area)
		for _, e := range a.Entries {
			e.Source, e.Area = a.Source, cmp.Or(e.Area, a.Area) // where it says itself, else at the asked area
			read(&e)
		}
		w.answers = append(w.answers, oLookup{leistung: oLeistung(a.Leistung), area: area, fails: a.Fails, rows: w.rows})
	}
	w.rows = own
}

// isLive says whether the offer closes its backend and can be reused.
func (o *vectorOffer) isLive() bool { return o.State == "" || o.State == "live" }

// readMarktplatz makes rows of adoptions.
func (w *oWorld) readMarktplatz(v *vector, m mutant) {
	offers, live := map[string]*oOffer{}, map[string]bool{}
	for _, o := range v.Offers {
		live[o.Name] = o.isLive()
		offers[o.Name] = &oOffer{name: o.Name, backend: o.Backend, begin: oTime(o.Begin, registry.ParseTime), end: oTime(o.End, registry.ParseEnd), leistungen: o.Leistungen}
		if o.isLive() {
			w.closed[o.Backend] = true
		}
	}
	native := func(key string) string {
		if m == mutantAdoptionsByText { // R3 forgotten: the key as it is written
			return key
		}
		k, _ := w.dir.native(key)
		return k
	}
	for _, a := range v.Adoptions {
		if !live[a.Offer] || a.State != "" && a.State != "live" {
			continue
		}
		x := &oAdoption{offer: offers[a.Offer], begin: oTime(a.Begin, registry.ParseTime), end: oTime(a.End, registry.ParseEnd), leistungen: a.Leistungen}
		for _, k := range a.Without {
			x.without = append(x.without, native(k))
		}
		begin, end := x.span()
		for _, at := range a.Areas {
			x.areas = append(x.areas, native(at.Area))
			for l, url := range x.offer.leistungen {
				if x.grants(l) {
					w.rows = append(w.rows, &oRow{
						id: a.ID + "@" + at.Area, leistung: l, area: native(at.Area), backend: x.offer.backend, url: url,
						template: strings.Contains(url, "{"), begin: begin, end: end, oe: at.OE, source: 1, adoption: x,
					})
				}
			}
		}
		w.adoptions = append(w.adoptions, x)
	}
}

// oLeistung is R1; "" if the text is no key.
func oLeistung(text string) string {
	const urn = "urn:de:fim:leika:leistung:"
	text = strings.NewReplacer(" ", "", ".", "", "-", "").Replace(text)
	if len(text) > len(urn) && strings.EqualFold(text[:len(urn)], urn) {
		text = text[len(urn):]
	}
	if len(text) != 14 || strings.Trim(text, "0123456789") != "" {
		return ""
	}
	return text
}

// oAsk is R1, R2, R4 and R5 of a question: the query, or the reason that ends it.
func oAsk(a *vectorAsk, d *oDirectory) (q oQuery, reason string, choices []string) {
	q = oQuery{at: oTime(a.At, registry.ParseTime), sender: a.Sender, lang: a.Lang}
	hasArea := false
	named := a.Named
	if named == nil {
		named = []vectorNamed{{Leistung: a.Leistung}}
		if a.Area != nil {
			named[0].Area = *a.Area
		}
	}
	for _, n := range named {
		if n.ARS != "" && n.AGS != "" {
			return q, "conflicting_keys", nil
		}
		if n.Leistung != "" {
			k := oLeistung(n.Leistung)
			if k == "" {
				return q, "invalid_leistung", nil
			}
			if q.leistung != "" && q.leistung != k {
				return q, "conflicting_keys", nil
			}
			q.leistung = k
		}
		key := cmp.Or(n.Area, n.ARS, n.AGS)
		if key == "" {
			continue
		}
		area, reason, choices := oLocate(key, q.at, a.Sender == "" || a.Sender == "direct", d)
		if reason != "" {
			return q, reason, choices
		}
		if hasArea && q.area != area {
			return q, "conflicting_keys", nil
		}
		q.area, hasArea = area, true
	}
	return q, "", nil
}

// oLocate is R2 and R4 for requests.
func oLocate(key string, at time.Time, direct bool, d *oDirectory) (area, reason string, choices []string) {
	if !slices.Contains([]int{2, 3, 5, 8, 9, 12}, len(key)) || strings.Trim(key, "0123456789") != "" || direct && len(key) == 5 {
		return "", "invalid_area", nil
	}
	k, ok := d.native(key)
	if !ok {
		return "", "unknown_area", nil
	}
	places := d.at(k, at)
	switch len(places) {
	case 0:
		return "", "unknown_area", nil
	case 1:
		return places[0].area, "", nil
	}
	for _, p := range places {
		choices = append(choices, p.area)
	}
	return "", "area_required", choices
}

// oracleVerdict answers a vector's question, the refusals of R1 to R5 included.
func oracleVerdict(v *vector, d *oDirectory, m mutant) oAnswer {
	q, reason, _ := oAsk(&v.Ask, d)
	if reason != "" {
		return oAnswer{verdict: reason}
	}
	return oracleWorld(v, d, m).resolve(q, m)
}

// disagreements compares an oracle's answer with what a vector wants; empty if they agree.
func disagreements(v *vector, a oAnswer) []string {
	var list []string
	differ := func(what, got string, want *string) {
		if want != nil && got != *want {
			list = append(list, what+": got "+got+", want "+*want)
		}
	}
	differ("reason", a.verdict, &v.Want.Reason)
	if a.verdict == "handover" {
		differ("url", a.url, v.Want.URL)
		differ("backend", a.backend, v.Want.Backend)
		differ("kind", a.kind, v.Want.Kind)
		differ("area", a.area, v.Want.Area)
		differ("key", a.key, v.Want.Key)
		differ("oe_id", a.oe, v.Want.OE)
	}
	if !slices.Equal(a.asked, v.Want.Asked) {
		list = append(list, "asked: got "+strings.Join(a.asked, " ")+", want "+strings.Join(v.Want.Asked, " "))
	}
	if a.verdict == "ambiguous" && !slices.Equal(a.tied, v.Want.Candidates) {
		list = append(list, "candidates: got "+strings.Join(a.tied, " ")+", want "+strings.Join(v.Want.Candidates, " "))
	}
	got := make([]vectorLoser, 0, len(a.losers))
	for _, l := range a.losers {
		got = append(got, vectorLoser{l.id, l.why})
	}
	if !slices.Equal(got, v.Want.Losers) {
		list = append(list, "losers: got "+loserText(got)+", want "+loserText(v.Want.Losers))
	}
	return list
}

func loserText(list []vectorLoser) string {
	var b strings.Builder
	for _, l := range list {
		b.WriteString(l.Entry + ":" + l.Why + " ")
	}
	return b.String()
}

func TestOracleAgreesWithVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadVectors(t) {
		if v.Want.LoadError != "" {
			continue // a loader's business
		}
		for _, d := range disagreements(&v, oracleVerdict(&v, directory(&v), mutantNone)) {
			t.Errorf("%s: %s (%s)", v.Name, d, v.Why)
		}
	}
}
