// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const second = int64(time.Second)

func configured(t interface {
	Helper()
	Fatal(args ...any)
}, q Quota, now int64,
) *Rate {
	t.Helper()
	r := new(Rate)
	if err := r.Configure(q, now); err != nil {
		t.Fatal(err)
	}
	return r
}

func count(r *Rate, now int64, tries int) (admitted int) {
	for range tries {
		if ok, _ := r.Allow(now); ok {
			admitted++
		}
	}
	return admitted
}

func TestTheBurstIsExact(t *testing.T) {
	t.Parallel()
	for _, q := range []Quota{
		{Requests: 1},
		{Requests: 3},
		{Requests: 50, Burst: 100},
		{Requests: 7, Per: time.Minute},
		{Requests: 1_000_000, Burst: 3},
		{Requests: 333_333, Burst: 10_000},
		{Requests: 1, Per: 24 * time.Hour, Burst: 5},
	} {
		r := configured(t, q, 0)
		want := int(q.Burst)
		if want == 0 {
			want = int(q.Requests)
		}
		const now = 12_345_678_901
		if got := count(r, now, want+10); got != want {
			t.Errorf("%+v: %d admitted at one instant, want %d", q, got, want)
		}
	}
}

func TestWaitingAsToldIsEnoughAndOneNanosecondLessIsNot(t *testing.T) {
	t.Parallel()
	for _, q := range []Quota{{Requests: 3}, {Requests: 7, Per: time.Minute, Burst: 2}, {Requests: 999_983, Burst: 1}} {
		r := configured(t, q, 0)
		now := int64(1e9)
		for range 200 {
			ok, wait := r.Allow(now)
			if ok {
				continue
			}
			if wait < 1 {
				t.Fatalf("%+v: refused with a wait of %d", q, wait)
			}
			if ok, _ := r.Allow(now + wait - 1); ok {
				t.Fatalf("%+v: admitted 1 ns before the announced %d", q, wait)
			}
			now += wait
			if ok, _ := r.Allow(now); !ok {
				t.Fatalf("%+v: refused after the announced wait of %d", q, wait)
			}
		}
	}
}

func TestTheLongRunRateIsKept(t *testing.T) {
	t.Parallel()
	for _, requests := range []int64{1, 3, 7, 50, 999, 70_001, 1_000_000} {
		r := configured(t, Quota{Requests: requests, Burst: 1}, 0)
		end := 20_000 * second / requests
		admitted := int64(0)
		for now := int64(0); now < end; {
			ok, wait := r.Allow(now)
			if ok {
				admitted++
				continue
			}
			now += wait
		}
		const want = 20_000.0
		// One for the burst; spacing is rounded to 1/16 ns and waits to 1 ns.
		if got := float64(admitted); got > want*1.0001+1 || got < want*0.998-1 {
			t.Errorf("%d/s: %v admitted, want about %v", requests, got, want)
		}
	}
}

func TestAClockThatGoesBackNeverFreezesTheLimiter(t *testing.T) {
	t.Parallel()
	hour := 3600 * second
	r := configured(t, Quota{Requests: 10, Burst: 10}, hour)
	count(r, hour, 100)
	if got := count(r, 0, 100); got > 10 {
		t.Errorf("after going back an hour: %d admitted, want at most one burst", got)
	}
	if got := count(r, 2*second, 100); got != 10 {
		t.Errorf("two seconds later: %d admitted, want a full burst of 10", got)
	}
}

func TestAClockThatLagsALittleAdmitsNothingExtra(t *testing.T) {
	t.Parallel()
	r := configured(t, Quota{Requests: 100, Burst: 10}, 0)
	if got := count(r, second, 100); got != 10 {
		t.Fatalf("%d admitted, want 10", got)
	}
	if got := count(r, second-5*int64(time.Millisecond), 100); got != 0 {
		t.Errorf("a thread 5 ms behind was admitted %d times, want 0", got)
	}
}

func TestAJumpForwardGivesAtMostOneBurst(t *testing.T) {
	t.Parallel()
	r := configured(t, Quota{Requests: 10, Burst: 10}, 0)
	count(r, 0, 100)
	for _, now := range []int64{3600 * second, math.MaxInt64 >> 5, math.MaxInt64} {
		if got := count(r, now, 100); got > 10 {
			t.Errorf("at %d: %d admitted, want at most 10", now, got)
		}
	}
}

func TestAWrongQuotaIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	r := configured(t, Quota{Requests: 1}, 0)
	count(r, 0, 1)
	for _, q := range []Quota{
		{Requests: -1},
		{Burst: 5},
		{Requests: 1, Burst: -1},
		{Requests: 1, Per: -time.Second},
		{Requests: 2e9},
		{Requests: 1, Per: math.MaxInt64},
		{Requests: 1, Burst: math.MaxInt64},
	} {
		if err := r.Configure(q, 0); err == nil {
			t.Errorf("%+v was accepted", q)
		}
		if got := count(r, 0, 10); got != 0 {
			t.Errorf("%+v: refused, but %d requests came through", q, got)
		}
	}
}

