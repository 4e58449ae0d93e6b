// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// call is one request at the surface.
type call struct {
	s *Surface
	l *listener
	r *exchange.Request
	p *exchange.Plan
	// table is the surface's, with what was looked up for the request.
	table  *routing.Table
	in     *inquiry // nil as long as nothing has to be looked up
	sender int      // 0 = direct
	lang   reason.Lang
	byPV   bool // PV- fields had a say

	authority []byte // what the client asked for
}

// begin fills what every answer and every forwarded request needs.
func (c *call) begin(s *Surface, r *exchange.Request, p *exchange.Plan) (d doubt) {
	*c = call{s: s, l: &s.listeners[r.Listener], r: r, p: p, table: s.table}
	if p.Identified { // the head may be gone since
		c.known()
	} else {
		d = c.identify()
	}
	c.sender = p.SenderIndex
	p.Sender, p.KnownSender = s.senders[c.sender], c.sender > 0
	if c.sender > 0 {
		r.Adopt()
	}
	c.lang = c.wished()
	c.strict()
	return d
}

// wished is the language the header fields ask for.
func (c *call) wished() reason.Lang {
	if c.sender > 0 {
		if lang, ok := pages.Language(c.r.Head.Get(message.PVLanguage)); ok {
			c.byPV = true
			return lang
		}
	}
	lang, _ := pages.AcceptLanguage(c.r.Head)
	return lang
}

// parameterLang takes up the language that the address asks for, if it does.
func (c *call) parameterLang() {
	var k keys
	k.readLang(c.r.Head.Query)
	if k.langGiven {
		c.lang = k.lang
	}
}

// Resolve decides what becomes of a request.
func (s *Surface) Resolve(r *exchange.Request, p *exchange.Plan) {
	var c call
	if d := c.begin(s, r, p); d != noDoubt {
		c.doubted(d)
		return
	}
	if r.Head.Method == message.CONNECT || r.Head.Method == message.TRACE {
		c.refuseMethod(allowProxied)
		return
	}
	if c.l.redirect && !c.l.tls {
		c.lead()
		return
	}
	if !c.admits() {
		c.answer(&pages.Answer{Reason: reason.SenderUnknown})
		return
	}
	switch whose, own := s.whose(c.l, c.authority, r.Likely); whose {
	case backends:
		if s.isOurs(r.Path) {
			c.reserved()
			return
		}
		c.visit(own, c.r.Path)
	case entry:
		c.entry()
	default:
		c.answer(&pages.Answer{Reason: reason.Misdirected})
	}
}

// entry answers at the entry host.
func (c *call) entry() {
	path := c.r.Path
	switch {
	case isEntry(path):
		c.leistung()
	case c.s.isOurs(path):
		if to, rest, ok := c.s.below(path); ok {
			c.prefixed(to, rest)
			return
		}
		c.reserved()
	case c.l.fallback >= 0:
		c.p.Expect(c.l.fallback)
		c.stay(&c.s.backends[c.l.fallback])
		c.pass(c.l.fallback, path, false)
	case c.r.Head.Asterisk:
		c.options(allowProxied)
	case string(path) == "/":
		c.home()
	default:
		c.answer(&pages.Answer{Reason: reason.NotFound})
	}
}

// forward sends the request to a backend.
func (c *call) forward(to int, target []byte) {
	c.p.Forward, c.p.Backend, c.p.Target = true, to, target
	c.p.Language = languages[c.lang]
}

var languages = [2][]byte{[]byte("de"), []byte("en")} // by reason.Lang

// leistung answers what asks for a Leistung in an area.
func (c *call) leistung() {
	var k keys
	k.read(c)
	if k.langGiven {
		c.lang = k.lang
	}
	switch {
	case c.r.EncodedSlash && !c.s.anySlash:
		c.answer(&pages.Answer{Reason: reason.BadPath})
		return
	case k.fault != reason.None:
		c.faulty(&k)
		return
	case c.table == nil:
		c.answer(&pages.Answer{Reason: reason.RegistryUnavailable, RetryAfter: retryRegistry})
		return
	}
	q, d, ok := c.resolve(&k)
	if !ok {
		return
	}
	if i := int(d.Backend); i >= 0 && i < len(c.s.backends) && c.s.backends[i].Proxy {
		c.proxied(i, &k, &q, &d)
		return
	}
	c.redirect(&k, &q, &d)
}

