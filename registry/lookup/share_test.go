// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// RS-01: one network that asks for keys that nobody knows, as many as it can, keeps others from no answer, also where the source
// is slow; and it is counted, not shut out.
func TestRS01OneNetworkLeavesHalfOfTheCallsToOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options Options
		slow    time.Duration
		others  int // keys in a second
		flood   int // calls in a second that it has nevertheless, at least
	}{
		"a budget that is soon used up": {Options{Rate: 5, Burst: 50}, 50 * time.Millisecond, 2, 2},
		"a source that is slow":         {Options{Rate: 100, Burst: 100, Calls: 2}, 500 * time.Millisecond, 1, 2},
		"a small budget":                {Options{Rate: 2, Burst: 1}, 50 * time.Millisecond, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulate(t, c.options, func(t *testing.T, cache *Cache, s *scripted) {
				s.set(after(c.slow, answers))
				theirs, ours := netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/48")
				var told [results]atomic.Int64
				n, asked, flood := 0, 0, 0
				for range 20 {
					for range 250 {
						n++
						if _, _, w := cache.Want(key(1_000_000+n), theirs, func(*Answer, Result) {}); w != nil {
							flood++
						}
						time.Sleep(4 * time.Millisecond)
					}
					for range c.others {
						asked++
						if _, r, w := cache.Want(key(asked), ours, func(_ *Answer, r Result) { told[r].Add(1) }); w == nil {
							told[r].Add(1)
						}
					}
				}
				time.Sleep(10 * time.Second)
				if n := int(told[Hit].Load()); n != asked {
					t.Errorf("%d of %d of another network were answered, %d had no call, %d failed", n, asked, told[Budget].Load(), told[Failed].Load())
				}
				if flood < 20*c.flood {
					t.Errorf("the flood had %d calls, want %d at least", flood, 20*c.flood)
				}
			})
		})
	}
}

// Who is alone has nearly all of the calls, and nobody's network has no share.
func TestANetworkThatIsAloneIsNotHeldToHalf(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Rate: 10, Burst: 20}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(after(10*time.Millisecond, answers))
		one := netip.MustParsePrefix("198.51.100.0/24")
		refused := 0
		for i := range 600 {
			if _, r, w := c.Want(key(i), one, func(*Answer, Result) {}); w == nil {
				t.Logf("%d: %v", i, r)
				refused++
			}
			time.Sleep(110 * time.Millisecond)
		}
		if refused > 0 {
			t.Errorf("%d of 600 were refused", refused)
		}
		for i := range 3000 { // now others want much
			c.Want(key(10_000+i), netip.MustParsePrefix("203.0.113.0/24"), func(*Answer, Result) {})
			time.Sleep(time.Millisecond)
		}
		if _, r, w := c.Want(key(700), one, func(*Answer, Result) {}); w == nil {
			t.Errorf("what it had while there was enough is held against it: %v", r)
		}
		time.Sleep(time.Minute)
		for i := range 20 {
			if _, r, w := c.Want(key(1000+i), netip.Prefix{}, func(*Answer, Result) {}); w == nil {
				t.Errorf("nobody's: %v", r)
			}
		}
	})
}