func TestTheZeroRateLimitsNothing(t *testing.T) {
	t.Parallel()
	var r Rate
	if got := count(&r, 0, 1000); got != 1000 {
		t.Errorf("%d of 1000 admitted", got)
	}
	if err := r.Configure(Quota{Requests: 5}, 0); err != nil {
		t.Fatal(err)
	}
	if got := count(&r, 0, 1000); got != 5 {
		t.Errorf("%d admitted after configuring a burst of 5", got)
	}
	if err := r.Configure(Quota{}, 0); err != nil {
		t.Fatal(err)
	}
	if got := count(&r, 0, 1000); got != 1000 {
		t.Errorf("%d of 1000 admitted after lifting the limit", got)
	}
}

func TestChangingTheQuotaKeepsWhatIsOpen(t *testing.T) {
	t.Parallel()
	const now = 100 * second
	tests := []struct {
		name       string
		from, to   Quota
		taken      int
		wantAtOnce int
	}{
		{"same quota", Quota{Requests: 10}, Quota{Requests: 10}, 4, 6},
		{"higher burst", Quota{Requests: 10}, Quota{Requests: 10, Burst: 30}, 4, 26},
		{"lower burst", Quota{Requests: 10, Burst: 30}, Quota{Requests: 10}, 4, 6},
		{"lower burst, all used", Quota{Requests: 10, Burst: 30}, Quota{Requests: 10}, 30, 0},
		{"faster", Quota{Requests: 10}, Quota{Requests: 1000, Burst: 10}, 4, 6},
		{"slower", Quota{Requests: 1000, Burst: 10}, Quota{Requests: 1, Burst: 10}, 4, 6},
	}
	for _, tt := range tests {
		r := configured(t, tt.from, now)
		count(r, now, tt.taken)
		if err := r.Configure(tt.to, now); err != nil {
			t.Fatal(err)
		}
		if got := count(r, now, 1000); got != tt.wantAtOnce {
			t.Errorf("%s: %d more at once, want %d", tt.name, got, tt.wantAtOnce)
		}
	}
}

// model is a bucket counted in whole sixteenths of a nanosecond of credit,
// written the other way round (tokens that refill) and without tricks.
type model struct {
	credit, size, price int64
	last                int64
}

func (m *model) allow(now int64) bool {
	if now > m.last {
		m.credit = min(m.size, m.credit+(now-m.last)<<fraction)
		m.last = now
	}
	if m.credit < m.price {
		return false
	}
	m.credit -= m.price
	return true
}

func TestRateAgreesWithAPlainTokenBucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := Quota{
			Requests: rapid.Int64Range(1, 100_000).Draw(t, "requests"),
			Per:      time.Duration(rapid.Int64Range(1, 3600).Draw(t, "per")) * time.Second,
			Burst:    rapid.Int64Range(1, 1000).Draw(t, "burst"),
		}
		r := configured(t, q, 0)
		spacing, window, err := q.window()
		if err != nil {
			t.Fatal(err)
		}
		now := rapid.Int64Range(0, 1e15).Draw(t, "start")
		m := &model{credit: window, size: window, price: spacing, last: now}
		step := max(1, spacing>>fraction)
		for range rapid.IntRange(1, 300).Draw(t, "requests made") {
			now += rapid.Int64Range(0, 3*step).Draw(t, "gap")
			got, _ := r.Allow(now)
			if want := m.allow(now); got != want {
				t.Fatalf("%+v at %d: got %v, want %v", q, now, got, want)
			}
		}
	})
}

func TestManyThreadsTogetherGetExactlyTheBurst(t *testing.T) {
	t.Parallel()
	const burst = 1000
	r := configured(t, Quota{Requests: 1, Per: time.Hour, Burst: burst}, 0)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { admitted.Add(int64(count(r, second, burst))) })
	}
	wg.Wait()
	if got := admitted.Load(); got != burst {
		t.Errorf("%d admitted, want %d", got, burst)
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	r := configured(t, Quota{Requests: 1000}, 0)
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() { now += 100; r.Allow(now) }); n != 0 {
		t.Errorf("%v allocations per Allow, want 0", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	r := configured(b, Quota{Requests: 1_000_000_00, Burst: 1_000_000}, 0)
	now := int64(0)
	for b.Loop() {
		now += 20
		r.Allow(now)
	}
}

func BenchmarkAllowContended(b *testing.B) {
	r := configured(b, Quota{Requests: 1_000_000_00, Burst: 1_000_000}, 0)
	b.RunParallel(func(pb *testing.PB) {
		now := int64(0)
		for pb.Next() {
			now += 20
			r.Allow(now)
		}
	})
}

// A quota that is taken back leaves nothing behind: no request is counted, and the next quota begins with its whole burst.
func TestNoQuotaIsNoState(t *testing.T) {
	t.Parallel()
	var r Rate
	for range 2 {
		if err := r.Configure(Quota{Requests: 2}, 1); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if ok, _ := r.Allow(1); ok != (i < 2) {
				t.Fatalf("request %d of a burst of 2: %v", i, ok)
			}
		}
		if err := r.Configure(Quota{}, 1); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if ok, _ := r.Allow(1); !ok || r.Used(1) != 0 || r.settings.Load() != nil {
				t.Fatalf("request %d without a quota: %v, %v of the burst used", i, ok, r.Used(1))
			}
		}
	}
}
