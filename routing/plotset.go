// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"math/bits"
	"slices"
)

// plotSet is a set of plots by number: a list as long as it is short, then bits.
type plotSet struct {
	list []uint32
	bits []uint64
}

const maxPlotList = 32

// add takes up the plots first ≤ n < end.
func (s *plotSet) add(first, end uint32) {
	if s.bits == nil {
		if int(end-first)+len(s.list) <= maxPlotList {
			for n := first; n < end; n++ {
				if !slices.Contains(s.list, n) {
					s.list = append(s.list, n)
				}
			}
			return
		}
		s.bits = []uint64{}
		for _, n := range s.list {
			s.set(n/64, 1<<(n%64))
		}
		s.list = nil
	}
	for w := first / 64; w*64 < end; w++ {
		mask := ^uint64(0)
		if w == first/64 {
			mask <<= first % 64
		}
		if rest := end - w*64; rest < 64 {
			mask &= 1<<rest - 1
		}
		s.set(w, mask)
	}
}

func (s *plotSet) set(word uint32, mask uint64) {
	if n := int(word) + 1 - len(s.bits); n > 0 {
		s.bits = append(s.bits, make([]uint64, n)...)
	}
	s.bits[word] |= mask
}

// each calls f for every plot, in no order.
func (s *plotSet) each(f func(number uint32)) {
	for _, n := range s.list {
		f(n)
	}
	for i, w := range s.bits {
		for ; w != 0; w &= w - 1 {
			f(uint32(i*64 + bits.TrailingZeros64(w)))
		}
	}
}
