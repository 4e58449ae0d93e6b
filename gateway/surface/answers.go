// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"errors"
	"strings"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// Allow, by what an address can do.
const (
	allowRetrieved = "GET, HEAD, OPTIONS"
	allowProxied   = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
)

// Seconds after which asking again makes sense, where nothing better is known.
const (
	retrySoon     = 1
	retryRegistry = 5
	retryDown     = 10
	// retrySpread is how much longer some are asked to wait where many are refused at once: they must not come back at once.
	retrySpread = 4
)

// maxLinks bounds the lists of an answer.
const maxLinks = 500

// ask is how the answer is wanted.
func (c *call) ask() *pages.Ask {
	return &pages.Ask{HTML: pages.PrefersHTML(c.r.Head), Lang: c.lang, Trace: c.r.Trace, Base: c.base()}
}

// base is the entry host's address, "" without a domain.
func (c *call) base() string { return string(c.appendBase(nil)) }

func (c *call) appendBase(dst []byte) []byte {
	if c.s.domain == "" {
		return dst
	}
	return c.l.appendBase(dst, c.authority, c.s.domain)
}

// answer replies with a reason.
func (c *call) answer(a *pages.Answer) {
	c.reply(a.Reason, c.s.pages.Answer(c.ask(), a, c.p.Reply.Fields[:0]))
}

func (c *call) reply(code reason.Code, page pages.Page) {
	c.p.Forward = false
	c.p.Reply = exchange.Reply{Reason: code, Status: page.Status, Fields: page.Fields, Body: page.Body}
}

func (c *call) options(allow string) {
	c.reply(reason.None, c.s.pages.Options(c.ask(), allow, c.p.Reply.Fields[:0]))
}

func (c *call) refuseMethod(allow string) {
	c.answer(&pages.Answer{Reason: reason.MethodRefused, Allow: allow})
}

// Page answers for a reason that the exchange chose.
func (s *Surface) Page(r *exchange.Request, code reason.Code, d exchange.Detail, p *exchange.Plan) {
	var c call
	c.begin(s, r, p)
	if isEntry(r.Path) {
		c.parameterLang()
	}
	var k keys
	c.told(&k)
	if pages.Refuses(code) {
		c.refuse(code, d, &k)
		return
	}
	a := new(pages.Answer)
	if !k.leistung.IsZero() {
		a = c.about(&k)
	}
	a.Reason = code
	if code == reason.MethodRefused {
		a.Allow = allowProxied
	}
	if d.Backend >= 0 && d.Backend < len(s.backends) {
		a.Backend = s.backendOf(d.Backend)
	}
	c.answer(a)
}

// told reads what the backend was, or would have been, told.
func (c *call) told(k *keys) {
	if len(c.p.Leistung) == 0 || c.table == nil {
		return
	}
	k.leistung, _ = registry.ParseLeistung(c.p.Leistung)
	if len(c.p.ARS) > 0 {
		place, err := c.table.Areas().LocateBytes(c.p.ARS, c.r.Now, registry.LocateOptions{})
		k.area, k.haveArea = place.ID, err == nil
	}
}

// refuse answers with a reason that has no more to say. There are many of these at a time, when too much comes, a backend fails or
// clients mean no good: nothing is allocated for them.
func (c *call) refuse(code reason.Code, d exchange.Detail, k *keys) {
	q := pages.Refusal{Reason: code, HTML: pages.PrefersHTML(c.r.Head), Lang: c.lang, Trace: c.r.Trace, RetryAfter: seconds(int64(d.RetryAfter))}
	if q.RetryAfter == 0 && code.RetryLater() {
		q.RetryAfter = retryDefault(code)
		switch code {
		case reason.BackendBusy, reason.QueueTimeout, reason.Overloaded, reason.LocalResource, reason.RegistryUnavailable:
			q.RetryAfter += int(c.r.Seed >> 24 % retrySpread)
		}
	}
	if d.Backend >= 0 && d.Backend < len(c.s.backends) {
		b := &c.s.backends[d.Backend]
		if q.Portal = b.portal; code == reason.BackendLimited {
			q.Limit = b.limit
		}
	}
	switch code {
	case reason.URITooLong:
		q.Limit = c.s.lineLimit
	case reason.HeadTooLarge:
		q.Limit = c.s.headLimit
	}
	if d.Since > 0 {
		q.Since = c.r.Now.Add(-d.Since).Truncate(time.Second)
	}
	if in := c.in; code == reason.RegistryUnavailable {
		if in == nil { // the exchange waited in vain, or could not
			in, _ = c.p.Lookup.(*inquiry)
		}
		if in != nil {
			q.Source = in.sources()
		}
	}
	text := c.p.Scratch
	cutFrom := func(at int) []byte { return text[at:len(text):len(text)] }
	at := len(text)
	text = c.appendBase(text)
	q.Base = cutFrom(at)
	if t := c.table; t != nil && !k.leistung.IsZero() {
		at = len(text)
		text = k.leistung.Append(text)
		q.Leistung, q.Title = cutFrom(at), t.Title(k.leistung)
		if k.haveArea {
			area := t.Areas().Area(k.area)
			at = len(text)
			text = area.ARS.Append(text)
			q.ARS, q.AreaName, q.Level = cutFrom(at), area.Name, int(area.ARS.Level())
		}
	}
	var page pages.Page
	page, c.p.Scratch = c.s.pages.Refuse(&q, c.p.Reply.Fields[:0], c.p.Reply.Body[:0], text)
	c.reply(code, page)
}

