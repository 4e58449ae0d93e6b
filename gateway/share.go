// SPDX-License-Identifier: EUPL-1.2

package gateway

import "github.com/pvgate/pvgate/gateway/exchange"

// share holds the backends of one loop apart: a request at a backend has a connection there, and where one backend is slow,
// its requests are many. No backend has more of the loop's descriptors than are still free for all others. So a single one
// may have half of what its clients leave; two that are slow at once, a third each; and a share is always left for those
// that are not. Owned by the loop's thread.
type share struct {
	descriptors int   // the loop may use for connections
	taken       int   // requests at backends, or in their queues
	by          []int // the same by backend: exchange.Backend.Index
}

// enter takes a place for a request at a backend. others is how many descriptors are used for something else: connections
// of clients, and of tunnels. Without a place it is Busy; or Exhausted, where hardly anything would be left for anybody.
func (s *share) enter(backend, others int) exchange.Admission {
	for backend >= len(s.by) {
		s.by = append(s.by, 0)
	}
	if free := s.free(others); s.by[backend] >= free {
		if free < s.descriptors/16 {
			return exchange.Exhausted
		}
		return exchange.Busy
	}
	s.by[backend]++
	s.taken++
	return exchange.Admitted
}

// free is how many descriptors are not used.
func (s *share) free(others int) int { return s.descriptors - others - s.taken }

// leave gives it back.
func (s *share) leave(backend int) {
	s.by[backend]--
	s.taken--
}
