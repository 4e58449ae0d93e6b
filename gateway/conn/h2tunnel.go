// SPDX-License-Identifier: EUPL-1.2

package conn

// tunnel is what a stream knows whose client has asked for one (RFC 8441).
type tunnel struct {
	held  []byte // octets that came too early; none come once the backend has refused
	open  bool   // the backend has agreed
	deaf  bool   // it has not, or nobody was asked: what comes is dropped
	ended bool   // the client has finished, which the backend is still to be told
}

// tunnelling reports whether the stream is a tunnel.
func (s *h2stream) tunnelling() bool { return s.tunnel != nil && s.tunnel.open && s.x != nil }

// tunnelData takes octets of the client. They go to the backend in order, and none before it has agreed.
func (s *h2stream) tunnelData(b []byte) {
	t := s.tunnel
	switch {
	case s.x == nil || t.deaf:
	case t.open && t.held == nil:
		s.pass(b)
	case len(t.held)+len(b) > heldBytes:
		s.stalled()
	default:
		if t.held == nil {
			t.held = s.conn.host.loop.Buffer(len(b))
		}
		t.held = append(s.conn.host.loop.Grow(t.held, len(b)), b...)
	}
}

// pass sends the backend octets, and opens the client's window again when they have been taken.
func (s *h2stream) pass(b []byte) {
	s.owed += len(b)
	if s.x.TunnelData(b); s.tunnelling() && s.x.WantsBody() {
		s.credit()
	}
}

// tunnelEnd takes the client's end.
func (s *h2stream) tunnelEnd() {
	if s.tunnelling() && s.tunnel.held == nil {
		s.x.TunnelEnd()
		return
	}
	s.tunnel.ended = true
}

// Switch makes a tunnel of the stream. What the client has said before goes to the backend first, in the next turn.
func (s *h2stream) Switch() {
	c := s.conn
	s.tunnel.open = true
	if c.tunnels++; c.tunnels == 1 {
		c.host.tunnels++
	}
	c.stream.Arm(&s.timer, s, s.x.TunnelDue())
	c.changed = true
	c.stream.Again()
}

// catchUp sends what was held for streams that have become tunnels.
func (c *H2) catchUp() {
	c.changed = false
	for i := range c.streams {
		s := c.streams[i]
		if s == nil || !s.tunnelling() {
			continue
		}
		t := s.tunnel
		if held := t.held; held != nil {
			t.held = nil
			s.pass(held)
			c.host.loop.Return(held)
		}
		if t.ended && s.tunnelling() {
			t.ended = false
			s.x.TunnelEnd()
		}
	}
}

// refused drops what came for a tunnel that will be none.
func (t *tunnel) refused(s *h2stream) {
	t.deaf = true
	s.conn.giveBack(&t.held)
}

// untunnel takes a tunnel that has ended out of the account.
func (s *h2stream) untunnel() {
	c := s.conn
	c.giveBack(&s.tunnel.held)
	if !s.tunnel.open {
		return
	}
	s.tunnel.open = false
	if c.tunnels--; c.tunnels == 0 {
		c.host.tunnels--
	}
}

// Finish ends the answer when the client has taken everything; what it says still passes.
func (s *h2stream) Finish() {
	c := s.conn
	s.left = 0
	if !s.queued && !s.sentEnd {
		c.gather, _ = c.machine.AppendData(c.room(0), s.id, nil, true)
		s.sentEnd = true
	}
}

// overdue finds out what a tunnel is late with.
func (s *h2stream) overdue() {
	c, now := s.conn, s.conn.host.loop.Now()
	t := &c.host.timeouts
	due := s.x.TunnelDue()
	if due <= now {
		s.x.TunnelLate()
		return
	}
	if s.queued {
		if s.since+int64(t.Write) <= now {
			if c.stream.Pending() == 0 && s.moved < int64(t.Rate)*int64(t.Write)/1e9 {
				s.stalled()
				return
			}
			s.since, s.moved = now, 0
		}
		due = min(due, s.since+int64(t.Write))
	}
	c.stream.Arm(&s.timer, s, due)
}

// cutTunnels ends all tunnels because the gateway does.
func (c *H2) cutTunnels() {
	for i := range c.streams {
		if s := c.streams[i]; s != nil && s.tunnelling() {
			s.x.Cut()
		}
	}
}
