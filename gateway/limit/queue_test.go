// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = int64(time.Millisecond)

// waiters are n that note their names when they are granted a place.
func waiters(n int) (all []*Waiter, granted *[]int) {
	granted = new([]int)
	for i := range n {
		all = append(all, &Waiter{Granted: func() { *granted = append(*granted, i) }})
	}
	return all, granted
}

func granting(t testing.TB, l Limits) *Backend {
	t.Helper()
	b := new(Backend)
	if err := b.configure(l, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheOldestGoesFirst(t *testing.T) {
	t.Parallel()
	b := granting(t, Limits{InFlight: 1, Queue: 3, Patience: time.Second})
	if got, _ := b.Admit(0); got != Admitted {
		t.Fatalf("the first is %v", got)
	}
	ws, granted := waiters(4)
	for i, want := range []Outcome{Queued, Queued, Queued, Busy} {
		if got, _ := b.Admit(0); got != Full {
			t.Fatalf("without a place: %v, want Full", got)
		}
		if got, _ := b.Wait(int64(i)*ms, ws[i]); got != want {
			t.Fatalf("wait %d: %v, want %v", i, got, want)
		}
	}
	if u := b.Usage(0); u.Queued != 3 || u.QueueLimit != 3 || u.BusyRefused != 1 {
		t.Errorf("usage %+v, want 3 of 3 in the queue and one refused", u)
	}
	for i := range 3 {
		b.Release(5 * ms)
		if len(*granted) != i+1 || (*granted)[i] != i {
			t.Fatalf("after %d releases granted %v", i+1, *granted)
		}
	}
	if b.Release(5 * ms); b.Usage(0).InFlight != 0 {
		t.Error("a place is not free")
	}
}

// What more comes than goes makes a delay that stands: those who came last are served, the others wait in vain, and when
// the queue has been empty the oldest is first again.
func TestTheNewestGoesFirstWhereTheDelayStands(t *testing.T) {
	t.Parallel()
	b := granting(t, Limits{InFlight: 1, Queue: 100, Patience: time.Second})
	b.Admit(0)
	ws, granted := waiters(100)
	for i := range 50 {
		b.Wait(0, ws[i])
	}
	b.Release(50 * ms) // a delay, but not a standing one
	b.Release(90 * ms)
	b.Release(101 * ms)
	b.Wait(110*ms, ws[50])
	b.Release(111 * ms)
	if want := []int{0, 1, 49, 50}; len(*granted) != 4 || [4]int(*granted) != [4]int(want) {
		t.Fatalf("granted %v, want %v", *granted, want)
	}
	for range 47 {
		b.Release(120 * ms)
	}
	if u := b.Usage(0); u.Queued != 0 || u.InFlight != 1 {
		t.Fatalf("usage %+v", u)
	}
	*granted = nil
	b.Wait(300*ms, ws[60])
	b.Wait(300*ms, ws[61])
	if b.Release(350 * ms); (*granted)[0] != 60 {
		t.Error("after the queue was empty the oldest is not first")
	}
}

func TestWhoQuitsHasNoPlaceUnlessItWasGranted(t *testing.T) {
	t.Parallel()
	b := granting(t, Limits{InFlight: 1, Queue: 9, Patience: time.Second})
	b.Admit(0)
	ws, granted := waiters(3)
	for _, w := range ws {
		b.Wait(0, w)
	}
	if !b.Quit(ws[0]) || b.Quit(ws[0]) {
		t.Error("one leaves the queue once")
	}
	b.Release(0)
	if len(*granted) != 1 || b.Quit(ws[1]) {
		t.Fatalf("granted %v; who has been granted a place cannot leave the queue", *granted)
	}
	b.Release(0) // what Quit left to its caller
	if len(*granted) != 2 || b.Usage(0).InFlight != 1 {
		t.Errorf("granted %v, %d in flight", *granted, b.Usage(0).InFlight)
	}
}

func TestAReloadGrantsWhatItAllows(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]Limits{"more": {InFlight: 4, Queue: 9, Patience: 1}, "no limit": {}, "shadow": {InFlight: 1, Shadow: true}, "no queue": {InFlight: 4}} {
		b := granting(t, Limits{InFlight: 1, Queue: 9, Patience: time.Second})
		b.Admit(0)
		ws, granted := waiters(3)
		for _, w := range ws {
			b.Wait(0, w)
		}
		if err := b.configure(l, ms); err != nil {
			t.Fatal(err)
		}
		if len(*granted) != 3 {
			t.Errorf("%s: granted %v, want all three", name, *granted)
		}
	}
	for _, l := range []Limits{{Queue: -1, Patience: 1}, {Queue: 1}, {Patience: 1}} {
		if l.Check() == nil {
			t.Errorf("%+v passes", l)
		}
	}
}

func TestAWaitTakesAShareOfTheRateOrNoPlace(t *testing.T) {
	t.Parallel()
	b := granting(t, Limits{Rate: Quota{Requests: 2}, InFlight: 1, Queue: 9, Patience: time.Second})
	b.Admit(0)
	ws, granted := waiters(2)
	b.Wait(0, ws[0])
	if got, wait := b.Wait(0, ws[1]); got != RateUsedUp || wait <= 0 {
		t.Errorf("%v, wait %d, want RateUsedUp and a wait", got, wait)
	}
	if b.Release(0); len(*granted) != 1 || b.Usage(0).Queued != 0 {
		t.Errorf("granted %v, %d wait", *granted, b.Usage(0).Queued)
	}
}

// However requests come, leave and end: places are as many as were taken, none is free while somebody waits, and whoever
// was granted one was granted it once.
func TestNoPlaceIsLostOrGivenTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := new(Backend)
		set := func(now int64) {
			l := Limits{InFlight: rapid.Int64Range(0, 4).Draw(t, "in flight"), Queue: rapid.Int64Range(0, 6).Draw(t, "queue")}
			if l.Queue > 0 {
				l.Patience = time.Second
			}
			if err := b.configure(l, now); err != nil {
				t.Fatal(err)
			}
		}
		now, held := int64(0), 0
		set(now)
		waiting, grants := map[*Waiter]bool{}, map[*Waiter]int{}
		pick := func() *Waiter {
			if len(waiting) == 0 {
				t.Skip("nobody waits")
			}
			all := make([]*Waiter, 0, len(waiting))
			for w := b.queue.oldest; w != nil; w = w.newer {
				all = append(all, w)
			}
			return rapid.SampledFrom(all).Draw(t, "who")
		}
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				outcome, _ := b.Admit(now)
				if outcome == Admitted {
					held++
				}
				if outcome != Full {
					return
				}
				w := new(Waiter)
				w.Granted = func() {
					if grants[w]++; grants[w] > 1 || !waiting[w] {
						t.Fatal("a place was granted to who does not wait")
					}
					delete(waiting, w)
					held++
				}
				waiting[w] = true
				if outcome, _ = b.Wait(now, w); outcome != Queued {
					delete(waiting, w)
				}
			},
			"end": func(t *rapid.T) {
				if held == 0 {
					t.Skip("nobody is in")
				}
				held--
				b.Release(now)
			},
			"quit": func(t *rapid.T) {
				w := pick()
				if !b.Quit(w) {
					t.Fatal("who waits cannot leave")
				}
				delete(waiting, w)
			},
			"later":  func(t *rapid.T) { now += rapid.Int64Range(0, 200*ms).Draw(t, "ns") },
			"reload": func(*rapid.T) { set(now) },
			"": func(t *rapid.T) {
				u := b.Usage(now)
				if u.InFlight != int64(held) || u.Queued != int64(len(waiting)) {
					t.Fatalf("%d in flight and %d waiting, want %d and %d", u.InFlight, u.Queued, held, len(waiting))
				}
				if len(waiting) > 0 && (u.InFlightLimit == 0 || u.InFlight < u.InFlightLimit) {
					t.Fatalf("%d wait while %d of %d places are taken", u.Queued, u.InFlight, u.InFlightLimit)
				}
			},
		})
	})
}

