// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

// maxKept is how much of a request with a body is copied, octets: forms, not uploads; more than a turn brings in pieces that are small
// enough to be held.
const maxKept = 4 * direct

// hold copies what is about to be written, where it may be needed again and is not to be had from the stream: of a request that may be
// sent again all; what TLS makes something else of, as long as the backend may turn out to have spoken before.
func (c *Conn) hold(b []byte) {
	switch {
	case !c.begun && (c.replay || c.secure != nil && c.guarded):
		c.kept = append(c.loop.Buffer(len(b)), b...)
	case c.kept == nil:
	case len(c.kept)+len(b) > maxKept:
		c.letGo()
	default:
		c.kept = append(c.loop.Grow(c.kept, len(b)), b...)
	}
}

// letGo says that some of the request is held nowhere: it cannot be sent again.
func (c *Conn) letGo() {
	c.gone = true
	c.giveBack(&c.kept)
}

// Left says that the kernel has taken some of the request. What may not be sent again then need not be held any more.
func (c *Conn) Left() {
	c.earlier = true
	if !c.replay {
		c.giveBack(&c.kept)
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
	case c.closed || c.gone:
		return false
	case !c.begun:
		return true
	}
	return c.secure == nil && !c.earlier && c.stream.Unsent() != nil
}

// written returns what was written of a request that is to be sent again.
func (c *Conn) written() []byte {
	if c.kept == nil && c.stream != nil && c.secure == nil {
		return c.stream.Unsent()
	}
	return c.kept
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
	written := of.written()
	c.gather = append(c.room(len(written)+len(of.gather)), written...)
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
