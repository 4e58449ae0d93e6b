// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"container/heap"
	"math"
	"testing"
	"time"
)

// portal is a backend that works on so many requests at once and lets others wait inside: what it does to latency is what
// the limit has to find out. Time is virtual.
type portal struct {
	workers int
	work    func(n int) int64 // ns that the n-th request takes
	busy    ends
	inside  []int64 // when they began, in order, of those that wait inside
	served  int
}

type end struct{ at, began int64 }

type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any          { x := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return x }

func (p *portal) take(now, began int64) {
	if len(p.busy) < p.workers {
		p.served++
		heap.Push(&p.busy, end{now + p.work(p.served), began})
		return
	}
	p.inside = append(p.inside, began)
}

// load offers requests at a rate for a while, open loop, and reports how many were answered in it, how many were refused,
// and the longest time that one was in the portal in its last half.
func (p *portal) load(b *Backend, from int64, rate float64, d time.Duration) (good, refused int, worst int64) {
	gap, next, until := int64(1e9/rate), from, from+int64(d)
	for {
		if len(p.busy) > 0 && p.busy[0].at <= next {
			e := heap.Pop(&p.busy).(end)
			if e.at > until {
				heap.Push(&p.busy, e)
				return good, refused, worst
			}
			good++
			if e.at > from+int64(d)/2 {
				worst = max(worst, e.at-e.began)
			}
			b.Heard(e.began, e.at)
			b.Release(e.at)
			if len(p.inside) > 0 {
				began := p.inside[0]
				p.inside = p.inside[1:]
				p.take(e.at, began)
			}
			continue
		}
		if next > until {
			return good, refused, worst
		}
		if outcome, _ := b.Admit(next); outcome == Admitted {
			p.take(next, next)
		} else {
			refused++
		}
		next += gap
	}
}

func always(d time.Duration) func(int) int64 { return func(int) int64 { return int64(d) } }

// BE-02: a backend that can 500 requests a second is offered three times as many. Without a limit of its own they wait
// inside it for seconds; the adaptive limit keeps it busy, and quick.
func TestBE02AnAdaptiveLimitKeepsABackendBusyAndQuick(t *testing.T) {
	t.Parallel()
	p := &portal{workers: 50, work: always(100 * time.Millisecond)}
	b := granting(t, Limits{InFlight: 1000, Adaptive: true})
	good, refused, worst := p.load(b, 0, 1500, 30*time.Second)
	if good < 500*30*95/100 || refused == 0 {
		t.Errorf("%d answered in 30 s, %d refused; want 500 a second and the others refused", good, refused)
	}
	if worst > 300e6 {
		t.Errorf("a request was in the portal for %v, want about its 100 ms", time.Duration(worst))
	}
	// Offered less, it gets all of it.
	if _, refused, _ = p.load(b, 31e9, 400, 10*time.Second); refused > 0 {
		t.Errorf("%d of 400 a second are refused", refused)
	}
	// It becomes slower by half, and faster again: the limit follows, both ways.
	p.work = always(200 * time.Millisecond)
	p.load(b, 42e9, 1500, 60*time.Second)
	if good, _, worst = p.load(b, 103e9, 1500, 20*time.Second); good < 250*20*90/100 || worst > 650e6 {
		t.Errorf("at half its speed: %d answered in 20 s, the slowest after %v", good, time.Duration(worst))
	}
	p.work = always(100 * time.Millisecond)
	p.load(b, 124e9, 1500, 20*time.Second)
	if good, _, worst = p.load(b, 145e9, 1500, 20*time.Second); good < 500*20*90/100 || worst > 300e6 {
		t.Errorf("at full speed again: %d answered in 20 s, the slowest after %v", good, time.Duration(worst))
	}
}

// A portal whose answers take from 10 ms to 20 s, as they do, is not limited as long as it has room.
func TestLongRequestsAreNoOverload(t *testing.T) {
	t.Parallel()
	p := &portal{workers: math.MaxInt, work: func(n int) int64 {
		return []int64{10e6, 15e6, 900e6, 30e6, 20e9, 12e6, 5e9, 80e6}[n%8]
	}}
	b := granting(t, Limits{InFlight: 1000, Adaptive: true})
	if _, refused, _ := p.load(b, 0, 100, 120*time.Second); refused > 0 { // some 330 at once
		t.Errorf("%d refused, the limit is %d", refused, b.Usage(0).InFlightLimit)
	}
}

// A limit that is not made use of is left alone, whatever the latency does.
func TestALimitThatNobodyNeedsStays(t *testing.T) {
	t.Parallel()
	p := &portal{workers: 1000, work: always(10 * time.Millisecond)}
	b := granting(t, Limits{InFlight: 100, Adaptive: true})
	p.load(b, 0, 1000, 10*time.Second)
	p.work = always(40 * time.Millisecond)
	if _, refused, _ := p.load(b, 11e9, 1000, 10*time.Second); refused > 0 || b.Usage(0).InFlightLimit != 100 {
		t.Errorf("%d refused, limit %d, want it as it was", refused, b.Usage(0).InFlightLimit)
	}
}

func TestFailuresLowerTheLimitAndItReturns(t *testing.T) {
	t.Parallel()
	b := granting(t, Limits{InFlight: 160, Adaptive: true})
	for now := int64(0); now < 10e9; now += 5e6 {
		b.Missed(now, now+1e6)
	}
	if got := b.Usage(0).InFlightLimit; got != 10 {
		t.Errorf("limit %d after failures only, want the least of 10", got)
	}
	p := &portal{workers: 50, work: always(10 * time.Millisecond)}
	p.load(b, 11e9, 4000, 10*time.Second)
	if got := b.Usage(0).InFlightLimit; got < 40 {
		t.Errorf("limit %d, want it back where the portal is busy", got)
	}
	if err := b.configure(Limits{InFlight: 20, Adaptive: true}, 0); err != nil || b.Usage(0).InFlightLimit != 20 {
		t.Errorf("limit %d after the operator's is 20 (%v)", b.Usage(0).InFlightLimit, err)
	}
	if err := b.configure(Limits{InFlight: 30}, 0); err != nil || b.Usage(0).InFlightLimit != 30 {
		t.Errorf("limit %d after it is adaptive no more, want 30 (%v)", b.Usage(0).InFlightLimit, err)
	}
	if (Limits{Adaptive: true}).Check() == nil {
		t.Error("adaptive without in_flight passes")
	}
}

func TestLatenciesAreCountedWithinAnEighth(t *testing.T) {
	t.Parallel()
	for ns := int64(8); ns < 1e12; ns = ns*9/8 + 1 {
		if got := latencyOf(bucket(ns)); math.Abs(got-float64(ns)) > float64(ns)/8 {
			t.Errorf("%d ns is counted as %.0f", ns, got)
		}
	}
	_ = latencyOf(bucket(math.MaxInt64))
	_ = latencyOf(bucket(-5))
}

func TestHeardDoesNotAllocate(t *testing.T) {
	b := granting(t, Limits{InFlight: 100, Adaptive: true})
	now := int64(0)
	if n := testing.AllocsPerRun(5000, func() { now += 1e6; b.Heard(now-5e5, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
