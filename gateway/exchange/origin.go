// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"bytes"
	"slices"

	"github.com/pvgate/pvgate/gateway/header"
	"github.com/pvgate/pvgate/gateway/message"
)

// leaveOrigin prepares a request whose address here is not that of the backend's own host for its way there: cookies
// that are not the backend's stay here, and what was asked is kept, because relative references refer to it.
func (x *Exchange) leaveOrigin(h *message.Head) {
	p := &x.plan
	switch {
	case p.InPlace:
		header.DropCookies(h.Fields)
	case p.OwnCookie:
		p.Scratch = header.CutCookie(h.Fields, p.CookieName, p.Scratch)
	}
	if len(p.StayName) > 0 && !p.InPlace {
		p.Scratch = header.CutCookie(h.Fields, p.StayName, p.Scratch)
	}
	x.target, x.link = x.target[:0], append(x.link[:0], p.Link...)
	if p.InPlace || len(p.Prefix) > 0 {
		x.target = append(x.target, p.Target...)
	}
}

// Stay is the place of the endpoint that the client was at, plus one; 0: none.
func (x *Exchange) Stay() int { return x.plan.Stay }

// stays tells a client at which endpoint it is, unless it knows.
func (x *Exchange) stays(fields []message.Field) []message.Field {
	p := &x.plan
	at := x.up.Place()
	if at >= len(p.StayCookies) || at+1 == p.Stay && !p.StayOld {
		return fields
	}
	return append(fields, message.Field{Name: fieldSetCookie, Value: p.StayCookies[at], ID: message.SetCookie})
}

// relocate turns what refers to the backend's own addresses into what refers to the address that clients know: the one
// behind the gateway is none of the client's business and often not reachable for it. Who is redirected there from an
// entry address brings the context along, as by a handover.
func (x *Exchange) relocate(status int, fields []message.Field) {
	b := x.plan.Scratch[:0]
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case message.Location, message.ContentLocation:
			at := len(b)
			if b = x.appendReference(b, f.Value); len(b) == at {
				continue
			}
			if x.plan.InPlace && status/100 == 3 && f.ID == message.Location {
				b = insertParameter(b, at, x.link)
			}
			f.Value = b[at:len(b):len(b)]
		case message.Refresh:
			from, to := header.RefreshURL(f.Value)
			at := len(b)
			b = append(b, f.Value[:from]...)
			mark := len(b)
			if b = x.appendReference(b, f.Value[from:to]); len(b) > mark {
				b = append(b, f.Value[to:]...)
				f.Value = b[at:len(b):len(b)]
			}
		default:
		}
	}
	x.plan.Scratch = b
}

// appendReference appends the address that clients know for a reference of the backend, nothing if that is the
// reference itself.
func (x *Exchange) appendReference(dst, ref []byte) []byte {
	if len(ref) == 0 {
		return dst
	}
	away := x.plan.InPlace || len(x.plan.Prefix) > 0
	rest, own := x.own(ref)
	switch {
	case own:
		dst = x.appendAuthority(dst)
	case !away || !header.Relative(ref):
		return dst
	case len(x.plan.Public) > 0:
		dst, rest = x.appendAuthority(dst), ref
	default:
		rest = ref // at the same host
	}
	if !away {
		if len(x.authority) == 0 && (len(rest) == 0 || rest[0] != '/') {
			dst = append(dst, '/')
		}
		return append(dst, rest...)
	}
	if own && (len(rest) == 0 || rest[0] != '/') {
		dst = append(append(dst, x.plan.Prefix...), '/')
		return append(dst, rest...)
	}
	dst = append(dst, x.plan.Prefix...)
	return header.AppendResolved(dst, rest, x.target)
}

// insertParameter makes parameter ("?name=value", or nothing) the last one of the reference that begins at an offset.
func insertParameter(b []byte, at int, parameter []byte) []byte {
	if len(parameter) == 0 {
		return b
	}
	end := len(b)
	if i := bytes.IndexByte(b[at:], '#'); i >= 0 {
		end = at + i
	}
	more := bytes.IndexByte(b[at:end], '?') >= 0
	if b = slices.Insert(b, end, parameter...); more {
		b[end] = '&'
	}
	return b
}

// own is OwnLocation for references without a scheme too.
func (x *Exchange) own(ref []byte) (rest []byte, own bool) {
	if len(ref) < 2 || ref[0] != '/' || ref[1] != '/' {
		return x.backend.OwnLocation(ref)
	}
	s := &x.host.Scratch().incoming
	at := len(s.Scratch)
	s.Scratch = append(append(append(s.Scratch, schemeHTTP...), ':'), ref...)
	return x.backend.OwnLocation(s.Scratch[at:])
}

// appendAuthority appends scheme and authority of the backend's address for clients. An HTTP/1.0 client need not say
// whom it asked.
func (x *Exchange) appendAuthority(dst []byte) []byte {
	if len(x.authority) == 0 {
		return dst
	}
	dst = append(dst, scheme(x.secure)...)
	dst = append(dst, "://"...)
	return append(dst, x.authority...)
}

func scheme(tls bool) []byte {
	if tls {
		return schemeHTTPS
	}
	return schemeHTTP
}
