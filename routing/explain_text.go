// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/pvgate/pvgate/registry"
)

// WriteText writes what `pvgate explain` prints: verdict, request, steps, losers, next.
func (e *Explanation) WriteText(w io.Writer) error {
	p := &textWriter{}
	e.textVerdict(p)
	if e.Decision.Verdict == Ambiguous {
		p.line("chain", "%s", e.textChain()) // what was asked stands in the verdict
		e.textTied(p)
		e.textTie(p)
	} else {
		p.line("asked", "%s", e.textAsked())
		p.line("chain", "%s", e.textChain())
		e.textOverrides(p)
		e.textServices(p)
		e.textRows(p)
		e.textPages(p)
		e.textNext(p)
	}
	e.textNow(p)
	_, err := io.WriteString(w, p.String())
	return err
}

// textWriter collects lines.
type textWriter struct{ strings.Builder }

func (p *textWriter) line(label, format string, args ...any) {
	p.WriteString(strings.TrimRight("  "+pad(label, 11)+fmt.Sprintf(format, args...), " ") + "\n")
}

// pad fills s with spaces to a width in characters; longer texts get two spaces.
func pad(s string, width int) string {
	if n := utf8.RuneCountInString(s); n < width {
		return s + strings.Repeat(" ", width-n)
	}
	return s + "  "
}

func (e *Explanation) textVerdict(p *textWriter) {
	d := &e.Decision
	if d.Verdict == Handover {
		what := d.Kind.String() + " at " + e.t.placed(d.Area)
		if o := e.t.overrideByID(d.Override); o != nil {
			_, until := o.span.Times()
			what = fmt.Sprintf("by override %s of %s until %s: %s", o.origin, o.by, lastDay(until), o.why)
		}
		p.WriteString(pad("→ "+e.t.BackendName(d.Backend)+"  "+what, 82) + "303 handover\n  " + e.URL + "\n\n")
		return
	}
	mark := "✗"
	if d.Verdict == Ambiguous || d.Verdict == AreaRequired || d.Verdict == Pending {
		mark = "?"
	}
	head := fmt.Sprintf("%s %s %d", mark, d.Verdict, answers[d.Verdict].status)
	p.WriteString(pad(head, 19) + e.textSummary() + "\n")
}

// textSummary is the verdict without a target in one sentence.
func (e *Explanation) textSummary() string {
	t, d := e.t, &e.Decision
	what := e.title()
	if what == "" {
		what = e.Query.Leistung.String()
	}
	place := t.short(e.Query.Area)
	switch d.Verdict {
	case AreaRequired:
		if e.Query.Area == registry.Bund {
			return what + " needs a place"
		}
		return "the answer differs inside " + place
	case Ambiguous:
		n := 0
		for i := range e.Candidates {
			if e.Candidates[i].Outcome == Tied {
				n++
			}
		}
		return fmt.Sprintf("%d equal %ss at %s; the citizen is asked to choose", n, d.Kind, e.placedShort(d.Area))
	case NotJoined:
		for i := range e.Candidates {
			if c := &e.Candidates[i]; c.Why == WhyNotJoined && c.Row.Title != "" {
				what = c.Row.Title
				break
			}
		}
		return what + " exists; " + place + " has not joined"
	case Expired:
		return "what there was ended on " + lastDay(timeOf(d.Ended))
	case NotAnApplication:
		return what + " is information only (Typisierung " + strings.Join(t.Types(e.Query.Leistung).Codes(), ", ") + ")"
	case UnknownLeistung:
		return e.Query.Leistung.String() + " is in no source"
	case TargetRefused:
		cause, from := t.Blocked(d)
		return fmt.Sprintf("%s is responsible, but %s (%s)", cmp.Or(t.BackendName(d.Backend), "an entry"), cause, from)
	case Gone:
		return t.GoneWhy(d)
	case Pending:
		return fmt.Sprintf("%s would be asked about %s in %s", and(t.lookupNames()), d.Key, place)
	case NoRoute, Handover:
	}
	return "nothing is responsible for " + what + " in " + place
}

func (e *Explanation) placedShort(id registry.AreaID) string {
	if id == registry.Bund {
		return "Bund"
	}
	return e.t.areas.ARS(id).Level().String() + " " + e.keyAndName(id)
}

// keyAndName is "065340014014 Marburg".
func (e *Explanation) keyAndName(id registry.AreaID) string {
	if id == registry.Bund {
		return "Bund"
	}
	return e.t.areas.ARS(id).String() + " " + e.t.short(id)
}

func (e *Explanation) textAsked() string {
	q := &e.Query
	parts := []string{strings.TrimSpace(e.title() + " " + q.Leistung.String())}
	own := e.t.areas.ARS(q.Area).String()
	place := strings.TrimSpace(e.t.short(q.Area) + " " + own)
	switch given := e.Asked.Given; {
	case given == "" || given == own:
	case e.Asked.Place.Form == registry.FormAGS:
		place = "AGS " + given + " = " + place
	default:
		place = given + " = " + place
	}
	parts = append(parts, place)
	if e.Asked.Now {
		parts = append(parts, "now")
	} else {
		parts = append(parts, q.At.In(registry.Berlin()).Format("Mon 2006-01-02 15:04 MST"))
	}
	if !e.Asked.Now || q.Sender != "" {
		parts = append(parts, "sender "+e.sender())
	}
	return strings.Join(append(parts, e.lang()), " · ")
}

