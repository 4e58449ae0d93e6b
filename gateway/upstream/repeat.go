// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

// maxKept is how much of a request with a body is copied when it is written, octets: forms, not uploads; more than a turn brings in
// pieces that are small enough to be held.
const maxKept = 4 * direct

// hold copies what is about to be written, for the connection may turn out to be closed: of a request that may be sent
// again all, of any other what leaves with its first octets.
func (c *Conn) hold() {
	switch first := !c.begun; {
	case c.upgrade: // on a connection that is new
	case !c.replay && (len(c.kept)+len(c.gather) > maxKept || !first && !c.stream.Held()):
		c.giveBack(&c.kept)
	case first && c.kept == nil:
		c.kept = append(c.loop.Buffer(len(c.gather)), c.gather...)
	case c.kept != nil:
		c.kept = append(c.loop.Grow(c.kept, len(c.gather)), c.gather...)
	}
}

// Begun reports that the backend may have seen something of the request.
func (c *Conn) Begun() bool {
	return c.begun && (c.earlier || c.stream == nil || !c.stream.Held())
}

// begin notes that bytes of the request are written now.
func (c *Conn) begin() {
	c.earlier = c.earlier || c.begun && !c.stream.Held()
	c.begun = true
}

// Unsent reports that the kernel has accepted nothing of the request, and that all of it is held that was sent here. What
// TLS has made of it cannot be told from what TLS has to say itself.
func (c *Conn) Unsent() bool {
	switch {
	case c.closed:
		return false
	case c.stream == nil:
		return true
	case !c.begun:
		return c.kept != nil || len(c.gather) > 0
	}
	return c.kept != nil && !c.earlier && c.secure == nil && c.stream.Unsent()
}

// Repeat lends u a new connection, as Get does, and puts on it what another was given of a request: all of it if that is
// Unsent, else the head that it was told to keep. If that one never stood, the new one is to another endpoint.
func (p *Pool) Repeat(u User, of *Conn, g *endpoint.Group) (*Conn, message.Fault) {
	w := endpoint.Wish{Stay: of.stay}
	if of.stream == nil {
		w.Not = of.place.at + 1
	}
	c, fault := p.get(u, ReuseNone, g, w)
	if fault != message.FaultNone {
		return nil, fault
	}
	p.cache.stats.Repeats++
	c.gather = append(c.room(len(of.kept)+len(of.gather)), of.kept...)
	c.gather = append(c.gather, of.gather...)
	c.chunked, c.isHEAD, c.upgrade, c.sentEnd = of.chunked, of.isHEAD, of.upgrade, of.sentEnd
	c.machine.Start(c.isHEAD, c.upgrade)
	return c, message.FaultNone
}

// Withhold counts a request that was not repeated.
func (p *Pool) Withhold() { p.cache.stats.Withheld++ }

// AppendHead appends a head as SendHead sends it, for SendKept.
func AppendHead(dst []byte, h *message.Head, target []byte) []byte {
	return http1.AppendRequest(dst, h, target)
}

// SendKept gathers a kept head; keep is as for SendHead.
func (c *Conn) SendKept(k message.Kept, keep bool) {
	c.gather = append(c.room(len(k.Octets)), k.Octets...)
	c.chunked, c.isHEAD, c.upgrade, c.replay = k.Chunked, k.HEAD, k.Upgrade, keep
	c.machine.Start(k.HEAD, k.Upgrade)
}
