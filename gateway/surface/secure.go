// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"
	"net/http"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
)

// pathChallenge is where a CA asks for the answer of http-01 (RFC 8555, section 8.3).
const pathChallenge = "/.well-known/acme-challenge/"

// lead leads everybody from a plaintext listener to the same address under https, at the first listener with TLS that
// answers the host, but not who came to a trusted proxy by https. 308 keeps the method; a body that came in plaintext has
// come in plaintext, and is not forwarded.
func (c *call) lead() {
	host, _, _ := message.SplitAuthority(c.authority)
	if whose, _ := c.s.whose(c.l, host, -1); whose == nobodys {
		c.answer(&pages.Answer{Reason: reason.Misdirected})
		return
	}
	if c.challenge() {
		return
	}
	if c.r.Head.Asterisk {
		c.options(allowProxied)
		return
	}
	for i := range c.s.listeners {
		t := &c.s.listeners[i]
		if !t.tls {
			continue
		}
		if whose, _ := c.s.whose(t, host, -1); whose == nobodys {
			continue
		}
		at := len(c.p.Scratch)
		to := t.appendPort(appendLower(append(c.p.Scratch, "https://"...), host), nil)
		to = append(to, c.r.Path...)
		if c.r.Head.HasQuery {
			to = append(append(to, '?'), c.r.Head.Query...)
		}
		c.p.Scratch = to
		reply := &c.p.Reply
		reply.Status = http.StatusPermanentRedirect
		reply.Fields = append(reply.Fields, message.Field{Name: nameLocation, Value: to[at:], ID: message.Location})
		reply.Fields = c.s.pages.AppendMoved(reply.Fields, c.r.Trace)
		return
	}
	c.answer(&pages.Answer{Reason: reason.Misdirected})
}

// challenge answers a CA that asks whether a host is ours, if one is about to.
func (c *call) challenge() bool {
	token, ok := bytes.CutPrefix(c.r.Path, []byte(pathChallenge))
	if !ok || c.l.challenge == nil || c.r.Head.Method != message.GET && c.r.Head.Method != message.HEAD {
		return false
	}
	answer := c.l.challenge(token)
	if answer == nil {
		return false
	}
	c.reply(reason.None, c.s.pages.Text(c.ask(), answer, c.p.Reply.Fields[:0]))
	return true
}

// strict lets browsers know that the host is to be asked by TLS only; said over plaintext it would mean nothing (RFC
// 6797, section 7.2).
func (c *call) strict() {
	if c.l.tls {
		c.p.StrictTransport = c.l.strict
	}
}

func appendLower(dst, text []byte) []byte {
	for _, b := range text {
		dst = append(dst, message.Lower(b))
	}
	return dst
}
