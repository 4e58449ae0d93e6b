// SPDX-License-Identifier: EUPL-1.2

package upstream

import "github.com/pvgate/pvgate/gateway/loop"

// headRead is how much is read of an answer before its head is known, octets: what is behind a head is better moved.
const headRead = 16 << 10

// readSize is how much to read, octets.
func (c *Conn) readSize() int {
	if !c.headSeen {
		return headRead
	}
	return max(c.user.UpstreamRoom(), MinRead)
}

// move passes octets of the answer's body on without reading them; it reports false if they have to be read.
func (c *Conn) move() (n int, st loop.ReadStatus, ok bool) {
	if c.secure != nil || !c.headSeen || len(c.in) > 0 {
		return 0, loop.Again, false
	}
	left := c.machine.Raw()
	if left < loop.WorthMoving {
		return 0, loop.Again, false
	}
	to, ok := c.user.UpstreamSink().(*loop.Stream)
	if !ok {
		return 0, loop.Again, false
	}
	return to.Take(c.stream, left)
}

// Sink is where octets of the request's body may be moved to; nil: they have to be sent.
func (c *Conn) Sink() Sink {
	if c.stream == nil || c.secure != nil || c.chunked || c.closed {
		return nil
	}
	c.write()
	c.letGo() // what is moved cannot be sent again
	c.begin()
	return c.stream
}

// Moved notes that octets of the request's body have been moved.
func (c *Conn) Moved(int) { c.since = c.loop.Now() }
