// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"sync"
	"sync/atomic"
	"testing"
)

// BE-06: of a backend that loses every request, no more than 15 % are sent again.
func TestBE06RetriesAreAShareOfRequests(t *testing.T) {
	t.Parallel()
	var r Retries
	taken := 0
	const rate, seconds = 1000, 60
	for i := range rate * seconds {
		now := int64(i) * second / rate
		if r.Request(now); r.Take(now) {
			taken++
		}
	}
	if share := float64(taken) / (rate * seconds); share < 0.10 || share > 0.155 {
		t.Errorf("%.3f of the requests were repeated", share)
	}
}

// A portal that is asked now and then may have each lost request repeated.
func TestAQuietBackendMayRepeat(t *testing.T) {
	t.Parallel()
	var r Retries
	for i := range 100 {
		now := int64(i) * second
		if r.Request(now); !r.Take(now) {
			t.Fatalf("request %d may not be repeated", i)
		}
	}
	taken := 0
	for range 1000 { // and what it saved up is not much
		if r.Take(100 * second) {
			taken++
		}
	}
	if taken > leastRetries {
		t.Errorf("%d repeated at once", taken)
	}
}

// BE-06: nothing is repeated while the backend's limits refuse others.
func TestBE06NothingIsRepeatedWhileTheLimitsRefuse(t *testing.T) {
	t.Parallel()
	b := new(Backend)
	if err := b.configure(Limits{InFlight: 1}, 0); err != nil {
		t.Fatal(err)
	}
	now := 10 * second
	if outcome, _ := b.Admit(now); outcome != Admitted || !b.Retries.Take(now) {
		t.Fatal("refused without a cause")
	}
	if outcome, _ := b.Admit(now); outcome != Busy || b.Retries.Take(now) || b.Retries.Take(now+shedding-1) {
		t.Error("repeated while others were refused")
	}
	if !b.Retries.Take(now + shedding) {
		t.Error("refused for longer")
	}
}

func TestRetriesFromManyLoops(t *testing.T) {
	t.Parallel()
	var r Retries
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20_000 {
				now := int64(i) * second / 2000
				if r.Request(now); r.Take(now) {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); n > 8*20_000*17/100 {
		t.Errorf("%d of %d repeated", n, 8*20_000)
	}
}
