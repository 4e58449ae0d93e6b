// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/routing"
)

// A proxied backend has an origin of its own: a host, or, where the operator
// keeps several on one host (isolation: path), a prefix of the entry host's
// paths. Who is led there by an entry address brings along a signed context in
// the parameter _pv. It is exchanged for a cookie at once, by which all that
// follows is accounted for.

// pathPrefix begins the paths of backends without a host of their own.
const pathPrefix = pathReserved + "/b/"

// linkParameter is where a context stands in an address.
const linkParameter = "_pv="

// Our cookie, by where it is set: browsers accept the first from the host
// itself only, over TLS, for all its paths; the second over TLS only.
const (
	cookieOfHost   = "__Host-pv"
	cookieOfPrefix = "__Secure-pv"
	cookieOfPlain  = "pv"
)

// cookieName is the name of our cookie at a backend's origin.
func (l *listener) cookieName(b *backend) string {
	switch {
	case !l.tls:
		return cookieOfPlain
	case b.prefix != nil:
		return cookieOfPrefix
	default:
		return cookieOfHost
	}
}

// below finds the backend whose prefix a path has, and what follows the prefix:
// "" or "/…".
func (s *Surface) below(path []byte) (backend int, rest []byte, ok bool) {
	if len(path) < len(pathPrefix) || string(path[:len(pathPrefix)]) != pathPrefix {
		return 0, nil, false
	}
	name := path[len(pathPrefix):]
	if i := bytes.IndexByte(name, '/'); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	for _, i := range s.prefixed {
		if s.backends[i].Name == string(name) {
			return i, rest, true
		}
	}
	return 0, nil, false
}

// prefixed answers below the prefix of a backend.
func (c *call) prefixed(to int, rest []byte) {
	if len(rest) > 0 {
		c.visit(to, rest)
		return
	}
	// Answered here, a cookie without a path would be one for all prefixes (RFC
	// 6265, section 5.1.4), and relative addresses would lead astray.
	if !c.retrieves() {
		return
	}
	at := len(c.p.Scratch)
	c.p.Scratch = append(append(c.p.Scratch, c.r.Path...), '/')
	c.p.Scratch = appendQueryOf(c.p.Scratch, c.r.Head)
	c.seeOther(c.p.Scratch[at:len(c.p.Scratch):len(c.p.Scratch)], c.lang.String())
	c.p.Account = exchange.AccountNone
}

// visit answers at a backend's own origin; path is the backend's.
func (c *call) visit(to int, path []byte) {
	c.p.Expect(to)
	b, h := &c.s.backends[to], c.r.Head
	c.p.Prefix, c.p.CookieName = b.prefix, c.l.cookieName(b)
	c.p.Account = exchange.AccountUnattributed
	cut := false
	if h.HasQuery {
		var link []byte
		if link, cut = linkOf(h.Query); cut {
			if h.Method == message.GET || h.Method == message.HEAD {
				c.arrive(b, link)
				return
			}
			c.recall(b, handover.Link, link)
		}
	}
	if header.Cookies(h.Fields, c.p.CookieName, func(text []byte) {
		if c.p.Account == exchange.AccountUnattributed {
			c.recall(b, handover.Cookie, text)
		}
	}) {
		c.p.OwnCookie = true
	}
	c.stay(b)
	c.pass(to, path, cut)
}

// recall fills the plan from a context, if it is one of ours for this backend.
func (c *call) recall(b *backend, kind handover.Kind, text []byte) {
	var k handover.Context
	if c.s.keys == nil || c.s.keys.Open(kind, text, &k, c.r.Now.Unix()) != handover.None || string(k.Backend()) != b.Name {
		return
	}
	p := c.p
	p.Account = exchange.AccountAttributed
	p.LedBy = c.s.byName[string(k.Sender())] // one that is known no more counts as direct
	p.Sender = c.s.senders[p.LedBy]
	if !k.Leistung.IsZero() {
		at := len(p.Scratch)
		p.Scratch = k.Leistung.Append(p.Scratch)
		p.Leistung = p.Scratch[at:len(p.Scratch):len(p.Scratch)]
	}
	c.asked(k.Leistung, k.Area, k.HaveArea)
	if k.HaveArea {
		c.tellArea(k.Area)
	}
}

