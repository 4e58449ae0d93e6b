// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

func TestAnAnswerIsGivenRenewedAndWaitedForByItsAge(t *testing.T) {
	t.Parallel()
	simulate(t, Options{TTL: time.Hour}, func(t *testing.T, c *Cache, s *scripted) {
		k := key(1)
		gets(t, c, k, Wait)
		if first := expect(t, c, k, Hit); first.Entries[0].URL != found(k, 1).Entries[0].URL || !first.At.Equal(time.Now()) {
			t.Errorf("%+v", first)
		}
		time.Sleep(time.Hour - 1)
		gets(t, c, k, Hit)
		synctest.Wait()
		if n := s.asked(); n != 1 {
			t.Errorf("%d calls while the answer is young, want 1", n)
		}
		time.Sleep(time.Nanosecond)
		old := gets(t, c, k, Hit) // and this has it renewed
		synctest.Wait()
		if renewed := gets(t, c, k, Hit); s.asked() != 2 || renewed == old {
			t.Errorf("%d calls after the answer became old, want 2", s.asked())
		}
		time.Sleep(2*time.Hour - 1)
		gets(t, c, k, Hit)
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		gets(t, c, k, Wait) // nobody has asked for so long
		if n := s.asked(); n != 3 {
			t.Errorf("%d calls, want 3: nothing is renewed that nobody asks for", n)
		}
		expect(t, c, k, Hit)
	})
}

func TestNothingKnownIsAnAnswer(t *testing.T) {
	t.Parallel()
	simulate(t, Options{NegativeTTL: time.Minute}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(knowsNothing)
		k := key(1)
		expect(t, c, k, Negative)
		gets(t, c, k, Negative)
		time.Sleep(time.Minute)
		s.set(answers)
		gets(t, c, k, Negative)
		synctest.Wait()
		gets(t, c, k, Hit)
		if n := s.asked(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
		time.Sleep(2 * time.Hour)
		s.set(knowsNothing)
		expect(t, c, k, Negative)
		s.set(freezes)
		time.Sleep(2 * time.Minute)
		if a := expect(t, c, k, Stale); !a.Negative() {
			t.Errorf("%+v", a)
		}
	})
}

func TestAHitCostsNoMemory(t *testing.T) {
	s := &scripted{script: answers}
	c := New(Options{Source: s})
	defer c.Close()
	k, none := key(1), key(2)
	expect(t, c, k, Hit)
	s.set(knowsNothing)
	expect(t, c, none, Negative)
	for _, k := range []Key{k, none} {
		if n := testing.AllocsPerRun(1000, func() { c.Get(k) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// Without the network: a thousand citizens ask a hundred thousand times for fifty keys.
func TestOneCallForAKeyAndItsTime(t *testing.T) {
	t.Parallel()
	const citizens, each, keys, ttl = 1000, 100, 50, time.Hour
	simulate(t, Options{TTL: ttl}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(after(200*time.Millisecond, answers))
		start := time.Now()
		var of sync.WaitGroup
		var served atomic.Int64
		for i := range citizens {
			of.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 7))
				for range each {
					if a, got := c.Look(t.Context(), key(r.IntN(keys))); got == Hit && len(a.Entries) == 1 {
						served.Add(1)
					}
					time.Sleep(time.Duration(r.IntN(600)) * time.Second)
				}
			})
		}
		of.Wait()
		if served.Load() != citizens*each {
			t.Errorf("%d of %d were answered", served.Load(), citizens*each)
		}
		if d := s.nearest(); d < ttl {
			t.Errorf("two calls for one key within %v", d)
		}
		times := int(time.Since(start)/ttl) + 1
		if n := s.asked(); n > keys*times {
			t.Errorf("%d calls for %d keys in %d times of %v", n, keys, times, ttl)
		}
		st := c.Stats()
		if sum := st.Counts[Hit] + st.Counts[Wait]; sum != citizens*each || st.Counts[Wait] > citizens {
			t.Errorf("counted %v", st.Counts)
		}
		t.Logf("%d calls in %v, %d waited", s.asked(), time.Since(start), st.Counts[Wait])
	})
}

