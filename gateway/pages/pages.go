// SPDX-License-Identifier: EUPL-1.2

// Package pages writes the answers that pvgate gives itself: problem documents
// (RFC 9457) for programs, plain pages in German and English for people, and
// the header fields both carry.
//
// The calls you want are [New] once and [Renderer.Answer] per answer;
// [PrefersHTML] and [AcceptLanguage] read what the request would like.
//
// It deliberately decides nothing: reasons, candidates and links are given to
// it. Whatever they hold, a page stays one page and a document valid JSON.
package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// Renderer writes answers. It is immutable and safe for concurrent use.
type Renderer struct {
	layout *template.Template
	// Proxy-Status by reason, worked out once.
	proxyStatus [reason.Count][]byte
	names       [reason.Count][]byte
	prepared    [reason.Count]prepared // of reasons for which Refuses holds
}

// New prepares a renderer. Pseudonym is our name in Proxy-Status and Via, e.g.
// "pvgate-gw.example.de".
func New(pseudonym string) (*Renderer, error) {
	parsed, err := template.New("page").Parse(layout)
	if err != nil {
		return nil, fmt.Errorf("parse the page layout: %w", err)
	}
	r := &Renderer{layout: parsed}
	for code := reason.None; int(code) < reason.Count; code++ {
		r.names[code] = []byte(code.String())
		value := pseudonym
		if e := code.ProxyStatusError(); e != "" {
			value += "; error=" + e
		}
		r.proxyStatus[code] = []byte(value + `; details="` + code.String() + `"`)
		if Refuses(code) {
			r.prepared[code] = r.prepare(code)
		}
	}
	return r, nil
}

// Ask is how an answer is wanted.
type Ask struct {
	HTML  bool
	Lang  reason.Lang
	Trace []byte // 32 hex digits
	// Base is scheme and authority of the entry host, "https://gw.example.de",
	// where the reasons are explained. Empty makes the links relative.
	Base string
}

// Page is a finished answer without framing fields.
type Page struct {
	Status int
	Fields []message.Field
	Body   []byte
}

// Answer renders a reason. It appends to fields.
func (r *Renderer) Answer(ask *Ask, a *Answer, fields []message.Field) Page {
	a = a.cleaned()
	p := Page{Status: a.Reason.Status()}
	if p.Status == 0 || p.Status == 499 {
		// Nothing of these is ever sent; if it is, it is our own mistake.
		p.Status = reason.Internal.Status()
	}
	if ask.HTML {
		p.Body = r.html(answerPage(ask, a))
	} else {
		p.Body = problem(ask, a, p.Status)
	}
	cache := cacheNever
	if a.Reason.Cacheable() && !a.Private {
		cache = cacheMinute
	}
	fields = r.appendFields(fields, a.Reason, ask.HTML, ask.Lang, ask.Trace, cache)
	if a.Reason.RetryLater() {
		fields = append(fields, message.Field{Name: nameRetryAfter, Value: strconv.AppendInt(nil, int64(a.RetryAfter), 10), ID: message.RetryAfter})
	}
	if a.Reason == reason.MethodRefused {
		fields = append(fields, message.Field{Name: nameAllow, Value: []byte(a.Allow)})
	}
	p.Fields = fields
	return p
}

// appendFields appends the fields that every reason's answer has.
func (r *Renderer) appendFields(fields []message.Field, code reason.Code, html bool, lang reason.Lang, trace []byte, cache message.Field) []message.Field {
	content := contentProblem
	if html {
		content = contentHTML
	}
	return AppendSafety(r.AppendStatus(append(fields, content, fieldLanguage(lang), cache), code, trace))
}

// AppendStatus appends the fields that say why: PV-Reason, Proxy-Status and
// PV-Trace. It does not allocate if fields has room.
func (r *Renderer) AppendStatus(fields []message.Field, code reason.Code, trace []byte) []message.Field {
	if int(code) >= reason.Count {
		code = reason.Internal
	}
	if code != reason.None {
		fields = append(fields,
			message.Field{Name: nameReason, Value: r.names[code], ID: message.PVOther},
			message.Field{Name: nameProxyStatus, Value: r.proxyStatus[code], ID: message.ProxyStatus})
	}
	if len(trace) > 0 {
		fields = append(fields, message.Field{Name: nameTrace, Value: trace, ID: message.PVOther})
	}
	return fields
}