func retryDefault(code reason.Code) int {
	switch code {
	case reason.BackendDown:
		return retryDown
	case reason.RegistryUnavailable:
		return retryRegistry
	default:
		return retrySoon
	}
}

// seconds rounds up: whoever waits as told must not come too early.
func seconds(nanos int64) int {
	return int((nanos + int64(time.Second) - 1) / int64(time.Second))
}

func (s *Surface) backendOf(i int) *pages.Backend {
	b := &s.backends[i]
	return &pages.Backend{ID: b.Name, Name: b.Title, Contact: b.Contact}
}

func (c *call) limited(k *keys, backend int, wait int64) {
	c.refuse(reason.BackendLimited, exchange.Detail{Backend: backend, RetryAfter: time.Duration(wait)}, k)
}

// about starts an answer about what was asked.
func (c *call) about(k *keys) *pages.Answer {
	a := &pages.Answer{Leistung: k.leistung.String(), Private: c.byPV || c.sender > 0}
	t := c.table
	if t == nil {
		return a
	}
	a.Title = t.Title(k.leistung)
	if k.haveArea {
		area := t.Areas().Area(k.area)
		a.Area = &pages.Area{ARS: area.ARS.String(), Name: area.Name, Level: int(area.ARS.Level())}
	}
	return a
}

// faulty answers keys that could not be read.
func (c *call) faulty(k *keys) {
	a := c.about(k)
	a.Reason, a.Value, a.Where = k.fault, string(k.value), k.where
	switch k.fault {
	case reason.InvalidLeistung:
		var e *registry.KeyError
		if _, err := registry.ParseLeistung(k.value); errors.As(err, &e) {
			a.Hint = e.Hint
		}
	case reason.ConflictingKeys:
		a.Value = ""
	}
	var invalid *registry.InvalidArea
	var unknown *registry.UnknownArea
	var split *registry.SplitArea
	switch {
	case errors.As(k.err, &invalid):
		a.Hint = invalid.Hint
	case errors.As(k.err, &unknown):
		a.Hint = unknown.Hint
		for _, id := range unknown.Near {
			area := c.table.Areas().Area(id)
			a.Near = append(a.Near, pages.Near{ARS: area.ARS.String(), Name: area.Name, URL: c.place(k, area.ARS)})
		}
	case errors.As(k.err, &split):
		a.Choices = c.choices(k, split.Choices)
	}
	c.answer(a)
}

// place is the address of the same question asked in an area, "" if it has
// none: without a Leistung, or above all Länder.
func (c *call) place(k *keys, ars registry.ARS) string {
	if k.leistung.IsZero() || ars.IsBund() {
		return ""
	}
	return c.question(k, k.leistung, ars.String())
}

func (c *call) question(k *keys, l registry.Leistung, area string) string {
	url := prefix + "/" + l.String() + "/" + area
	if k.langGiven {
		url += "?lang=" + c.lang.String()
	}
	return url
}

func (c *call) choices(k *keys, ids []registry.AreaID) []pages.Choice {
	ids = ids[:min(len(ids), maxLinks)]
	choices := make([]pages.Choice, 0, len(ids))
	for _, id := range ids {
		area := c.table.Areas().Area(id)
		choices = append(choices, pages.Choice{ARS: area.ARS.String(), Name: area.Name, URL: c.place(k, area.ARS)})
	}
	return choices
}

