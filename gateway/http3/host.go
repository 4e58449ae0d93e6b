// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop"
)

// Host is what the requests of one loop share. Owned by the loop's thread.
type Host struct {
	loop     *loop.Loop
	services exchange.Host
	stock    exchange.Stock
	first    *stream // whose exchange is in flight
	active   int
	tunnels  int   // of them
	drains   int64 // loop time since which the gateway ends, 0 = it does not
	stale    uint64
}

// NewHost returns the shared part for a loop.
func NewHost(l *loop.Loop, services exchange.Host) *Host { return &Host{loop: l, services: services} }

// pressed reports that memory is short. Safe for concurrent use.
func (h *Host) pressed() bool { return h.services.Pressure() != exchange.Calm }

// Active returns how many exchanges are in flight.
func (h *Host) Active() int { return h.active }

// Tunnels returns how many of them have become tunnels.
func (h *Host) Tunnels() int { return h.tunnels }

// Stale returns how many messages came for an exchange that was over.
func (h *Host) Stale() uint64 { return h.stale }

// Cut ends every exchange that is left because the gateway ends.
func (h *Host) Cut() {
	for h.first != nil {
		h.first.cut()
	}
}

func (h *Host) enter(s *stream) {
	s.x = h.stock.Get()
	s.next = h.first
	if h.first != nil {
		h.first.prev = s
	}
	h.first = s
	h.active++
}

func (h *Host) exit(s *stream) {
	if s.open {
		s.open = false
		h.tunnels--
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		h.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	h.active--
	h.stock.Put(s.x)
	s.x = nil
}