// AppendSafety appends the fields that every answer of ours has whatever it
// says. It does not allocate if fields has room.
func AppendSafety(fields []message.Field) []message.Field {
	return append(fields, fieldVary, fieldNosniff, fieldReferrer, fieldPolicy)
}

// AppendRedirect appends the fields of a 303 except Location. It does not
// allocate if fields has room.
func (r *Renderer) AppendRedirect(fields []message.Field, lang []byte, trace []byte) []message.Field {
	if len(lang) > 0 {
		fields = append(fields, message.Field{Name: nameLanguage, Value: lang})
	}
	fields = append(fields, cacheNever)
	fields = r.AppendStatus(fields, reason.Handover, trace)
	return AppendSafety(fields)
}

// AppendMoved appends the fields, except Location, of an answer that leads to another address of ours. It does not
// allocate if fields has room.
func (r *Renderer) AppendMoved(fields []message.Field, trace []byte) []message.Field {
	return AppendSafety(r.AppendStatus(append(fields, cacheNever), reason.None, trace))
}

// html runs the layout. Its only input is a page, which it cannot refuse.
func (r *Renderer) html(p *page) []byte {
	var b bytes.Buffer
	if err := r.layout.Execute(&b, p); err != nil {
		// The layout reads fields of one struct; a failure is a fault of ours in
		// the layout and shows in every test of this package.
		panic("pages: " + err.Error())
	}
	return b.Bytes()
}

// problem is the document of RFC 9457, section 3, with the contract's members.
func problem(ask *Ask, a *Answer, status int) []byte {
	text := a.Reason.Text(ask.Lang)
	doc := document{
		Type:     ask.Base + "/_pv/reasons/" + a.Reason.String(),
		Title:    text.Title,
		Status:   status,
		Detail:   text.Paragraph,
		Reason:   a.Reason.String(),
		Fault:    a.Reason.Fault().String(),
		Leistung: a.Leistung, Area: a.Area, Backend: a.Backend, RetryAfter: a.RetryAfter,
		Help: a.Help, Candidates: a.Candidates, Choices: a.Choices, Near: a.Near,
		Value: a.Value, Hint: a.Hint, Where: a.Where, Allow: a.Allow, Offer: a.Offer, JoinedCount: a.JoinedCount,
		Successor: a.Successor, Ended: stamp(a.Ended), Until: stamp(a.Until), Since: stamp(a.Since),
		Instead: a.Instead, Why: a.Why, Source: a.Source, Limit: a.Limit, Whose: a.Whose,
	}
	if len(ask.Trace) > 0 {
		doc.Instance = "urn:trace:" + string(ask.Trace)
	}
	body, err := json.Marshal(&doc)
	if err != nil {
		panic("pages: " + err.Error()) // strings and numbers only: cannot fail
	}
	return append(body, '\n')
}