// arrive takes a context out of the address and gives it back as a cookie. An
// address whose context is of no use is cleaned all the same.
func (c *call) arrive(b *backend, link []byte) {
	p := c.p
	var k handover.Context
	fault := handover.Forged
	if c.s.keys != nil {
		fault = c.s.keys.Open(handover.Link, link, &k, c.r.Now.Unix())
	}
	at := len(p.Scratch)
	if b.prefix == nil {
		p.Scratch = c.l.appendBase(p.Scratch, c.authority, b.Name, ".", c.s.domain)
	}
	p.Scratch = append(p.Scratch, c.r.Path...)
	p.Scratch = appendQueryWithout(p.Scratch, c.r.Head.Query)
	c.seeOther(p.Scratch[at:len(p.Scratch):len(p.Scratch)], c.lang.String())
	switch {
	case fault == handover.Expired:
		p.Account = exchange.AccountExpired
	case fault != handover.None || string(k.Backend()) != b.Name:
		p.Account = exchange.AccountForged
	default:
		p.Account = exchange.AccountArrived
		p.LedBy = c.s.byName[string(k.Sender())]
		c.asked(k.Leistung, k.Area, k.HaveArea)
		at = len(p.Scratch)
		p.Scratch = c.appendCookie(p.Scratch, b, &k)
		p.Reply.Fields = append(p.Reply.Fields, message.Field{Name: nameSetCookie, Value: p.Scratch[at:len(p.Scratch):len(p.Scratch)], ID: message.SetCookie})
	}
}

var nameSetCookie = []byte("Set-Cookie")

// appendCookie appends the value of Set-Cookie: a session cookie without Domain,
// which scripts do not see and which other sites' forms do not send.
func (c *call) appendCookie(dst []byte, b *backend, k *handover.Context) []byte {
	dst = append(append(dst, c.l.cookieName(b)...), '=')
	dst = c.s.keys.Seal(dst, handover.Cookie, k, c.r.Now.Unix())
	dst = append(dst, "; Path="...)
	dst = append(dst, b.prefix...)
	dst = append(dst, '/')
	if c.l.tls {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "; HttpOnly; SameSite=Lax"...)
}

// appendLink appends the context of a request to the address it is led to, as
// the last of its parameters; to an empty address, the parameter alone.
func (c *call) appendLink(address []byte, b *backend, k *keys, q *routing.Query, d *routing.Decision) []byte {
	if c.s.keys == nil {
		return address
	}
	to := handover.Context{Leistung: answered(q, d)}
	if k.haveArea {
		to.Area, to.HaveArea = c.table.Areas().ARS(k.area), true
	}
	if !to.SetNames(c.p.Sender, []byte(b.Name)) {
		return address // New has refused such names
	}
	mark := byte('?')
	if bytes.IndexByte(address, '?') >= 0 {
		mark = '&'
	}
	address = append(append(address, mark), linkParameter...)
	return c.s.keys.Seal(address, handover.Link, &to, c.r.Now.Unix())
}

// linkOf returns the context in a raw query. Ours is the last: what else has the
// name came with the request before it was led here.
func linkOf(query []byte) (link []byte, found bool) {
	for len(query) > 0 {
		i := bytes.Index(query, []byte(linkParameter))
		if i < 0 {
			break
		}
		begins := i == 0 || query[i-1] == '&'
		query = query[i+len(linkParameter):]
		if begins {
			link, _ = cutSegment(query)
			found = true
		}
	}
	return link, found
}

// appendQueryWithout appends a raw query without its contexts, byte for byte,
// with the question mark if anything is left.
func appendQueryWithout(dst, query []byte) []byte {
	mark := byte('?')
	for more := true; more; {
		var segment []byte
		i := bytes.IndexByte(query, '&')
		if more = i >= 0; more {
			segment, query = query[:i], query[i+1:]
		} else {
			segment = query
		}
		if len(segment) >= len(linkParameter) && string(segment[:len(linkParameter)]) == linkParameter {
			continue
		}
		if len(segment) == 0 && !more && mark == '?' {
			break // nothing was there beside the context
		}
		dst = append(append(dst, mark), segment...)
		mark = '&'
	}
	return dst
}

func appendQueryOf(dst []byte, h *message.Head) []byte {
	if h.HasQuery {
		dst = append(append(dst, '?'), h.Query...)
	}
	return dst
}

// pass forwards a request as it is: to the backend whose origin it names, or to
// the listener's default. cut takes contexts out of the query.
func (c *call) pass(to int, path []byte, cut bool) {
	if c.r.EncodedSlash && !c.s.backends[to].AllowEncodedSlash {
		c.p.Account = exchange.AccountNone
		c.answer(&pages.Answer{Reason: reason.BadPath})
		return
	}
	h := c.r.Head
	switch {
	case h.Asterisk:
		c.forward(to, asterisk)
	case !cut && isTarget(h, path):
		c.forward(to, h.Target)
	default:
		at := len(c.p.Scratch)
		b := append(c.p.Scratch, path...)
		if cut {
			b = appendQueryWithout(b, h.Query)
		} else {
			b = appendQueryOf(b, h)
		}
		c.p.Scratch = b
		c.forward(to, b[at:])
	}
}

var asterisk = []byte("*")

// isTarget reports whether the request-target as received is what would be
// sent: origin form, and a path that is in its one form already.
func isTarget(h *message.Head, path []byte) bool {
	n := len(h.Path)
	if h.HasQuery {
		n += 1 + len(h.Query)
	}
	return len(h.Target) == n && n > 0 && h.Target[0] == '/' && bytes.Equal(h.Path, path)
}
