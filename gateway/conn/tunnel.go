// SPDX-License-Identifier: EUPL-1.2

package conn

import "github.com/pvgate/pvgate/gateway/loop"

// heldBytes is how much a client may have sent behind a request that wants to change the protocol, if it is to be
// offered: none, by the book, until the change is agreed to (RFC 6455, section 4.1). What comes later waits in the kernel.
const heldBytes = 16 << 10

// tunnelQueued is how much may wait for a client that goes on sending. What its backend has sent is less, since the backend
// is not read while anything waits; but reading TLS makes output too, as much as a client likes that takes none.
const tunnelQueued = 4 * maxQueued

// Switch makes a tunnel of the connection. What the client has sent behind its request, which no parser has seen, goes
// to the backend first.
func (c *H1) Switch() {
	c.tunnel, c.lastOne, c.parting, c.chunked = true, true, false, false
	c.host.tunnels++
	c.stream.SetTimer(c.x.TunnelDue())
	c.stream.Again()
}

// untunnel takes a tunnel that has ended out of the account.
func (c *H1) untunnel() {
	if c.tunnel {
		c.tunnel = false
		c.host.tunnels--
	}
}

// Finish ends the sending side when the client has taken everything.
func (c *H1) Finish() { c.finishing = true }

// fin sends FIN if it is time.
func (c *H1) fin() {
	if !c.finishing {
		return
	}
	if c.stream.Flush(); c.stream.Pending() == 0 {
		c.wire.CloseWrite()
		c.finishing = c.stream.Pending() > 0 // close_notify
	}
}

// pump carries octets from the client until there are no more, the backend is slow, or the turn is used up.
func (c *H1) pump() {
	if len(c.in) > 0 {
		c.x.TunnelData(c.in)
		c.giveBack(&c.in)
		c.unfed = false
	}
	buf := c.host.loop.ReadBuffer()
	got := 0
	for range turnReads {
		if c.x == nil || c.parting || !c.x.WantsBody() || c.stream.Pending() >= tunnelQueued {
			return
		}
		n, st := c.wire.Read(buf)
		switch st {
		case loop.Again:
			return
		case loop.EOF:
			c.parting = true
			c.x.TunnelEnd()
			return
		case loop.Failed:
			c.gone()
			return
		}
		c.x.TunnelData(buf[:n])
		if !c.wire.Ready() {
			return
		}
		if got += n; got >= turnBytes {
			break
		}
	}
	c.stream.Again()
}

// overdue finds out what a tunnel is late with.
func (c *H1) overdue(now int64) {
	due := c.x.TunnelDue()
	if due <= now {
		c.x.TunnelLate()
		return
	}
	if c.stream.Pending() == 0 {
		c.taking = false
	} else if c.taking && c.since+int64(c.host.timeouts.Write) <= now {
		if c.slowReader(); c.stream.Closed() {
			return
		}
	}
	if c.taking {
		due = min(due, c.since+int64(c.host.timeouts.Write))
	}
	c.stream.SetTimer(due)
}