// resolve asks the table; it answers itself, and reports false, where there is no target.
func (c *call) resolve(k *keys) (q routing.Query, d routing.Decision, ok bool) {
	q = routing.Query{
		Leistung: k.leistung, Area: k.area, At: c.r.Now, Sender: c.s.names[c.sender], Lang: c.lang.String(), Seed: c.r.Seed,
	}
	c.asked(k.leistung, c.table.Areas().ARS(k.area), k.haveArea)
	d = c.table.Resolve(&q)
	if d.Verdict == routing.Pending || c.r.Lookup != nil {
		if d, ok = c.lookUp(k, &q, d); !ok {
			return q, d, false
		}
	}
	if len(c.s.contexts) > 0 && !c.destination(k, &q, &d) {
		return q, d, false
	}
	if d.Verdict != routing.Handover {
		c.verdict(k, &q, &d)
		return q, d, false
	}
	return q, d, true
}

// asked tells the exchange what for, for metrics and log: of the area no more than its Kreis.
func (c *call) asked(key registry.Leistung, area registry.ARS, haveArea bool) {
	if !key.IsZero() {
		c.p.Key = key.Number() + 1
	}
	if !haveArea {
		return
	}
	c.p.Land = area.Land()
	if area.Level() >= registry.LevelKreis {
		c.p.Kreis = uint32(area.At(registry.LevelKreis).Number() / 1e7)
	}
}

// redirect hands over to a portal that is not behind us. Nothing of the
// request gets into Location.
func (c *call) redirect(k *keys, q *routing.Query, d *routing.Decision) {
	if len(k.rest) > 1 || c.r.EncodedSlash {
		c.answer(&pages.Answer{Reason: reason.NotFound})
		return
	}
	switch c.r.Head.Method {
	case message.GET, message.HEAD:
	case message.OPTIONS:
		c.options(allowRetrieved)
		return
	default:
		c.refuseMethod(allowRetrieved)
		return
	}
	at := len(c.p.Scratch)
	location, err := c.table.AppendURL(c.p.Scratch, q, d)
	if err != nil || !isLine(location[at:]) {
		c.refuseTarget(k, q, d)
		return
	}
	c.p.Scratch = location
	c.p.Backend = exchange.BackendOther // the handover counts as the backend's request
	if i := int(d.Backend); i >= 0 && i < len(c.s.backends) {
		c.p.Backend = i
		if l := c.s.backends[i].Limit; l != nil {
			if ok, wait := l.Pass(c.r.Tick); !ok {
				c.limited(k, i, wait)
				return
			}
		}
	}
	c.seeOther(location[at:], c.table.URLLang(q, d))
}

// seeOther replies 303.
func (c *call) seeOther(location []byte, lang string) {
	at := len(c.p.Scratch)
	c.p.Scratch = append(c.p.Scratch, lang...)
	reply := &c.p.Reply
	reply.Reason, reply.Status = reason.Handover, reason.Handover.Status()
	reply.Fields = append(reply.Fields, message.Field{Name: nameLocation, Value: location, ID: message.Location})
	reply.Fields = c.s.pages.AppendRedirect(reply.Fields, c.p.Scratch[at:], c.r.Trace)
}

var nameLocation = []byte("Location")

// isLine reports whether a text may stand in a field: registries are not ours.
func isLine(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c == 0x7F {
			return false
		}
	}
	return len(text) > 0
}

