// SPDX-License-Identifier: EUPL-1.2

// Package limit decides how much a backend gets: so many requests in a span
// of time ([Rate]) and so many at once ([InFlight]), and who waits for a place
// ([Waiter]).
//
// The calls you want are [Backend.Admit] and [Backend.Release] on the request
// path (no lock, no allocation), [Backend.Wait] where Admit says Full, and
// [Book.Apply] when a new snapshot is put in service. State outlives
// snapshots: it is kept in a [Book] under the backend's name, and a reload that
// changes a limit changes it in place.
//
// It deliberately has no clock (time is an argument) and no shares of senders,
// and it does not know what a refusal looks like: gateway/reason and
// gateway/pages do.
package limit

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/gateway/prefetch"
)

// InFlight counts requests that are at a backend and holds them below a cap.
// The zero value counts and has no cap. Safe for concurrent use.
type InFlight struct {
	n, limit atomic.Int64
}

// Acquire takes one place if there is one. Every success needs one Release.
func (f *InFlight) Acquire() bool {
	limit := f.limit.Load()
	if limit == 0 {
		f.n.Add(1)
		return true
	}
	// Not added first and looked at afterwards: a place must never look taken by
	// who does not get it, or nobody gives it to those who wait.
	for {
		n := f.n.Load()
		if n >= limit {
			return false
		}
		if f.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives a place back.
func (f *InFlight) Release() {
	if f.n.Add(-1) < 0 {
		panic("limit: Release without Acquire")
	}
}

// Now returns how many places are taken.
func (f *InFlight) Now() int64 { return f.n.Load() }

// Limit returns the cap, 0 for none.
func (f *InFlight) Limit() int64 { return f.limit.Load() }

// SetLimit changes the cap, 0 for none. Requests already inside stay.
func (f *InFlight) SetLimit(limit int64) { f.limit.Store(limit) }

// Limits is what an operator grants one backend. The zero value limits nothing.
type Limits struct {
	Rate     Quota
	InFlight int64 // at once; 0 for no cap
	Tunnels  int64 // connections that have changed their protocol, at once; 0 for no cap
	// Queue is how many may wait for one of the InFlight places, Patience for how long; 0 for none.
	Queue    int64
	Patience time.Duration
	// Adaptive finds a limit below InFlight by how fast the backend answers.
	Adaptive bool
	Shadow   bool // count what would wait or be refused, refuse nothing
}

// Check says what is wrong with the limits.
func (l Limits) Check() error {
	if l.InFlight < 0 {
		return fmt.Errorf("in_flight %d is negative; use 0 for no cap", l.InFlight)
	}
	if l.Tunnels < 0 {
		return fmt.Errorf("tunnels %d is negative; use 0 for no cap", l.Tunnels)
	}
	if l.Queue < 0 || l.Patience < 0 || (l.Queue > 0) != (l.Patience > 0) {
		return fmt.Errorf("a queue of %d with a wait of %v: both or none, and none negative", l.Queue, l.Patience)
	}
	if l.Adaptive && l.InFlight == 0 {
		return errors.New("adaptive without in_flight: it needs a limit to stay below")
	}
	return l.Rate.Check()
}

// Outcome is what Admit or Wait decided.
type Outcome uint8

// The outcomes. Admitted needs a Release, the others must not have one.
const (
	Admitted Outcome = iota
	RateUsedUp
	Busy
	Full   // no place now, but one may Wait for one
	Queued // one waits for a place
)

// Backend is the limiter state of one backend. It lives as long as any
// snapshot names the backend, and is safe for concurrent use. The zero value
// limits nothing. What every request touches comes first, in one cache line: with thousands of backends it waits for each.
type Backend struct {
	rate     Rate
	inFlight InFlight
	adaptive atomic.Pointer[adaptive] // nil: InFlight is the limit
	waiting  atomic.Int64             // as many stand in the queue; written under queue.mu
	// Retries is the budget of requests that are sent a second time.
	Retries Retries

	queue   queue
	tunnels InFlight
	shadow  atomic.Bool
	// What was refused, or would have been in shadow mode.
	rateRefused, busyRefused atomic.Uint64
	_                        [24]byte // whole lines, so that each Backend begins one
}

// touched is how many octets of a Backend every request touches: to where Retries has counted it.
const touched = 56

// Admit takes a place and a share of the rate at the time now (nanoseconds of
// a monotonic clock). Any outcome but Admitted takes nothing; retryAfter is
// then how many nanoseconds later the rate would allow a request, 0 if that
// is not known (a place is free when another request ends).
func (b *Backend) Admit(now int64) (outcome Outcome, retryAfter int64) {
	// The place first: a rate's share that is taken and given back would be
	// seen by others as a used one for longer. Nobody overtakes those who wait.
	if b.waiting.Load() > 0 || !b.inFlight.Acquire() {
		if b.queue.most.Load() > 0 && !b.shadow.Load() {
			return Full, 0
		}
		b.busyRefused.Add(1)
		if !b.shadow.Load() {
			b.Retries.Refused(now)
			return Busy, 0
		}
		b.inFlight.n.Add(1)
	}
	ok, wait := b.rate.Allow(now)
	if ok {
		return Admitted, 0
	}
	b.rateRefused.Add(1)
	if b.shadow.Load() {
		return Admitted, 0
	}
	b.Release(now)
	b.Retries.Refused(now)
	return RateUsedUp, wait
}

// Expect asks the memory for what Admit and Release will touch.
func (b *Backend) Expect() { prefetch.First(b, touched) }

// Pass takes a share of the rate and no place: a redirect is over at once.
func (b *Backend) Pass(now int64) (ok bool, retryAfter int64) {
	ok, wait := b.rate.Allow(now)
	if ok {
		return true, 0
	}
	b.rateRefused.Add(1)
	if b.shadow.Load() {
		return true, 0
	}
	return false, wait
}

// Release ends what was admitted, or granted to a waiter, at the time now.
func (b *Backend) Release(now int64) {
	b.inFlight.Release()
	b.grant(now)
}

// Patience is how long one waits for a place at most, ns.
func (b *Backend) Patience() int64 { return b.queue.patience.Load() }

// Refused counts a request that got no place for a reason of its caller's.
func (b *Backend) Refused() { b.busyRefused.Add(1) }

// AdmitTunnel takes a place for a connection that is about to change its protocol and then lives for hours: such places
// are counted apart, so that they use up nobody's [InFlight]. It reports false if there is none; every success needs
// one ReleaseTunnel.
func (b *Backend) AdmitTunnel() bool {
	if b.tunnels.Acquire() {
		return true
	}
	b.busyRefused.Add(1)
	if !b.shadow.Load() {
		return false
	}
	b.tunnels.n.Add(1)
	return true
}

// ReleaseTunnel ends what AdmitTunnel admitted.
func (b *Backend) ReleaseTunnel() { b.tunnels.Release() }

// Usage is a reading of one backend's limiter, for metrics and explain.
type Usage struct {
	RateUsed                 float64 // part of the burst taken, 0 to 1
	InFlight, InFlightLimit  int64
	Tunnels, TunnelsLimit    int64
	Queued, QueueLimit       int64
	RateRefused, BusyRefused uint64 // since the backend was first seen
}

// Usage reads the state at the time now.
func (b *Backend) Usage(now int64) Usage {
	return Usage{
		RateUsed: b.rate.Used(now),
		InFlight: b.inFlight.Now(), InFlightLimit: b.inFlight.Limit(),
		Tunnels: b.tunnels.Now(), TunnelsLimit: b.tunnels.Limit(),
		Queued: b.waiting.Load(), QueueLimit: b.queue.most.Load(),
		RateRefused: b.rateRefused.Load(), BusyRefused: b.busyRefused.Load(),
	}
}

func (b *Backend) configure(l Limits, now int64) error {
	if err := b.rate.Configure(l.Rate, now); err != nil {
		return err
	}
	b.adapt(l, now)
	b.tunnels.SetLimit(l.Tunnels)
	b.shadow.Store(l.Shadow)
	b.queue.most.Store(l.Queue)
	b.queue.patience.Store(int64(l.Patience))
	b.grant(now)
	return nil
}

// Book keeps the state of all backends over reloads, by name. The zero value
// is ready. Safe for concurrent use, but not for the request path: a snapshot
// holds the pointers it got.
type Book struct {
	mu       sync.Mutex // guards backends
	backends map[string]*Backend
}

// Backend returns the state kept under a name. A backend seen for the first
// time limits nothing until Apply says what it is granted, so a snapshot can
// be built, and thrown away, without changing what is in service.
func (k *Book) Backend(name string) *Backend {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.backends[name]; b != nil {
		return b
	}
	if k.backends == nil {
		k.backends = make(map[string]*Backend)
	}
	b := new(Backend)
	k.backends[name] = b
	return b
}

// Apply puts the limits of a new snapshot in force, right before the snapshot
// itself is, and forgets backends it does not name. Requests still running
// under an older snapshot keep their pointer and release into it. If any
// limits are wrong nothing changes.
func (k *Book) Apply(limits map[string]Limits, now int64) error {
	var faults []error
	for name, l := range limits {
		if err := l.Check(); err != nil {
			faults = append(faults, fmt.Errorf("limits of backend %q: %w", name, err))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for name, l := range limits {
		if err := k.Backend(name).configure(l, now); err != nil {
			return fmt.Errorf("limits of backend %q: %w", name, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.backends {
		if _, ok := limits[name]; !ok {
			delete(k.backends, name)
		}
	}
	return nil
}
