// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// The JSON of explain, member by member in the order of the HTTP contract. What was not asked for and what is not live
// is left out, so that offline output is reproducible.
type (
	explainJSON struct {
		Verdict    verdictJSON     `json:"verdict"`
		Asked      askedJSON       `json:"asked"`
		Chain      []string        `json:"chain"`
		Overrides  *overridesJSON  `json:"overrides,omitempty"`
		Candidates []candidateJSON `json:"candidates"`
		Choices    []areaJSON      `json:"choices,omitempty"`
		Near       []string        `json:"near,omitempty"`
		NearJoined []string        `json:"near_adoptions,omitempty"`
		Help       []helpJSON      `json:"help,omitempty"`
		Authority  *Authority      `json:"authority,omitempty"`
		Now        *nowJSON        `json:"now,omitempty"`
		Snapshot   string          `json:"snapshot,omitempty"`
		Exit       int             `json:"exit"`
	}
	verdictJSON struct {
		Reason    string   `json:"reason"`
		Status    int      `json:"status"`
		Fault     string   `json:"fault,omitempty"`
		Backend   string   `json:"backend,omitempty"`
		Kind      string   `json:"kind,omitempty"`
		URL       string   `json:"url,omitempty"`
		Candidate int      `json:"candidate,omitempty"`
		Key       string   `json:"key,omitempty"`
		Note      string   `json:"note,omitempty"`
		Tied      []int    `json:"tied,omitempty"`
		Offer     string   `json:"offer,omitempty"`
		Joined    *int     `json:"joined_count,omitempty"`
		Ended     string   `json:"ended,omitempty"`
		Successor string   `json:"successor,omitempty"`
		Why       string   `json:"why,omitempty"`
		Types     []string `json:"types,omitempty"`
		Sources   []string `json:"sources,omitempty"`
	}
	askedJSON struct {
		Leistung string   `json:"leistung"`
		Title    string   `json:"title,omitempty"`
		Area     areaJSON `json:"area"`
		At       string   `json:"at,omitempty"`
		Sender   string   `json:"sender,omitempty"`
		Lang     string   `json:"lang,omitempty"`
	}
	areaJSON struct {
		ARS    string   `json:"ars"`
		Level  *int     `json:"level,omitempty"`
		Name   string   `json:"name"`
		Given  string   `json:"given,omitempty"`
		SameAs []string `json:"same_as,omitempty"`
	}
	overridesJSON struct {
		Considered int          `json:"considered"`
		Matched    *matchedJSON `json:"matched"`
	}
	matchedJSON struct {
		From  string `json:"from"`
		By    string `json:"by,omitempty"`
		Why   string `json:"why,omitempty"`
		Until string `json:"until,omitempty"`
	}
	candidateJSON struct {
		N          int    `json:"n"`
		Outcome    string `json:"outcome"`
		Why        string `json:"why,omitempty"`
		Detail     string `json:"detail,omitempty"`
		Offer      string `json:"offer,omitempty"`
		Ended      string `json:"ended,omitempty"`
		Title      string `json:"title,omitempty"`
		Backend    string `json:"backend"`
		Kind       string `json:"kind"`
		Area       string `json:"area"`
		Registered string `json:"registered,omitempty"`
		Key        string `json:"key,omitempty"`
		From       string `json:"from"`
		Objects    string `json:"objects,omitempty"` // that the row was made of
	}
	helpJSON struct {
		Title string `json:"title"`
		URL   string `json:"url"`
	}
	nowJSON struct {
		Maintenance bool        `json:"maintenance"`
		Limits      []LiveLimit `json:"limits"`
	}
)

