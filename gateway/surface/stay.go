// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"crypto/subtle"

	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/header"
)

// A backend whose endpoints keep sessions of their own has pick: sticky: a cookie of ours leads each client to the endpoint
// that it was at before. It is a mark that nobody else can make, the same for all clients there, and no backend sees it.

// The cookie's names, by where it is set; see cookieName.
const (
	stayOfHost   = "__Host-pv-stay"
	stayOfPrefix = "__Secure-pv-stay"
	stayOfPlain  = "pv-stay"
)

// stays are the marks of a backend's endpoints by their places, and the values of Set-Cookie on listeners with and without
// TLS.
type stays struct {
	marks         [][][]byte
	secure, plain [][]byte
}

// newStays makes the marks of endpoints.
func newStays(keys *handover.Keys, b *backend) *stays {
	s := &stays{}
	name := stayOfHost
	if b.prefix != nil {
		name = stayOfPrefix
	}
	for _, e := range b.Sticky {
		marks := keys.Marks(b.Name, e)
		rest := string(marks[0]) + "; Path=" + string(b.prefix) + "/"
		s.marks = append(s.marks, marks)
		s.secure = append(s.secure, []byte(name+"="+rest+"; Secure; HttpOnly; SameSite=Lax"))
		s.plain = append(s.plain, []byte(stayOfPlain+"="+rest+"; HttpOnly; SameSite=Lax"))
	}
	return s
}

// stay finds out at which endpoint the client was, and what tells it where it is.
func (c *call) stay(b *backend) {
	s := b.stays
	if s == nil {
		return
	}
	p := c.p
	switch {
	case !c.l.tls:
		p.StayName, p.StayCookies = stayOfPlain, s.plain
	case b.prefix != nil:
		p.StayName, p.StayCookies = stayOfPrefix, s.secure
	default:
		p.StayName, p.StayCookies = stayOfHost, s.secure
	}
	header.Cookies(c.r.Head.Fields, p.StayName, func(text []byte) {
		if p.Stay > 0 || len(text) != handover.MarkSize {
			return
		}
		for place, marks := range s.marks {
			for i, m := range marks {
				if subtle.ConstantTimeCompare(m, text) == 1 {
					p.Stay, p.StayOld = place+1, i > 0
				}
			}
		}
	})
}