func TestThoseWhoWaitAreCalledOnceAndNotWhileTheyAsk(t *testing.T) {
	t.Parallel()
	simulate(t, Options{}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(after(time.Second, answers))
		var called [100]int
		var mu sync.Mutex
		var waiters []*Waiter
		for i := range called {
			mu.Lock() // done on this goroutine would never return
			a, r, w := c.Want(key(1), netip.Prefix{}, func(a *Answer, r Result) {
				mu.Lock()
				defer mu.Unlock()
				if called[i]++; a == nil || r != Hit {
					t.Errorf("%v %v", a, r)
				}
			})
			mu.Unlock()
			if a != nil || r != Wait || w == nil {
				t.Fatal(a, r, w)
			}
			waiters = append(waiters, w)
		}
		for i, w := range waiters {
			if i%3 == 0 && !w.Cancel() {
				t.Error("too late to cancel a look-up under way")
			}
		}
		if n := c.Stats().Waiting; n != 66 {
			t.Errorf("%d wait after a third has left, want 66", n)
		}
		time.Sleep(2 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		for i, n := range called {
			if want := min(i%3, 1); n != want {
				t.Errorf("%d was called %d times, want %d", i, n, want)
			}
			if waiters[i].Cancel() {
				t.Errorf("%d: cancelled after it was over", i)
			}
		}
		if st := c.Stats(); s.asked() != 1 || st.Waiting != 0 || st.Counts[Wait] != 100 {
			t.Errorf("%d calls, %+v", s.asked(), st)
		}
	})
}

func TestACallThatNobodyWaitsForAnyMoreIsNotMade(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Calls: 1}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(after(time.Second, answers))
		c.Want(key(1), netip.Prefix{}, func(*Answer, Result) {})
		synctest.Wait()
		_, _, w := c.Want(key(2), netip.Prefix{}, func(*Answer, Result) { t.Error("called after it has left") })
		w.Cancel()
		time.Sleep(3 * time.Second)
		if s.asked() != 1 {
			t.Errorf("%d calls, want 1", s.asked())
		}
		expect(t, c, key(2), Hit)
	})
}

func TestWhoWaitsIsBounded(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Waiters: 10}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(after(time.Second, answers))
		var waiters []*Waiter
		for i := range 10 {
			_, _, w := c.Want(key(i%3), netip.Prefix{}, func(*Answer, Result) {})
			waiters = append(waiters, w)
		}
		if _, r, w := c.Want(key(1), netip.Prefix{}, nil); r != Budget || w != nil {
			t.Errorf("the eleventh of ten: %v", r)
		}
		waiters[4].Cancel()
		if _, r, w := c.Want(key(1), netip.Prefix{}, func(*Answer, Result) {}); r != Wait || w == nil {
			t.Errorf("a place that was left is not free: %v", r)
		}
		time.Sleep(2 * time.Second)
		if n := c.Stats().Waiting; n != 0 {
			t.Errorf("%d places are not given back", n)
		}
	})
}

func TestCallsAndTheirQueueAreBounded(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Calls: 3, Rate: 1e6, Burst: 1e6}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(after(time.Millisecond, answers))
		refused := 0
		var done atomic.Int64
		for i := range 2 * maxQueue {
			if _, r, _ := c.Want(key(i), netip.Prefix{}, func(*Answer, Result) { done.Add(1) }); r == Budget {
				refused++
			}
		}
		time.Sleep(time.Minute)
		if n := s.peak(); n != 3 {
			t.Errorf("%d calls at once, want 3", n)
		}
		if refused < maxQueue-3 || int(done.Load())+refused != 2*maxQueue {
			t.Errorf("%d refused, %d called back", refused, done.Load())
		}
	})
}

func TestAKnownKeyDoesNotWaitLongForABetterAnswer(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Patience: time.Second, Timeout: 30 * time.Second}, func(t *testing.T, c *Cache, s *scripted) {
		k := key(1)
		expect(t, c, k, Hit)
		time.Sleep(24 * time.Hour)
		s.set(after(10*time.Second, answers))
		start := time.Now()
		expect(t, c, k, Stale)
		if d := time.Since(start); d != time.Second {
			t.Errorf("waited %v for an answer that was there", d)
		}
		time.Sleep(10 * time.Second)
		gets(t, c, k, Hit)
		if st := c.Stats(); s.asked() != 2 || st.Waiting != 0 || st.Counts[Stale] != 1 || st.Counts[Wait] != 1 {
			t.Errorf("%d calls, want 2; %+v", s.asked(), st)
		}
	})
}

func TestClosingCallsEverybodyBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{script: answers}
		c := New(Options{Source: s, Calls: 2, Timeout: time.Hour, Burst: 3, Rate: .01, Patience: time.Hour})
		expect(t, c, key(0), Hit)
		s.set(freezes)
		time.Sleep(3 * time.Hour)
		var called [20]int
		for i := range called {
			c.Want(key(i/2), netip.Prefix{}, func(a *Answer, r Result) { // the first two have an old answer
				called[i]++
				if want := Failed; i < 2 && r != Stale || i >= 2 && r != want {
					t.Errorf("%d: %v", i, r)
				}
			})
		}
		time.Sleep(time.Second)
		c.Close()
		for i, n := range called {
			if n != 1 {
				t.Errorf("%d was called %d times", i, n)
			}
		}
		if _, r, w := c.Want(key(15), netip.Prefix{}, nil); r != Failed || w != nil {
			t.Errorf("a closed cache says %v", r)
		}
		if _, r := c.Get(key(0)); r != Stale {
			t.Errorf("a closed cache says %v to a key it knows", r)
		}
		if n := c.Stats().Waiting; n != 0 {
			t.Errorf("%d wait at the end", n)
		}
	})
}

func TestWhatNobodyCanMeanIsRefused(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(context.Context, Key, int) (Answer, Quota, error){
		"rows": func(_ context.Context, k Key, _ int) (Answer, Quota, error) {
			a := found(k, 1)
			for len(a.Entries) < 101 {
				a.Entries = append(a.Entries, a.Entries[0])
			}
			return a, Quota{}, nil
		},
		"contexts": func(context.Context, Key, int) (Answer, Quota, error) {
			return Answer{Contexts: make([]Context, 101)}, Quota{}, nil
		},
		"bytes": func(_ context.Context, k Key, _ int) (Answer, Quota, error) {
			a := found(k, 1)
			a.Entries[0].Others = []registry.LangURL{{URL: strings.Repeat("x", 65<<10)}}
			return a, Quota{}, nil
		},
		"another Leistung": func(context.Context, Key, int) (Answer, Quota, error) { return found(key(9), 1), Quota{}, nil },
		"panic":            func(context.Context, Key, int) (Answer, Quota, error) { panic("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulate(t, Options{AnswerRows: 100}, func(t *testing.T, c *Cache, s *scripted) {
				s.set(script)
				expect(t, c, key(1), Failed)
				gets(t, c, key(1), Failed)
				if st := c.Stats(); st.Entries != 0 || st.Causes[source.CauseOversized]+st.Causes[source.CauseSchema] != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const entries, room = 256, 1 << 20
	simulate(t, Options{Entries: entries, Bytes: room, AnswerBytes: 32 << 10, Rate: 1e6, Burst: 1e6}, func(t *testing.T, c *Cache, s *scripted) {
		for i := range 10 * entries {
			expect(t, c, key(i), Hit)
		}
		if st := c.Stats(); st.Entries > entries || st.Entries < entries/2 {
			t.Errorf("%d answers, at most %d", st.Entries, entries)
		}
		s.set(func(_ context.Context, k Key, n int) (Answer, Quota, error) {
			a := found(k, n)
			a.Entries[0].Title = strings.Repeat("x", 30<<10)
			return a, Quota{}, nil
		})
		for i := range 10 * entries {
			expect(t, c, key(1e6+i), Hit)
		}
		sum := int64(0)
		for i := range c.shards {
			for _, v := range c.shards[i].newest() {
				sum += v.size
			}
		}
		if st := c.Stats(); st.Bytes > room || st.Bytes != sum || st.Bytes < room/2 {
			t.Errorf("%d bytes are counted, %d are there, at most %d", st.Bytes, sum, room)
		}
	})
}

// Whoever asks for everything that does not exist drives out nothing that does.
func TestKeysThatNobodyKnowsDriveNothingOut(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Entries: 256, Rate: 1e6, Burst: 1e6}, func(t *testing.T, c *Cache, s *scripted) {
		for i := range 100 {
			expect(t, c, key(i), Hit)
		}
		s.set(knowsNothing)
		for i := range 10_000 {
			expect(t, c, key(1000+i), Negative)
		}
		s.set(refuses(source.CauseSchema, 0))
		for i := range 10_000 {
			c.Look(t.Context(), key(20_000+i))
		}
		for i := range 100 {
			gets(t, c, key(i), Hit)
		}
		others := 0
		for i := range c.shards {
			c.shards[i].mu.Lock()
			others += c.shards[i].others.Len()
			c.shards[i].mu.Unlock()
		}
		if others > 256 {
			t.Errorf("%d other keys are remembered", others)
		}
	})
}

func BenchmarkGetHit(b *testing.B) {
	const keys = 10_000
	s := &scripted{script: answers}
	c := New(Options{Source: s, Rate: 1e6, Burst: 1e6})
	defer c.Close()
	all := make([]Key, keys)
	for i := range all {
		all[i] = key(i)
		if _, r := c.Look(b.Context(), all[i]); r != Hit {
			b.Fatal(r)
		}
	}
	for _, p := range []int{1, 2} {
		b.Run(fmt.Sprintf("loops=%d", p), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(1)
			if p == 1 {
				for i := 0; b.Loop(); i++ {
					c.Get(all[i*7919%keys])
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(keys); pb.Next(); i++ {
					c.Get(all[i*7919%keys])
				}
			})
		})
	}
}

