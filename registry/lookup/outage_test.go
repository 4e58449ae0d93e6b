// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

// outages are the ways in which a source is of no use, all at the end of a day of which is none.
func outages() map[string]func(context.Context, Key, int) (Answer, Quota, error) {
	return map[string]func(context.Context, Key, int) (Answer, Quota, error){
		"frozen":               freezes,
		"slow drip":            after(4*time.Second, refuses(source.CauseTimeout, 0)),
		"500":                  refuses(source.CauseUnreachable, 0),
		"503 with Retry-After": refuses(source.CauseUnreachable, 20*time.Second),
		"429 and nothing else": refuses(source.CauseRateLimited, 0),
		"429 with Retry-After": refuses(source.CauseRateLimited, 45*time.Second),
		"429 with RateLimit": func(context.Context, Key, int) (Answer, Quota, error) {
			return Answer{}, Quota{Limit: 100, Remaining: 0, Reset: 40 * time.Second}, &source.Refusal{Cause: source.CauseRateLimited, Text: "too many"}
		},
		"garbage":          refuses(source.CauseSchema, 0),
		"another Leistung": func(_ context.Context, _ Key, n int) (Answer, Quota, error) { return found(key(1e6), n), Quota{}, nil },
		"panic":            func(context.Context, Key, int) (Answer, Quota, error) { panic("broken") },
		"now this, now that": func(ctx context.Context, k Key, n int) (Answer, Quota, error) {
			if n%2 == 0 {
				return refuses(source.CauseRateLimited, 10*time.Second)(ctx, k, n)
			}
			return after(time.Second, refuses(source.CauseTruncated, 0))(ctx, k, n)
		},
	}
}

// CP-07, for a source that is asked key by key: a day of outage takes no known key away, and makes no unknown one unknown.
func TestCP07ADayOfOutageTakesNoKnownKeyAway(t *testing.T) {
	t.Parallel()
	for name, script := range outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const known, patience = 50, time.Second
			simulate(t, Options{TTL: 20 * time.Minute, NegativeTTL: time.Minute, Patience: patience}, func(t *testing.T, c *Cache, s *scripted) {
				for i := range known {
					if s.set(answers); i%10 == 9 {
						s.set(knowsNothing)
					}
					if _, r := c.Look(t.Context(), key(i)); r > Negative {
						t.Fatal(r)
					}
				}
				before := s.asked()
				s.set(script)
				var of sync.WaitGroup
				for i := range 20 {
					of.Go(func() { citizen(t, c, rand.New(rand.NewPCG(uint64(i), 1)), known, patience) })
				}
				of.Wait()
				// A probe a minute, and what was under way at once.
				if n := s.asked() - before; n > 24*60+100 {
					t.Errorf("%d calls in a day to a source that fails", n)
				}
				s.set(answers)
				time.Sleep(lastPause + time.Second)
				expect(t, c, key(1e7), Hit)
				for range 60 { // renewals leave half of the budget
					for i := range known {
						c.Look(t.Context(), key(i))
					}
					time.Sleep(time.Second)
				}
				for i := range known {
					gets(t, c, key(i), Hit)
				}
			})
		})
	}
}

// citizen asks for a day, now for what is known, now for what is not.
func citizen(t *testing.T, c *Cache, r *rand.Rand, known int, patience time.Duration) {
	for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); time.Sleep(time.Duration(r.IntN(600)) * time.Second) {
		start := time.Now()
		i := r.IntN(known)
		a, got := c.Look(t.Context(), key(i))
		if a == nil || got > Stale || a.Negative() != (i%10 == 9) {
			t.Errorf("a known key gets %v", got)
		}
		if waited := time.Since(start); waited > patience {
			t.Errorf("a known key waited %v", waited)
		}
		start = time.Now()
		if a, got := c.Look(t.Context(), key(1000+r.IntN(1e6))); a != nil || got != Failed && got != Budget {
			t.Errorf("an unknown key gets %v %v", a, got)
		}
		if waited := time.Since(start); waited > 11*time.Second {
			t.Errorf("an unknown key waited %v to hear of nothing", waited)
		}
	}
}

func TestTheAgeOfStaleAnswersIsTold(t *testing.T) {
	t.Parallel()
	simulate(t, Options{TTL: time.Hour}, func(t *testing.T, c *Cache, s *scripted) {
		expect(t, c, key(1), Hit)
		time.Sleep(time.Hour)
		expect(t, c, key(2), Hit)
		s.set(refuses(source.CauseTimeout, 0))
		time.Sleep(9 * time.Hour)
		if d := c.Stats().StaleAge; d != 0 {
			t.Errorf("%v, and nobody has got a stale answer", d)
		}
		expect(t, c, key(1), Stale)
		expect(t, c, key(2), Stale)
		if d := c.Stats().StaleAge; d != 10*time.Hour {
			t.Errorf("%v, want 10h", d)
		}
		time.Sleep(time.Minute)
		if d := c.Stats().StaleAge; d != 10*time.Hour {
			t.Errorf("%v a minute later, want 10h", d)
		}
		time.Sleep(time.Minute)
		if d := c.Stats().StaleAge; d != 0 {
			t.Errorf("%v, and nobody has got a stale answer for long", d)
		}
	})
}

func TestASourceThatFailsIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
	simulate(t, o, func(t *testing.T, c *Cache, s *scripted) {
		s.set(refuses(source.CauseUnreachable, 0))
		for i := range tolerated {
			expect(t, c, key(i), Failed)
		}
		pause, calls := firstPause, tolerated
		for range 6 {
			for i := range 100 {
				gets(t, c, key(100+i), Failed)
			}
			if n := s.asked(); n != calls {
				t.Fatalf("%d calls, want %d", n, calls)
			}
			time.Sleep(pause)
			// One probes, the others hear at once that it is in vain.
			s.set(after(time.Second, refuses(source.CauseUnreachable, 0)))
			c.Want(key(100), netip.Prefix{}, func(*Answer, Result) {})
			synctest.Wait()
			for i := range 50 {
				gets(t, c, key(200+i), Failed)
			}
			time.Sleep(time.Second)
			calls++
			pause = min(2*pause, lastPause)
		}
		time.Sleep(pause)
		s.set(answers)
		expect(t, c, key(500), Hit)
		for i := range 40 {
			expect(t, c, key(501+i), Hit)
		}
		s.set(refuses(source.CauseUnreachable, 0))
		for i := range tolerated - 1 {
			expect(t, c, key(600+i), Failed)
		}
		s.set(answers)
		expect(t, c, key(700), Hit)
	})
	if text := log.String(); strings.Count(text, "look-ups pause") != 1 || strings.Count(text, "look-ups work again") != 1 {
		t.Errorf("the log says\n%s", text)
	}
}

func TestAKeyThatFailsAloneIsNotAskedForByEverybody(t *testing.T) {
	t.Parallel()
	simulate(t, Options{}, func(t *testing.T, c *Cache, s *scripted) {
		poison := key(1)
		s.set(func(ctx context.Context, k Key, n int) (Answer, Quota, error) {
			if k == poison {
				return refuses(source.CauseSchema, 0)(ctx, k, n)
			}
			return answers(ctx, k, n)
		})
		for i := range 3600 {
			expect(t, c, poison, Failed)
			if i%10 == 0 {
				expect(t, c, key(2+i), Hit)
			}
			time.Sleep(time.Second)
		}
		if n := s.asked(poison); n < 60 || n > 70 {
			t.Errorf("%d calls in an hour for a key that is never answered, want about one a minute", n)
		}
	})
}

// Whoever asks for keys of which the registry says what nobody can use keeps nobody from others, and a registry that says
// such a thing works.
func TestKeysThatFailAloneDoNotPauseTheOthers(t *testing.T) {
	t.Parallel()
	for _, cause := range []source.Cause{source.CauseEmpty, source.CauseOversized, source.CauseUnknownArea} {
		simulate(t, Options{}, func(t *testing.T, c *Cache, s *scripted) {
			s.set(refuses(cause, 0))
			for i := range 4 * tolerated {
				expect(t, c, key(i), Failed)
			}
			s.set(answers)
			expect(t, c, key(100), Hit)
			gets(t, c, key(1), Failed) // that key is left alone for a while
			if n := c.Stats().Causes[cause]; n != 4*tolerated {
				t.Errorf("%s: %d are counted", cause, n)
			}
			s.set(refuses(source.CauseUnreachable, 0))
			for i := range tolerated {
				expect(t, c, key(200+i), Failed)
			}
			time.Sleep(firstPause)
			s.set(refuses(cause, 0))
			expect(t, c, key(300), Failed) // the probe
			s.set(answers)
			expect(t, c, key(301), Hit)
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	for _, cause := range []source.Cause{source.CauseRateLimited, source.CauseUnreachable} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			simulate(t, Options{}, func(t *testing.T, c *Cache, s *scripted) {
				want := Failed
				if cause == source.CauseRateLimited {
					want = Budget
				}
				s.set(refuses(cause, 90*time.Second))
				expect(t, c, key(1), want)
				s.set(answers)
				for i := range 89 {
					time.Sleep(time.Second)
					gets(t, c, key(2+i), want)
				}
				if n := s.asked(); n != 1 {
					t.Errorf("%d calls, want 1", n)
				}
				time.Sleep(time.Second)
				expect(t, c, key(100), Hit)
				s.set(refuses(cause, 1e6*time.Hour))
				expect(t, c, key(101), want)
				s.set(answers)
				time.Sleep(longestPause)
				expect(t, c, key(102), Hit)
			})
		})
	}
}