type document struct {
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Status      int         `json:"status"`
	Detail      string      `json:"detail"`
	Instance    string      `json:"instance,omitempty"`
	Reason      string      `json:"reason"`
	Fault       string      `json:"fault"`
	Leistung    string      `json:"leistung,omitempty"`
	Area        *Area       `json:"area,omitempty"`
	Backend     *Backend    `json:"backend,omitempty"`
	RetryAfter  int         `json:"retry_after,omitempty"`
	Help        []Link      `json:"help,omitempty"`
	Candidates  []Candidate `json:"candidates,omitempty"`
	Choices     []Choice    `json:"choices,omitempty"`
	Near        []Near      `json:"near,omitempty"`
	Value       string      `json:"value,omitempty"`
	Hint        string      `json:"hint,omitempty"`
	Where       string      `json:"where,omitempty"`
	Allow       string      `json:"allow,omitempty"`
	Offer       string      `json:"offer,omitempty"`
	JoinedCount *int        `json:"joined_count,omitempty"`
	Successor   string      `json:"successor,omitempty"`
	Ended       string      `json:"ended,omitempty"`
	Until       string      `json:"until,omitempty"`
	Since       string      `json:"since,omitempty"`
	Instead     string      `json:"instead,omitempty"`
	Why         string      `json:"why,omitempty"`
	Source      string      `json:"source,omitempty"`
	Limit       string      `json:"limit,omitempty"`
	Whose       string      `json:"whose,omitempty"`
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func answerPage(ask *Ask, a *Answer) *page {
	t := &vocabulary[ask.Lang]
	text := a.Reason.Text(ask.Lang)
	p := &page{
		Lang: ask.Lang.String(), T: t, Home: ask.Base + "/", Heading: text.Title,
		Paragraphs: []string{text.Paragraph}, Trace: string(ask.Trace),
		Facts: facts(t, a),
	}
	p.add(t.Choices, choices(a.Choices))
	p.add(t.Candidates, candidates(a.Candidates))
	p.add(t.Near, near(a.Near))
	if a.Instead != "" {
		p.add(t.Instead, []item{{Title: a.Instead, URL: a.Instead}})
	}
	p.add(t.Help, links(a.Help))
	about := ask.Base + "/_pv/reasons/" + a.Reason.String() + "?lang="
	p.Footer = []item{
		{Title: t.About, URL: about + p.Lang},
		{Title: t.Other, URL: about + t.OtherLang, Lang: t.OtherLang},
	}
	return p
}

func (p *page) add(heading string, items []item) {
	if len(items) > 0 {
		p.Lists = append(p.Lists, list{heading, items})
	}
}

func facts(t *words, a *Answer) []fact {
	var f []fact
	add := func(name, value string) {
		if value != "" {
			f = append(f, fact{name, value})
		}
	}
	add(t.Service, strings.TrimSpace(a.Title+" "+a.Leistung))
	if a.Area != nil {
		add(t.Place, strings.TrimSpace(a.Area.Name+" "+a.Area.ARS))
	}
	if a.Backend != nil {
		name := a.Backend.Name
		if name == "" {
			name = a.Backend.ID
		}
		add(t.Portal, name)
		if c := a.Backend.Contact; c != nil {
			add(t.Contact, join(c.Name, c.Phone, c.Mail, c.URL))
		}
	}
	add(t.Value, a.Value)
	add(t.Where, a.Where)
	add(t.Hint, a.Hint)
	add(t.Limit, a.Limit)
	add(t.Source, a.Source)
	add(t.Offer, a.Offer)
	if a.JoinedCount != nil {
		add(t.Joined, strconv.Itoa(*a.JoinedCount))
	}
	add(t.Why, a.Why)
	add(t.Ended, day(a.Ended))
	add(t.Successor, a.Successor)
	add(t.Since, minute(a.Since))
	add(t.Until, minute(a.Until))
	if a.RetryAfter > 0 {
		add(t.RetryAfter, strconv.Itoa(a.RetryAfter)+" "+t.RetrySeconds)
	}
	return f
}

func join(parts ...string) string {
	given := parts[:0]
	for _, p := range parts {
		if p != "" {
			given = append(given, p)
		}
	}
	return strings.Join(given, " · ")
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("02.01.2006")
}

const minuteForm = "02.01.2006 15:04 MST"

func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(minuteForm)
}

func choices(from []Choice) []item {
	items := make([]item, len(from))
	for i, c := range from {
		items[i] = item{Title: c.Name, URL: c.URL, Note: c.ARS}
	}
	return items
}

func candidates(from []Candidate) []item {
	items := make([]item, len(from))
	for i, c := range from {
		title := c.Title
		if title == "" {
			title = c.URL
		}
		items[i] = item{Title: title, URL: c.URL, Note: c.Backend}
	}
	return items
}

func near(from []Near) []item {
	items := make([]item, len(from))
	for i, n := range from {
		title, note := n.Name, n.ARS
		if n.Leistung != "" {
			title, note = n.Title, n.Leistung
		}
		if title == "" {
			title, note = note, ""
		}
		items[i] = item{Title: title, URL: n.URL, Note: note}
	}
	return items
}

func links(from []Link) []item {
	items := make([]item, len(from))
	for i, l := range from {
		items[i] = item{Title: l.Title, URL: l.URL}
		if number, ok := strings.CutPrefix(l.URL, "tel:"); ok && isDigits(number) {
			// html/template knows no tel: and would drop it; digits are harmless.
			items[i].URL = template.URL("tel:" + number)
		}
	}
	return items
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
