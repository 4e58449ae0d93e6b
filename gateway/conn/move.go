// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop"
)

// headRead is how much is read while no request is in flight, octets: what is behind a head is better moved. But who has sent
// too much behind one must show.
const headRead = heldBytes + 8<<10

// next fills buf with what was kept and what has come; or it passes octets of the request's body on without reading them.
func (c *H1) next(buf []byte) (kept, n int, st loop.ReadStatus, moved bool) {
	if c.x == nil {
		buf = buf[:min(len(buf), len(c.in)+headRead)]
	} else if n, st, ok := c.move(); ok {
		return 0, n, st, true
	}
	kept, n, st = c.receive(buf)
	return kept, n, st, false
}

func (c *H1) move() (n int, st loop.ReadStatus, ok bool) {
	if c.secure != nil || len(c.in) > 0 {
		return 0, loop.Again, false
	}
	left := c.machine.Raw()
	if left < loop.WorthMoving {
		return 0, loop.Again, false
	}
	to, ok := c.x.BodySink().(*loop.Stream)
	if !ok {
		return 0, loop.Again, false
	}
	return to.Take(&c.stream, left)
}

// Sink is the stream itself, while an answer passes as it is.
func (c *H1) Sink() exchange.Sink {
	if c.secure != nil || c.chunked {
		return nil
	}
	c.write()
	return &c.stream
}