// A source that counts calls in windows and tells so is never asked once too often, however much is wanted of it.
func TestAQuotaThatIsToldIsKept(t *testing.T) {
	t.Parallel()
	const limit, window = 30, time.Minute
	simulate(t, Options{Rate: 100, Burst: 25}, func(t *testing.T, c *Cache, s *scripted) {
		var mu sync.Mutex
		var used, tooMany int
		var begun time.Time
		s.set(func(ctx context.Context, k Key, n int) (Answer, Quota, error) {
			mu.Lock()
			if time.Since(begun) >= window {
				begun, used = time.Now(), 0
			}
			used++
			q := Quota{limit, max(limit-used, 0), (time.Until(begun.Add(window)) + time.Second - 1).Truncate(time.Second)}
			over := used > limit
			if over {
				tooMany++
			}
			mu.Unlock()
			if over {
				return Answer{}, q, &source.Refusal{Cause: source.CauseRateLimited}
			}
			a, _, err := after(50*time.Millisecond, answers)(ctx, k, n)
			return a, q, err
		})
		var of sync.WaitGroup
		answered := make([]int, 20)
		for i := range answered {
			of.Go(func() {
				for n := range 3600 {
					if _, r := c.Look(t.Context(), key(i*10_000+n)); r == Hit {
						answered[i]++
					}
					time.Sleep(time.Second)
				}
			})
		}
		of.Wait()
		sum := 0
		for _, n := range answered {
			sum += n
		}
		if tooMany != 0 {
			t.Errorf("%d calls too many", tooMany)
		}
		if sum < limit*55 {
			t.Errorf("%d answers in an hour of %d a minute", sum, limit)
		}
	})
}

func TestOurOwnBudgetIsKept(t *testing.T) {
	t.Parallel()
	const rate, burst = 2, 10
	simulate(t, Options{Rate: rate, Burst: burst}, func(t *testing.T, c *Cache, s *scripted) {
		start := time.Now()
		results := map[Result]int{}
		for i := range 6000 {
			c.Want(key(i), netip.Prefix{}, func(_ *Answer, r Result) {})
			time.Sleep(100 * time.Millisecond)
			_, r := c.Get(key(i))
			results[r]++
		}
		seconds := int(time.Since(start) / time.Second)
		if n := s.asked(); n > burst+rate*seconds || n < rate*seconds {
			t.Errorf("%d calls in %d s, %d a second are allowed", n, seconds, rate)
		}
		if results[Budget] < 3000 || results[Failed] > 0 {
			t.Errorf("%v", results)
		}
	})
}

// What is renewed for nobody in particular leaves room for those who have nothing.
func TestRenewalsLeaveHalfOfTheBudget(t *testing.T) {
	t.Parallel()
	simulate(t, Options{TTL: time.Hour, Rate: 1e-6, Burst: 20}, func(t *testing.T, c *Cache, s *scripted) {
		for i := range 8 {
			expect(t, c, key(i), Hit)
		}
		time.Sleep(time.Hour)
		for i := range 8 {
			gets(t, c, key(i), Hit)
			synctest.Wait()
		}
		if n := s.asked(); n != 10 {
			t.Errorf("%d calls, want 8 and 2 of the 12 that were left", n)
		}
		for i := range 10 {
			expect(t, c, key(100+i), Hit)
		}
		expect(t, c, key(200), Budget)
		time.Sleep(time.Hour)
		for i := range 6 {
			expect(t, c, key(2+i), Stale)
		}
	})
}

func TestRenewalsLeaveHalfOfAQuota(t *testing.T) {
	t.Parallel()
	simulate(t, Options{TTL: time.Hour}, func(t *testing.T, c *Cache, s *scripted) {
		remaining := 7
		s.set(func(_ context.Context, k Key, n int) (Answer, Quota, error) {
			remaining--
			return found(k, n), Quota{10, remaining, 10 * time.Hour}, nil
		})
		expect(t, c, key(0), Hit)
		time.Sleep(time.Hour)
		for range 10 {
			gets(t, c, key(0), Hit)
			synctest.Wait()
		}
		expect(t, c, key(1), Hit) // 4 remain
		time.Sleep(time.Hour)
		for range 10 {
			gets(t, c, key(1), Hit)
			synctest.Wait()
		}
		if n := s.asked(); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
		for i := range 4 {
			expect(t, c, key(10+i), Hit)
		}
		gets(t, c, key(20), Budget)
	})
}
