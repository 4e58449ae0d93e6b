// SPDX-License-Identifier: EUPL-1.2

package exchange

const (
	// stocked is how many exchanges a loop keeps for its next requests.
	stocked = 1024
	// retained is how large a buffer an exchange in stock may hold, octets: one long address or page must not be paid for
	// as many times as there were requests at once.
	retained = 4 << 10
)

// Stock keeps exchanges that are over for the next requests of a loop. The zero value is ready; owned by the loop's
// thread.
type Stock struct{ free []*Exchange }

// Get returns an exchange that is ready for Start.
func (s *Stock) Get() *Exchange {
	n := len(s.free)
	if n == 0 {
		return new(Exchange)
	}
	x := s.free[n-1]
	s.free = s.free[:n-1]
	return x
}

// Put takes an exchange that is Over and that nobody refers to any more.
func (s *Stock) Put(x *Exchange) {
	if len(s.free) >= stocked {
		return
	}
	for _, b := range [...]*[]byte{
		&x.path, &x.authority, &x.target, &x.link, &x.kept, &x.plan.Scratch, &x.plan.Reply.Body,
	} {
		if cap(*b) > retained {
			*b = nil
		}
	}
	s.free = append(s.free, x)
}
