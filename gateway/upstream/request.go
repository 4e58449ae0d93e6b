// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

// What goes to the backend.

// direct is the size from which a piece of a body is written from where it stands instead of being gathered.
const direct = 16 << 10

// SendHead gathers the request's head; keep says that the request has no body and may be sent again.
func (c *Conn) SendHead(h *message.Head, target []byte, keep bool) {
	c.gather = http1.AppendRequest(c.room(1), h, target)
	c.chunked, c.isHEAD, c.upgrade, c.replay = h.Chunked, h.Method == message.HEAD, h.Upgrade, keep
	c.machine.Start(c.isHEAD, h.Upgrade)
}

// room returns the buffer that gathers.
func (c *Conn) room(n int) []byte {
	if c.gather == nil {
		c.gather = c.loop.Buffer(n)
	} else {
		c.gather = c.loop.Grow(c.gather, n)
	}
	return c.gather
}

// SendBody gathers body octets, framed as the head said.
func (c *Conn) SendBody(b []byte) {
	if c.closed {
		return
	}
	if len(b) < direct || c.stream == nil {
		if c.chunked {
			c.gather = http1.AppendChunk(c.room(len(b)+32), b)
		} else {
			c.gather = append(c.room(len(b)), b...)
		}
		return
	}
	if c.chunked {
		c.gather = http1.AppendChunkSize(c.room(32), len(b))
	}
	c.write()
	c.hold(b)
	c.begin()
	if !c.wire.Write(b) {
		c.letGo()
	} else if c.since = c.loop.Now(); c.kept == nil && (c.secure != nil || !c.stream.Guarded()) {
		c.letGo() // it has left, or may have
	}
	if c.chunked {
		c.gather = append(c.room(2), "\r\n"...)
	}
}

// SendEnd ends the request.
func (c *Conn) SendEnd() {
	if c.chunked && !c.closed {
		c.gather = append(c.room(len(http1.LastChunk)), http1.LastChunk...)
	}
	c.sentEnd = true
}

// Flush sends what was gathered, as soon as the connection stands.
func (c *Conn) Flush() {
	if c.stream == nil || c.closed {
		return
	}
	c.write()
	if !c.tunnel || c.Pending() > 0 {
		c.arm()
	}
}

func (c *Conn) write() {
	if len(c.gather) > 0 {
		// A broken connection is noticed by reading: the backend may have answered before it closed.
		c.hold(c.gather)
		c.begin()
		if c.guarded {
			c.guarded = false
			c.stream.Guard(c, !c.sentEnd)
		}
		if c.wire.Give(c.gather) {
			c.since = c.loop.Now()
		}
		c.gather = nil
		c.earlier = c.earlier || !c.stream.Held() // behind what was held already it may have been too much to be held
	}
	c.giveBack(&c.gather)
}

// Pending returns the bytes that the kernel has not taken.
func (c *Conn) Pending() int {
	if c.stream == nil {
		return len(c.gather)
	}
	return len(c.gather) + c.stream.Pending()
}

// Finish ends the sending side of a tunnel when the kernel has taken everything.
func (c *Conn) Finish() {
	c.finish = true
	c.fin()
}

func (c *Conn) fin() {
	if !c.finish {
		return
	}
	if c.stream.Flush(); c.Pending() > 0 {
		c.arm()
		return
	}
	c.wire.CloseWrite()
	c.finish = c.Pending() > 0 // close_notify
}