// proxied leads to a portal behind us: a retrieval to the portal's own origin, so
// that portals do not share one; anything else is forwarded in place, because a
// redirect would drop its body.
func (c *call) proxied(to int, k *keys, q *routing.Query, d *routing.Decision) {
	b := &c.s.backends[to]
	if c.r.EncodedSlash && !b.AllowEncodedSlash {
		c.answer(&pages.Answer{Reason: reason.BadPath})
		return
	}
	own := (b.host != nil || b.prefix != nil) && (c.r.Head.Method == message.GET || c.r.Head.Method == message.HEAD)
	start := len(c.p.Scratch)
	switch {
	case own && b.host != nil:
		c.p.Scratch = c.l.appendBase(c.p.Scratch, c.authority, b.Name, ".", c.s.domain)
	case own:
		c.p.Scratch = append(c.p.Scratch, b.prefix...) // at the host that was asked, whichever of ours it is
	}
	if !own {
		c.p.Expect(to)
	}
	at := len(c.p.Scratch)
	if !c.appendTarget(k, q, d) {
		c.refuseTarget(k, q, d)
		return
	}
	if own {
		address := c.appendLink(c.p.Scratch[start:], b, k, q, d)
		c.p.Scratch = append(c.p.Scratch[:start], address...)
		c.seeOther(c.p.Scratch[start:len(c.p.Scratch):len(c.p.Scratch)], c.lang.String())
		return
	}
	target := c.p.Scratch[at:len(c.p.Scratch):len(c.p.Scratch)]
	c.tell(k, q, d)
	c.p.InPlace, c.p.Prefix = true, b.prefix
	if b.host != nil || b.prefix != nil {
		at = len(c.p.Scratch)
		link := c.appendLink(c.p.Scratch[at:], b, k, q, d)
		c.p.Scratch = append(c.p.Scratch[:at], link...)
		c.p.Link = c.p.Scratch[at:len(c.p.Scratch):len(c.p.Scratch)]
	}
	if b.host != nil {
		at = len(c.p.Scratch)
		c.p.Scratch = c.l.appendAuthority(c.p.Scratch, c.authority, b.Name, ".", c.s.domain)
		c.p.Public = c.p.Scratch[at:len(c.p.Scratch):len(c.p.Scratch)]
	}
	c.forward(to, target)
}

// appendTarget appends base path + rest and the queries of both.
func (c *call) appendTarget(k *keys, q *routing.Query, d *routing.Decision) bool {
	at := len(c.p.Scratch)
	b, err := c.table.AppendTarget(c.p.Scratch, q, d)
	if err != nil {
		return false
	}
	base, baseQuery, haveBase := bytes.Cut(b[at:], question)
	if len(base) == 0 || base[0] != '/' {
		return false
	}
	if len(k.rest) > 0 || c.r.Head.HasQuery {
		// The rest belongs between the base's path and its query: put the new
		// target behind the old one and move it forward.
		end := len(b)
		b = append(b, bytes.TrimSuffix(base, slash)...)
		if len(k.rest) > 0 {
			b = append(b, k.rest...)
		} else if len(b) == end || len(base) > 0 && base[len(base)-1] == '/' {
			b = append(b, '/')
		}
		mark := len(b)
		b = append(b, '?')
		b = append(b, baseQuery...)
		if haveBase && c.r.Head.HasQuery {
			b = append(b, '&')
		}
		before := len(b)
		b, have := k.appendQuery(b, c.r.Head)
		switch {
		case !have && !haveBase:
			b = b[:mark]
		case !have && haveBase && c.r.Head.HasQuery:
			b = b[:before-1]
		}
		b = b[:at+copy(b[at:], b[end:])]
		c.p.Scratch = b
	} else {
		c.p.Scratch = b
	}
	return isLine(c.p.Scratch[at:])
}

var (
	question = []byte("?")
	slash    = []byte("/")
)

// answered is the key that the target answers under, which may be a parent's or
// a successor's of the one that was asked for.
func answered(q *routing.Query, d *routing.Decision) registry.Leistung {
	if d.Key.IsZero() {
		return q.Leistung
	}
	return d.Key
}

// tell fills what the backend is told about the request in PV- fields.
func (c *call) tell(k *keys, q *routing.Query, d *routing.Decision) {
	p := c.p
	at := len(p.Scratch)
	p.Scratch = answered(q, d).Append(p.Scratch)
	p.Leistung = p.Scratch[at:len(p.Scratch):len(p.Scratch)]
	if k.haveArea {
		c.tellArea(c.table.Areas().ARS(k.area))
	}
	if oe, _, _ := c.table.Context(d); oe != "" {
		at = len(p.Scratch)
		p.Scratch = append(p.Scratch, oe...)
		if isLine(p.Scratch[at:]) {
			p.OE = p.Scratch[at:len(p.Scratch):len(p.Scratch)]
		}
	}
}

func (c *call) tellArea(ars registry.ARS) {
	p := c.p
	at := len(p.Scratch)
	p.Scratch = ars.AppendPadded(p.Scratch)
	p.ARS = p.Scratch[at:len(p.Scratch):len(p.Scratch)]
	p.Level = levels[min(int(ars.Level()), len(levels)-1)]
}

// levels is PV-Area-Level by registry.Level; the Bund has none.
var levels = [registry.LevelGemeinde + 1][]byte{
	registry.LevelLand: []byte("2"), registry.LevelRB: []byte("3"), registry.LevelKreis: []byte("5"),
	registry.LevelVerband: []byte("9"), registry.LevelGemeinde: []byte("12"),
}