// MarshalJSON writes what `pvgate explain -o json` prints, in one line.
func (e *Explanation) MarshalJSON() ([]byte, error) {
	out := explainJSON{
		Verdict: e.verdictJSON(), Asked: e.askedJSON(), Overrides: e.overridesJSON(),
		Candidates: []candidateJSON{}, NearJoined: e.NearAdoptions, Authority: e.Asked.Authority, Exit: e.Exit(),
	}
	for _, id := range e.Chain {
		out.Chain = append(out.Chain, e.t.areas.ARS(id).String())
	}
	for i := range e.Candidates {
		out.Candidates = append(out.Candidates, e.candidateJSON(&e.Candidates[i]))
	}
	switch e.Decision.Verdict {
	case AreaRequired:
		for _, id := range e.t.Choices(&e.Query) {
			out.Choices = append(out.Choices, areaJSON{ARS: e.t.areas.ARS(id).String(), Name: e.t.areas.Area(id).Name})
		}
	case NotJoined, Expired, NotAnApplication, UnknownLeistung, NoRoute, Gone:
		for _, l := range e.near() {
			out.Near = append(out.Near, l.String())
		}
		if h := e.t.HelpFor(e.Query.Area); h.Portal != "" {
			out.Help = append(out.Help, helpJSON{h.Title, h.Portal})
		}
	case Handover, Ambiguous, TargetRefused, Pending:
	}
	if l := e.Asked.Live; l != nil {
		out.Now, out.Snapshot = &nowJSON{l.Maintenance, append([]LiveLimit{}, l.Limits...)}, l.Snapshot
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // URLs are to be copied
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// near are other keys that resolve here, where that helps.
func (e *Explanation) near() []registry.Leistung {
	if v := e.Decision.Verdict; v == UnknownLeistung || v == NoRoute || v == Expired {
		return e.t.Near(&e.Query)
	}
	return nil
}

func (e *Explanation) verdictJSON() verdictJSON {
	d := &e.Decision
	v := verdictJSON{
		Reason: d.Verdict.String(), Status: answers[d.Verdict].status, Fault: answers[d.Verdict].fault,
		Note: d.Note.String(),
	}
	if d.Key != e.Query.Leistung {
		v.Key = d.Key.String()
	}
	switch d.Verdict {
	case Handover:
		v.Backend, v.Kind, v.URL = e.t.BackendName(d.Backend), d.Kind.String(), e.URL
		v.Candidate = e.first(Won)
	case TargetRefused:
		v.Backend, v.Candidate = e.t.BackendName(d.Backend), e.first(Refused)
		v.Why, _ = e.t.Blocked(d)
	case Ambiguous:
		for i := range e.Candidates {
			if e.Candidates[i].Outcome == Tied {
				v.Tied = append(v.Tied, e.Candidates[i].N)
			}
		}
	case NotJoined:
		v.Offer, v.Joined = e.Offer, &e.Joined
	case Expired:
		v.Ended = rfc3339(time.Unix(d.Ended, 0))
		l, offer := e.t.Successors(&e.Query)
		if v.Successor = offer; !l.IsZero() {
			v.Successor = l.String()
		}
	case Gone:
		v.Why = e.t.GoneWhy(d)
	case Pending:
		v.Key, v.Sources = d.Key.String(), e.t.lookupNames()
	case NotAnApplication:
		v.Types = e.t.Types(e.Query.Leistung).Codes()
	case AreaRequired, UnknownLeistung, NoRoute:
	}
	return v
}

// first is the number of the first candidate with an outcome, 0 if there is none.
func (e *Explanation) first(o Outcome) int {
	for i := range e.Candidates {
		if e.Candidates[i].Outcome == o {
			return e.Candidates[i].N
		}
	}
	return 0
}

func (e *Explanation) askedJSON() askedJSON {
	q, area := &e.Query, e.t.areas.Area(e.Query.Area)
	level := int(area.ARS.Level())
	a := askedJSON{
		Leistung: q.Leistung.String(), Sender: q.Sender, Lang: q.Lang,
		Area: areaJSON{ARS: area.ARS.String(), Level: &level, Name: area.Name},
	}
	if e.Asked.Given != "" && e.Asked.Given != area.ARS.String() {
		a.Area.Given = e.Asked.Place.Form.String() + ":" + e.Asked.Given
	}
	for _, s := range e.t.sameAs(q.Area) {
		a.Area.SameAs = append(a.Area.SameAs, s.String())
	}
	if !e.Asked.Now {
		a.Title, a.At = e.title(), rfc3339(q.At)
		a.Sender, a.Lang = e.sender(), e.lang()
	}
	return a
}

func (e *Explanation) sender() string {
	if e.Query.Sender == "" {
		return "direct"
	}
	return e.Query.Sender
}

func (e *Explanation) lang() string {
	if e.Query.Lang == "" {
		return "de"
	}
	return e.Query.Lang
}

// overridesJSON is nil if there are no overrides at all.
func (e *Explanation) overridesJSON() *overridesJSON {
	if e.Overrides == 0 {
		return nil
	}
	o := &overridesJSON{Considered: e.Overrides}
	if len(e.Matched) > 0 {
		m := e.t.overrideByID(e.Matched[0])
		_, until := m.span.Times()
		o.Matched = &matchedJSON{From: m.origin.String(), By: m.by, Why: m.why, Until: rfc3339(until)}
	}
	return o
}

func (e *Explanation) candidateJSON(c *Considered) candidateJSON {
	j := candidateJSON{
		N: c.N, Outcome: c.Outcome.String(), Backend: e.t.BackendName(c.Row.Backend), Kind: c.Row.Kind.String(),
		Area: e.t.areas.ARS(c.Area).String(), From: c.Row.Origin.String(), Objects: c.Row.Origin.Objects(),
	}
	if c.Row.AreaKey != j.Area {
		j.Registered = c.Row.AreaKey
	}
	switch c.Outcome {
	case Won, Withheld, Refused:
		j.Key = c.Row.Leistung.String()
	case Tied:
		j.Title, j.Registered = c.Title, c.Row.AreaKey
	case Lost:
		j.Why, j.Detail = c.Why.String(), e.detail(c)
		if c.Offer != e.Offer {
			j.Offer = c.Offer
		}
		if c.Why == WhyExpired {
			j.Ended = rfc3339(c.Ended)
		}
	}
	return j
}

// rfc3339 is a time as JSON has it, in German time.
func rfc3339(t time.Time) string { return t.In(registry.Berlin()).Format(time.RFC3339) }