// verdict answers a decision without a target.
func (c *call) verdict(k *keys, q *routing.Query, d *routing.Decision) {
	t, a := c.table, c.about(k)
	a.Reason = reason.OfVerdict(d.Verdict)
	switch d.Verdict {
	case routing.AreaRequired:
		a.Choices = c.choices(k, t.Choices(q))
	case routing.Ambiguous:
		a.Candidates = c.candidates(t.Candidates(q, d))
	case routing.UnknownLeistung, routing.NoRoute:
		c.near(a, k, t.Near(q))
	case routing.NotJoined:
		offer, joined := t.NotJoined(q)
		a.Offer, a.JoinedCount = offer, &joined
	case routing.Expired:
		if d.Ended != 0 {
			a.Ended = time.Unix(d.Ended, 0).In(registry.Berlin())
		}
		next, offer := t.Successors(q)
		a.Successor = offer
		if !next.IsZero() {
			a.Successor = next.String()
		}
	case routing.TargetRefused:
		c.blocked(a, d)
	case routing.Gone:
		a.Why = t.GoneWhy(d)
	}
	switch d.Verdict {
	case routing.UnknownLeistung, routing.NoRoute, routing.NotJoined, routing.NotAnApplication, routing.Expired, routing.Gone:
		a.Help = help(t.HelpFor(q.Area))
	}
	c.answer(a)
}

func (c *call) near(a *pages.Answer, k *keys, keys []registry.Leistung) {
	area := "-"
	if k.haveArea && k.area != registry.Bund {
		area = c.table.Areas().ARS(k.area).String()
	}
	for _, l := range keys {
		a.Near = append(a.Near, pages.Near{Leistung: l.String(), Title: c.table.Title(l), URL: c.question(k, l, area)})
	}
}

func (c *call) blocked(a *pages.Answer, d *routing.Decision) {
	cause, from := c.table.Blocked(d)
	a.Hint, a.Source = cause, from.String()
	if d.Backend >= 0 {
		a.Backend = &pages.Backend{ID: c.table.BackendName(d.Backend)}
	}
}

// refuseTarget answers a decision whose address could not be written.
func (c *call) refuseTarget(k *keys, q *routing.Query, d *routing.Decision) {
	a := c.about(k)
	a.Reason = reason.TargetRefused
	c.blocked(a, d)
	if _, err := c.table.AppendURL(nil, q, d); err != nil {
		a.Hint = err.Error()
	}
	c.answer(a)
}

// candidates turns equal targets into links; those behind us are linked at
// their own origin.
func (c *call) candidates(from []routing.Candidate) []pages.Candidate {
	from = from[:min(len(from), maxLinks)]
	out := make([]pages.Candidate, 0, len(from))
	for _, k := range from {
		p := pages.Candidate{Title: k.Title, URL: k.URL, Backend: c.table.BackendName(k.Backend)}
		if i := int(k.Backend); i >= 0 && i < len(c.s.backends) && c.s.backends[i].Proxy {
			p.URL = c.atOwnOrigin(i, k.URL)
		}
		if k.Refused != "" {
			p.URL = ""
		}
		out = append(out, p)
	}
	return out
}

// atOwnOrigin moves an address of a proxied backend to where it answers for
// clients.
func (c *call) atOwnOrigin(i int, url string) string {
	b := &c.s.backends[i]
	if b.host == nil && b.prefix == nil {
		return ""
	}
	if _, after, ok := strings.Cut(url, "://"); ok {
		slash := strings.IndexAny(after, "/?")
		switch {
		case slash < 0:
			url = "/"
		case after[slash] == '?':
			url = "/" + after[slash:]
		default:
			url = after[slash:]
		}
	}
	if b.prefix != nil {
		return c.base() + string(b.prefix) + url
	}
	return string(c.l.appendBase(nil, c.authority, b.Name, ".", c.s.domain)) + url
}

func help(h routing.Help) []pages.Link {
	var links []pages.Link
	if h.Portal != "" {
		title := h.Title
		if title == "" {
			title = h.Portal
		}
		links = append(links, pages.Link{Title: title, URL: h.Portal})
	}
	phone := h.Phone
	if phone == "" {
		phone = "115"
	}
	link := pages.Link{Title: "Behördennummer " + phone}
	if digits := strings.ReplaceAll(phone, " ", ""); strings.Trim(digits, "0123456789") == "" {
		link.URL = "tel:" + digits
	}
	return append(links, link)
}