// The same with threads that race.
func TestRacingForPlaces(t *testing.T) {
	t.Parallel()
	const most = 3
	b := granting(t, Limits{InFlight: most, Queue: 4, Patience: time.Second})
	var inside, served, quit, refused atomic.Int64
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 0))
			granted := make(chan struct{}, 1)
			w := &Waiter{Granted: func() { granted <- struct{}{} }}
			for now := range int64(4000) {
				outcome, _ := b.Admit(now * ms)
				if outcome == Full {
					outcome, _ = b.Wait(now*ms, w)
				}
				switch outcome {
				case Queued:
					if rng.IntN(3) == 0 && b.Quit(w) {
						quit.Add(1)
						continue
					}
					<-granted
				case Admitted:
				default:
					refused.Add(1)
					continue
				}
				if n := inside.Add(1); n > most {
					t.Errorf("%d inside, %d allowed", n, most)
				}
				served.Add(1)
				runtime.Gosched()
				inside.Add(-1)
				b.Release(now * ms)
			}
		})
	}
	wg.Wait()
	if u := b.Usage(0); u.InFlight != 0 || u.Queued != 0 {
		t.Errorf("%d in flight, %d waiting when all have gone", u.InFlight, u.Queued)
	}
	if served.Load() == 0 || quit.Load() == 0 {
		t.Errorf("%d served, %d quit, %d refused: the race was none", served.Load(), quit.Load(), refused.Load())
	}
}

// Who finds a place pays nothing for the queue.
func TestAdmissionDoesNotAllocate(t *testing.T) {
	b := granting(t, Limits{InFlight: 10, Queue: 10, Patience: time.Second})
	if n := testing.AllocsPerRun(1000, func() {
		if got, _ := b.Admit(0); got == Admitted {
			b.Release(0)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
