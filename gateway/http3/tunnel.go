// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"time"

	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// What of a tunnel (RFC 9220) is the loop's.

// tunnelGrace is how long tunnels are left alone while draining, as over TCP.
const tunnelGrace = 10 * time.Second

// Switch makes a tunnel of the stream: from now on the client is read. Whoever reads has waited for it, so nothing of what
// came too early is here.
func (s *stream) Switch() {
	s.open = true
	s.host.tunnels++
	s.host.loop.SetTimer(&s.timer, s, s.x.TunnelDue())
	s.post(s.begun)
}

// begun goes on after the answer's head.
func (s *stream) begun() {
	switch {
	case !s.open:
	case s.whole:
		s.x.TunnelEnd()
	default:
		s.offer()
	}
}

// Finish ends the answer; what the client says still passes.
func (s *stream) Finish() {
	if s.gather == nil {
		s.gather = s.server.chunks.get(0)
	}
	s.put(finishes, wire.None)
}

// overdue ends a tunnel that has been silent for too long, or has lasted long enough.
func (s *stream) overdue(now int64) {
	if due := s.x.TunnelDue(); due > now {
		s.host.loop.SetTimer(&s.timer, s, due)
		return
	}
	s.x.TunnelLate()
}

// draining reports whether the gateway ends.
func (h *Host) draining() bool { return h.drains != 0 }

// Drain takes no new tunnels, and ends those that are left after their grace. Call it again and again.
func (h *Host) Drain() {
	now := h.loop.Now()
	if h.drains == 0 {
		h.drains = now
	}
	if now-h.drains < int64(tunnelGrace) {
		return
	}
	for s := h.first; s != nil; {
		next := s.next
		if s.open {
			s.x.Cut()
		}
		s = next
	}
}
