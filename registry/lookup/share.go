// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// share leaves others their part of the calls, whatever one network asks for: many keys that nobody knows would take all of them.
// Where calls are scarce a network has half of them; its calls are counted as if they came at half the rate (GCRA), all the time. And
// as many of its keys wait for a call as are made at once. Networks that share a counter share their part. Safe for concurrent use.
type share struct {
	seed     maphash.Seed
	counters [1024]counter
	each     time.Duration // between two calls
	ahead    time.Duration // that they may be, in a burst
	waiting  int32
}

// counter is what is known of a network.
type counter struct {
	due     atomic.Int64 // when its calls so far would be over, Unix nanoseconds
	waiting atomic.Int32 // keys
}

func (s *share) open(o *Options) {
	s.seed, s.waiting = maphash.MakeSeed(), int32(o.Calls)
	s.each = time.Duration(2 * float64(time.Second) / o.Rate)
	s.ahead = s.each * time.Duration(max(o.Burst/2, 1))
}

// of is the counter of a network, nil of the zero one, which has no bounds.
func (s *share) of(network netip.Prefix) *counter {
	if !network.IsValid() {
		return nil
	}
	return &s.counters[maphash.Comparable(s.seed, network)%uint64(len(s.counters))]
}

// enter counts a key that is to wait for its call. It reports false, and counts nothing, if its network has had its part.
func (s *share) enter(n *counter, scarce bool, now time.Time) bool {
	if n == nil {
		return true
	}
	if n.waiting.Add(1) > s.waiting || !s.count(n, scarce, now.UnixNano()) {
		n.leave()
		return false
	}
	return true
}

// leave says that the key does not wait any more.
func (n *counter) leave() {
	if n != nil {
		n.waiting.Add(-1)
	}
}

func (s *share) count(n *counter, scarce bool, now int64) bool {
	for {
		was := n.due.Load()
		next := max(was, now) + int64(s.each)
		if most := now + int64(s.ahead); next > most {
			if scarce {
				return false
			}
			next = most
		}
		if n.due.CompareAndSwap(was, next) {
			return true
		}
	}
}
