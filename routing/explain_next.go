// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"fmt"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// The end of explain's text: why nothing could decide, what helps, what to do.

func timeOf(seconds int64) time.Time { return time.Unix(seconds, 0).In(registry.Berlin()) }

// textTie says why R10 could not decide, and how an operator can.
func (e *Explanation) textTie(p *textWriter) {
	var tied []*Considered
	keys := map[string]bool{}
	var names, numbers []string
	for i := range e.Candidates {
		if c := &e.Candidates[i]; c.Outcome == Tied {
			tied = append(tied, c)
			numbers = append(numbers, fmt.Sprint(c.N))
			if !keys[c.Row.AreaKey] {
				keys[c.Row.AreaKey] = true
				names = append(names, c.Row.AreaKey)
			}
		}
	}
	if len(tied) == 0 {
		return
	}
	why := "nothing in source, specialisation, role or priority separates " + and(numbers)
	if len(names) > 1 {
		why = and(names) + " are one territory; " + why
	}
	same := true
	for _, c := range tied[1:] {
		same = same && c.Row.URL == tied[0].Row.URL && c.Row.Backend == tied[0].Row.Backend
	}
	if same {
		why = "one target, but backend " + e.t.BackendName(tied[0].Row.Backend) + " requires an organisation unit and there are several or none"
	}
	p.line("why tie", "%s", why)
	if same {
		p.line("next", "%s", "give one entry role 01 or a priority, or remove the organisation units that do not answer")
		return
	}
	to := e.t.BackendName(tied[0].Row.Backend)
	if int(tied[0].Row.Backend) >= e.t.nConf {
		to = `"` + tied[0].Row.URL + `"`
	}
	p.line("next", `set priority on one entry, or pin: overrides: [{area: "%s", leistung: "%s", to: %s, until: …, by: …, why: …}]`,
		e.t.areaKey(e.Decision.Area), e.Query.Leistung, to)
}

// and joins "1", "2", "3" to "1, 2 and 3".
func and(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// textNext says what helps the citizen and what an operator can do.
func (e *Explanation) textNext(p *textWriter) {
	switch e.Decision.Verdict {
	case Handover, Ambiguous:
		return
	case Pending:
		p.line("next", "ask the running gateway, which asks the source: --live; or a bulk source that has the key")
		return
	case AreaRequired:
		e.textInside(p)
		return
	case TargetRefused:
		p.line("next", "correct the entry at its source, or pin another target with an override")
		return
	case Expired:
		l, offer := e.t.Successors(&e.Query)
		if offer != "" {
			p.line("successor", "offer %s", offer)
		} else if !l.IsZero() {
			p.line("successor", "%s", strings.TrimSpace(l.String()+" "+e.t.Title(l)))
		}
	case NotJoined, NotAnApplication, UnknownLeistung, NoRoute, Gone:
	}
	for _, l := range e.near() {
		p.line("near", "%s resolves here", strings.TrimSpace(l.String()+" "+e.t.Title(l)))
	}
	h := e.t.HelpFor(e.Query.Area)
	if h.Portal != "" {
		p.line("help", "Land portal %s · %s", h.Portal, h.Phone)
	} else {
		p.line("help", "%s", h.Phone)
	}
	switch e.Decision.Verdict {
	case NotJoined:
		e.textJoin(p)
	case UnknownLeistung, NoRoute:
		p.line("next", `if somebody is responsible: add an entry for %s in a file with area "%s" or above it`,
			e.Query.Leistung, e.t.areaKey(e.Query.Area))
	case Handover, AreaRequired, Ambiguous, Expired, NotAnApplication, TargetRefused, Gone, Pending:
	}
}

// textJoin says where an adoption would go.
func (e *Explanation) textJoin(p *textWriter) {
	t, area := e.t, e.Query.Area
	own := t.areaKey(area)
	for _, id := range e.Chain[1:] {
		if t.areas.ARS(id).Level() == registry.LevelKreis {
			key := t.areaKey(id)
			p.line("next", `if %s or its Kreis did join: add an adoption for %s or %s in a file with area "%s" or "%s"`,
				t.short(area), own, key, key[:2], key)
			return
		}
	}
	p.line("next", `if %s did join: add an adoption for %s in a file with area "%s"`, t.short(area), own, own[:2])
}

// maxChoices is how many places the text lists.
const maxChoices = 8

// textInside says what differs inside the asked area and what can be asked instead (R12).
func (e *Explanation) textInside(p *textWriter) {
	t := e.t
	if in := e.inside; in != nil {
		place := e.keyAndName(registry.AreaID(in.area))
		switch {
		case in.lookup:
			p.line("differs", "perhaps: %s is asked for a Gemeinde only", and(t.lookupNames()))
		case in.row != none:
			r := t.Row(RowID(in.row))
			p.line("differs", "%s: %s to %s, %s", place, r.Kind, t.BackendName(r.Backend), r.Origin)
		case in.override >= 0:
			p.line("differs", "%s: override %s", place, t.overrideByID(in.override).origin)
		default:
			p.line("differs", "%s: taken out of the adoption", place)
		}
	}
	var names []string
	choices := t.Choices(&e.Query)
	for _, id := range choices[:min(len(choices), maxChoices)] {
		names = append(names, e.keyAndName(id))
	}
	if len(choices) > maxChoices {
		names = append(names, fmt.Sprintf("… (%d)", len(choices)))
	}
	p.line("choices", "%s", strings.Join(names, ", "))
}

// textNow writes the live line, if there is live information.
func (e *Explanation) textNow(p *textWriter) {
	l := e.Asked.Live
	if l == nil {
		return
	}
	parts := []string{"no maintenance"}
	if l.Maintenance {
		parts[0] = "maintenance"
	}
	for _, x := range l.Limits {
		name := "limit"
		if x.Kind != "rate" {
			name = strings.ReplaceAll(x.Kind, "_", " ")
		}
		parts = append(parts, fmt.Sprintf("%s %s, %.0f %% used", name, x.Limit, x.Used*100))
	}
	if l.Snapshot != "" {
		parts = append(parts, fmt.Sprintf("snapshot %s of %s", l.Snapshot, l.Since.In(registry.Berlin()).Format("15:04")))
	}
	p.line("now", "%s", strings.Join(parts, " · "))
}
