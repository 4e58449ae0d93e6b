// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Calls come to the server, and answers come back, in any order: never is one made too many, and when all is quiet
// what is left can be used but for those that overtook others.
func TestAQuotaIsKeptWhateverOvertakesWhat(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const window = time.Hour
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		var p pace
		o := Options{Rate: 1e9, Burst: 1e9, Patience: time.Second, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
		p.open(&o)
		now := time.Now()
		end := now.Add(window)
		type flight struct {
			turn turn
			q    Quota
		}
		var sent, answered []flight
		used := 0
		arrive := func(i int) {
			used++
			f := sent[i]
			sent = append(sent[:i], sent[i+1:]...)
			f.q = Quota{limit, max(limit-used, 0), (end.Sub(now) + time.Second - 1).Truncate(time.Second)}
			answered = append(answered, f)
		}
		back := func(i int) {
			f := answered[i]
			answered = append(answered[:i], answered[i+1:]...)
			p.done(now, f.turn, 0, f.q, nil)
		}
		take := func() bool {
			turn, r := p.take(now, false)
			if r != Wait {
				return false
			}
			sent = append(sent, flight{turn: turn})
			return true
		}
		take()
		arrive(0)
		back(0)
		overtaken := 0
		for range rapid.IntRange(50, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 1, 10, 500, 1000, 4000}).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				if len(sent)+len(answered) < 8 {
					take()
				}
			case 1:
				if len(sent) > 0 {
					i := rapid.IntRange(0, len(sent)-1).Draw(t, "arrives")
					overtaken += i
					arrive(i)
				}
			case 2:
				if len(answered) > 0 {
					back(rapid.IntRange(0, len(answered)-1).Draw(t, "is back"))
				}
			}
		}
		for len(sent) > 0 {
			arrive(0)
		}
		for len(answered) > 0 {
			back(0)
		}
		for take() {
			arrive(0)
			back(0)
		}
		if used > limit || used < min(limit, limit-overtaken) {
			t.Fatalf("%d calls of %d, %d were overtaken", used, limit, overtaken)
		}
		now = now.Add(window)
		if !take() {
			t.Fatal("the window is over, and still nothing may be asked")
		}
	})
}

// Several nodes may share an address, and so a quota.
func TestAQuotaThatOthersUseToo(t *testing.T) {
	t.Parallel()
	simulate(t, Options{}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(func(_ context.Context, k Key, n int) (Answer, Quota, error) {
			return found(k, n), Quota{Limit: 20, Remaining: []int{19, 12, 0, 19}[n-1], Reset: time.Minute}, nil
		})
		for i := range 3 {
			expect(t, c, key(i), Hit)
		}
		gets(t, c, key(3), Budget)
		time.Sleep(time.Minute)
		expect(t, c, key(3), Hit)
	})
}

// A look-up of several requests obeys what it is told with each of them; that it had to end is no fault of the source.
func TestFurtherRequestsObeyTheQuota(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Rate: 100, Burst: 100}, func(t *testing.T, c *Cache, s *scripted) {
		left := 2
		s.set(func(ctx context.Context, k Key, n int) (Answer, Quota, error) {
			for range 2 {
				left--
				if err := Again(ctx, Quota{Limit: 10, Remaining: left, Reset: 30 * time.Second}); err != nil {
					return Answer{}, Quota{}, err
				}
			}
			return found(k, n), Quota{}, nil
		})
		expect(t, c, key(1), Budget) // the second page was the last that may be asked for
		if left != 0 {
			t.Errorf("%d requests are left, want none", left)
		}
		expect(t, c, key(2), Budget)
		if n := s.asked(); n != 1 {
			t.Errorf("asked %d times though nothing is left", n)
		}
		time.Sleep(31 * time.Second)
		left = 10
		expect(t, c, key(1), Hit) // at once: nothing has failed
		if c.pace.failures != 0 || c.pace.flying != 0 || c.pace.under != 0 {
			t.Errorf("%d failures, %d calls under way", c.pace.failures, c.pace.flying)
		}
	})
}
