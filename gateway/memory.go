// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/overload"
)

// memoryTick is how often it is looked how much memory is used: in that time new connections must not take a tenth of it.
// What loops take for buffers, which is most and comes fast, they say themselves.
const memoryTick = 25 * time.Millisecond

// watchMemory looks how much memory is used, until the loops stop.
func (s *Server) watchMemory() {
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	for {
		select {
		case <-s.nodes[0].loop.Done():
			return
		case <-tick.C:
			s.observe(overload.Used)
		}
	}
}

// observe looks how much memory is used.
func (s *Server) observe(look func() uint64) {
	if s.memory.Observe(look) > overload.Calm {
		for _, n := range s.nodes {
			n.loop.Post(n.relieve)
		}
	}
}

// Pressure is what the watch over memory found last.
func (n *node) Pressure() exchange.Pressure { return exchange.Pressure(n.server.memory.Level()) }

// relieve gives back what is kept only in case it is wanted again.
func (n *node) relieve() {
	n.cache.DropIdle()
	n.host.Relieve()
	n.loop.Trim()
}