func (e *Explanation) textChain() string {
	var parts []string
	for i, id := range e.Chain {
		s := e.keyAndName(id)
		if same := e.t.sameAs(id); i == 0 && len(same) > 0 {
			s += fmt.Sprintf(" (= %s %s)", same[0].Level(), same[0])
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ‹ ")
}

func (e *Explanation) textOverrides(p *textWriter) {
	switch {
	case e.Overrides == 0:
	case len(e.Matched) == 0:
		p.line("overrides", "none of %d match", e.Overrides)
	default:
		var at []string
		for _, id := range e.Matched {
			at = append(at, e.t.overrideByID(id).origin.String())
		}
		p.line("overrides", "%d of %d match, best first: %s", len(at), e.Overrides, strings.Join(at, ", "))
	}
}

// textServices counts the rows of services and says what became of them.
func (e *Explanation) textServices(p *textWriter) {
	all, live := e.count(registry.Service)
	all += len(e.Aside)
	winner := e.Decision.Verdict == Handover && e.Decision.Override < 0
	switch {
	case all == 0:
		p.line("services", "none in the chain")
	case e.Decision.Verdict == NotJoined && e.Offer != "":
		which := map[int]string{1: "", 2: "both "}
		word, ok := which[all]
		if !ok {
			word = "all "
		}
		p.line("services", "%s, %sto the closed backend %s (offer %s)", rowCount(all), word, e.closedBackend(), e.Offer)
	case winner && e.Decision.Kind == registry.Service:
		p.line("services", "%s, %d live → %s wins", rowCount(all), live, e.t.areas.ARS(e.Decision.Area).Level())
	default:
		p.line("services", "%s, %d live", rowCount(all), live)
	}
}

func rowCount(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

func (e *Explanation) count(kind registry.Kind) (all, live int) {
	for i := range e.Candidates {
		if c := &e.Candidates[i]; c.Row.Kind == kind {
			all++
			if c.Why != WhyNotYet && c.Why != WhyExpired && c.Why != WhyInactive {
				live++
			}
		}
	}
	return all, live
}

func (e *Explanation) closedBackend() string {
	for i := range e.Candidates {
		if c := &e.Candidates[i]; c.Offer != "" {
			return e.t.BackendName(c.Row.Backend)
		}
	}
	return ""
}

// textPages says what came of the second walk, if it was needed.
func (e *Explanation) textPages(p *textWriter) {
	all, live := e.count(registry.Page)
	switch {
	case e.Decision.Override >= 0 || e.Decision.Verdict == AreaRequired:
	case e.Decision.Verdict == Handover && e.Decision.Kind == registry.Page:
		p.line("pages", "%s, %d live → %s wins", rowCount(all), live, e.t.areas.ARS(e.Decision.Area).Level())
	case e.Decision.Verdict == Handover || e.Decision.Verdict == TargetRefused:
	case all == 0:
		p.line("pages", "none in the chain")
	default:
		p.line("pages", "%s, %d live", rowCount(all), live)
	}
}

// textRows writes the table of candidates.
func (e *Explanation) textRows(p *textWriter) {
	var rows [][]string
	for i := range e.Candidates {
		c := &e.Candidates[i]
		row := []string{
			pad(c.Outcome.String(), 5) + fmt.Sprint(c.N), e.t.BackendName(c.Row.Backend), c.Row.Kind.String(), c.Row.AreaKey,
		}
		if c.Outcome == Lost {
			row = append(row, e.lost(c))
		}
		rows = append(rows, append(row, c.Row.Origin.String()))
	}
	for i := range e.Aside {
		c := &e.Aside[i]
		rows = append(rows, []string{
			pad("aside", 5) + fmt.Sprint(c.N), e.t.BackendName(c.Row.Backend), c.Row.Kind.String(), c.Row.AreaKey,
			"adoption of " + e.t.short(c.Row.Area) + ", not in the chain", c.Row.Origin.String(),
		})
	}
	p.table(rows)
	e.textObjects(p)
}

// textObjects names what rows are made of that stand in no line of a file.
func (e *Explanation) textObjects(p *textWriter) {
	for i := range e.Candidates {
		if c := &e.Candidates[i]; c.Row.Origin.Objects() != "" {
			p.line("made of", "%s: %s", c.Row.Origin, c.Row.Origin.Objects())
		}
	}
}

// textTied writes the table of equal targets with what they are equal in.
func (e *Explanation) textTied(p *textWriter) {
	var rows [][]string
	for i := range e.Candidates {
		c := &e.Candidates[i]
		word, detail := "lost", e.lost(c)
		if c.Outcome == Tied {
			word, detail = "tie", e.textRank(c)
		}
		rows = append(rows, []string{
			pad(word, 7) + fmt.Sprint(c.N), e.t.BackendName(c.Row.Backend), c.Title, c.Row.Kind.String(), c.Row.AreaKey,
			detail, c.Row.Origin.String(),
		})
	}
	p.table(rows)
	e.textObjects(p)
}

// textRank says where a row stands in R10's order.
func (e *Explanation) textRank(c *Considered) string {
	parts := []string{"source " + e.t.sourceName(c.Row.Source)}
	if c.Area == c.Row.Area {
		parts = append(parts, "native")
	} else {
		parts = append(parts, "by a dated change")
	}
	if c.Row.Specialised {
		parts = append(parts, "specialised")
	}
	return strings.Join(append(parts, "role "+c.Row.Role, fmt.Sprintf("priority %d", c.Row.Priority)), ", ")
}

// table aligns columns; the last cell of a row is its origin and stands where its text ends if cells are missing.
func (p *textWriter) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell)+2)
		}
	}
	for _, row := range rows {
		p.WriteString("  ")
		for i, cell := range row[:len(row)-1] {
			p.WriteString(pad(cell, widths[i]))
		}
		p.WriteString(row[len(row)-1] + "\n")
	}
}
