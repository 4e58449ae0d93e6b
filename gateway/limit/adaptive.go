// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A window is how long, ns, and over how many answers is measured before the limit is looked at.
	windowLength  = int64(100 * time.Millisecond)
	windowAnswers = 10
	// tolerated is how many times its base a latency may be before it counts as delay.
	tolerated = 1.25
	// least is how many requests at once any backend gets, and leastPart the part of the operator's limit.
	least, leastPart = 4, 16
	// The base is measured anew after probeAfter, and up to as much again later, ns: fewer requests are admitted for one
	// window then. Where that would take longer than probeLatency it is not done.
	probeAfter   = int64(30 * time.Second)
	probeLatency = int64(time.Second)
	// perOctave is how many buckets a latency's doubling has.
	perOctave = 8
)

// adaptive finds how many requests at once a backend takes before it gets slower by it: a limit below the operator's. Once
// a window it compares the latency with the base, the least of the last windows, and sets the limit to
//
//	limit × tolerated × base ÷ latency + √limit
//
// the first factor at least a half and at most one (Gradient, after TCP Vegas). The latency is the time to the head of the
// answer that a quarter of the requests stays below: delay in a queue is everybody's, while a few long requests say nothing.
// A backend that is not asked for half its limit is left alone, however long its answers take.
type adaptive struct {
	latencies [64 * perOctave]atomic.Uint32
	answers   atomic.Uint32
	failures  atomic.Uint32
	// began is when a request must have begun to count: earlier ones had another limit.
	began atomic.Int64
	until atomic.Int64 // end of the window

	mu     sync.Mutex // guards what is below; who finds it locked goes on
	most   float64    // the operator's limit
	limit  float64
	base   float64 // ns, 0 = not measured yet
	probe  int64   // when the base is measured anew
	before float64 // the limit before the present probe, 0 = there is none
}

// Heard notes that a backend has begun to answer, at the time now, a request that was sent when it began.
func (b *Backend) Heard(began, now int64) {
	a := b.adaptive.Load()
	if a == nil || began < a.began.Load() {
		return
	}
	a.latencies[bucket(now-began)].Add(1)
	a.answers.Add(1)
	b.look(a, now)
}

// Missed notes that a backend has failed to answer a request, or has refused it for want of something.
func (b *Backend) Missed(began, now int64) {
	a := b.adaptive.Load()
	if a == nil || began < a.began.Load() {
		return
	}
	a.failures.Add(1)
	b.look(a, now)
}

// look ends the window if it is over.
func (b *Backend) look(a *adaptive, now int64) {
	if now < a.until.Load() || a.answers.Load()+a.failures.Load() < windowAnswers || !a.mu.TryLock() {
		return
	}
	n := b.inFlight.Now()
	a.end(now, b.waiting.Load() > 0 || 2*n >= int64(a.limit))
	b.inFlight.SetLimit(int64(a.limit))
	a.mu.Unlock()
	b.grant(now)
}

// end ends a window; busy says that the limit is made use of. The caller holds mu.
func (a *adaptive) end(now int64, busy bool) {
	answers, failures := a.answers.Swap(0), a.failures.Swap(0)
	latency := a.quarter()
	a.until.Store(now + windowLength)
	was := a.limit
	switch {
	case failures*10 > answers+failures:
		a.limit *= .8
	case a.before > 0:
		a.base, a.limit, a.before = latency, a.before, 0
		was = a.limit
	default:
		a.follow(now, latency, busy)
	}
	a.limit = min(max(a.limit, least, a.most/leastPart), a.most)
	if a.limit < was {
		a.began.Store(now)
	}
}

// follow sets the limit by the latency.
func (a *adaptive) follow(now int64, latency float64, busy bool) {
	floor := max(least, a.most/leastPart)
	switch {
	case a.base == 0 || latency < a.base, a.limit <= floor: // with so few requests the delay is not of their making
		a.base = latency
	case now >= a.probe:
		a.probe = now + probeAfter + rand.Int64N(probeAfter) //nolint:gosec // so that nodes do not probe in step
		if busy && latency <= float64(probeLatency) {
			a.before, a.limit = a.limit, a.limit/2
			return
		}
		a.base = latency
	}
	if !busy {
		return
	}
	gradient := min(max(tolerated*a.base/latency, .5), 1)
	a.limit = a.limit*gradient + math.Sqrt(a.limit)
}

// quarter takes the window's latency, and empties it for the next.
func (a *adaptive) quarter() float64 {
	var counts [len(a.latencies)]uint32
	all := uint32(0)
	for i := range counts {
		counts[i] = a.latencies[i].Swap(0)
		all += counts[i]
	}
	below := uint32(0)
	for i, n := range counts {
		if below += n; n > 0 && 4*below >= all {
			return latencyOf(i)
		}
	}
	return a.base
}

// bucket is where a latency, ns, is counted.
func bucket(ns int64) int {
	n := uint64(max(ns, perOctave))
	octave := bits.Len64(n) - 1
	return octave*perOctave + int(n>>(octave-3))&(perOctave-1)
}

// latencyOf is the middle of a bucket, ns.
func latencyOf(bucket int) float64 {
	octave, part := bucket/perOctave, bucket%perOctave
	return math.Ldexp(1+(float64(part)+.5)/perOctave, octave)
}

// adapt makes the limit adaptive, or no more.
func (b *Backend) adapt(l Limits, now int64) {
	a := b.adaptive.Load()
	if !l.Adaptive {
		b.adaptive.Store(nil)
		b.inFlight.SetLimit(l.InFlight)
		return
	}
	if a == nil {
		a = &adaptive{most: float64(l.InFlight), limit: float64(l.InFlight), probe: now + probeAfter}
		a.until.Store(now + windowLength)
		a.began.Store(now)
	}
	a.mu.Lock()
	if a.limit == a.most {
		a.limit = float64(l.InFlight)
	}
	a.most = float64(l.InFlight)
	a.limit = min(a.limit, a.most)
	b.inFlight.SetLimit(int64(a.limit))
	a.mu.Unlock()
	b.adaptive.Store(a)
}