func TestOneKeyThatEverybodyAsksForKeepsNoOtherFromBeingRenewed(t *testing.T) {
	t.Parallel()
	simulate(t, Options{TTL: time.Hour, Calls: 1}, func(t *testing.T, c *Cache, s *scripted) {
		expect(t, c, key(1), Hit)
		expect(t, c, key(2), Hit)
		time.Sleep(time.Hour)
		s.set(after(time.Second, answers))
		c.Want(key(3), netip.Prefix{}, func(*Answer, Result) {})
		synctest.Wait()
		for range 2 * maxQueue {
			gets(t, c, key(1), Hit)
		}
		gets(t, c, key(2), Hit)
		time.Sleep(4 * time.Second)
		if n := s.asked(key(2)); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

func TestASourceThatIsTooSlowForSoManyKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Calls: 1, Timeout: 5 * time.Second}, func(t *testing.T, c *Cache, s *scripted) {
		s.set(after(4*time.Second, answers))
		results := make([]Result, 20)
		for i := range results {
			c.Want(key(i), netip.Prefix{}, func(_ *Answer, r Result) { results[i] = r })
		}
		time.Sleep(13 * time.Second)
		synctest.Wait()
		if s.asked() != 2 || results[0] != Hit || results[1] != Hit || results[2] != Budget || results[19] != Budget {
			t.Errorf("%d calls, %v", s.asked(), results)
		}
	})
}

func TestWhoHasNothingGoesBeforeRenewals(t *testing.T) {
	t.Parallel()
	simulate(t, Options{TTL: time.Hour, Calls: 1}, func(t *testing.T, c *Cache, s *scripted) {
		for i := range 10 {
			expect(t, c, key(i), Hit)
		}
		time.Sleep(time.Hour)
		s.set(after(time.Second, answers))
		for i := range 10 {
			gets(t, c, key(i), Hit)
		}
		synctest.Wait()
		for i := range 9 {
			start := time.Now()
			expect(t, c, key(100+i), Hit)
			if d := time.Since(start); d != 2*time.Second {
				t.Errorf("waited %v, want 2s: for what was under way, and for its own call", d)
			}
			synctest.Wait()
		}
	})
}

// A source from which nothing comes back any more keeps only those waiting who asked before that was seen: an old answer is
// given at once, and who has none hears so as soon as no call can be made.
func TestASourceThatIsStuckKeepsNoCrowdWaiting(t *testing.T) {
	t.Parallel()
	simulate(t, Options{Calls: 2, Timeout: 4 * time.Second, Patience: time.Second, TTL: time.Minute}, func(t *testing.T, c *Cache, s *scripted) {
		for i := range 4 {
			expect(t, c, key(i), Hit)
		}
		time.Sleep(3 * time.Minute)
		s.set(freezes)
		ask := func(n int) (*Answer, Result) {
			a, r, _ := c.Want(key(n), netip.Prefix{}, func(*Answer, Result) {})
			return a, r
		}
		if _, r := ask(0); r != Wait {
			t.Errorf("an old key, of which nobody knows that it is stuck: %v", r)
		}
		time.Sleep(260 * time.Millisecond)
		if a, r := ask(1); r != Stale || a == nil {
			t.Errorf("an old key, a quarter of the patience later: %v", r)
		}
		for n := range 4 {
			if _, r := ask(100 + n); r != Wait {
				t.Errorf("an unknown key while a call can be made: %v", r)
			}
		}
		time.Sleep(time.Second)
		if _, r := ask(200); r != Failed {
			t.Errorf("an unknown key when all calls are stuck: %v", r)
		}
		time.Sleep(4 * time.Second)
		s.set(answers)
		expect(t, c, key(300), Hit)
		expect(t, c, key(0), Stale)
		time.Sleep(2 * time.Second)
		expect(t, c, key(0), Hit)
	})
}
