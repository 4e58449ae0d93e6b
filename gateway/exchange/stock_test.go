// SPDX-License-Identifier: EUPL-1.2

package exchange

import "testing"

func TestStockGivesBackWhatItGot(t *testing.T) {
	var s Stock
	x := s.Get()
	x.path = make([]byte, 0, retained)
	s.Put(x)
	if y := s.Get(); y != x || cap(y.path) != retained {
		t.Errorf("got an exchange with a path of %d octets, want the one that was put, with its %d", cap(y.path), retained)
	}
}

// A loop that once had a thousand long requests must not hold their buffers for ever.
func TestStockKeepsNoLargeBuffer(t *testing.T) {
	var s Stock
	for range stocked + 10 {
		x := new(Exchange)
		x.kept = make([]byte, 0, retained+1)
		x.plan.Reply.Body = make([]byte, 0, 64<<10)
		s.Put(x)
	}
	if len(s.free) != stocked {
		t.Errorf("keeps %d exchanges, want %d", len(s.free), stocked)
	}
	for _, x := range s.free {
		if cap(x.kept)+cap(x.plan.Reply.Body) > 0 {
			t.Fatalf("keeps buffers of %d and %d octets, want none over %d", cap(x.kept), cap(x.plan.Reply.Body), retained)
		}
	}
}
