// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Quota is a sustained rate and how much may come at once. The zero value is
// no limit.
type Quota struct {
	// Requests per Per are admitted in the long run; 0 means no limit.
	Requests int64
	// Per is the span Requests counts over; 0 means one second.
	Per time.Duration
	// Burst is how many may come at the same instant; 0 means Requests.
	Burst int64
}

// Inside a Rate time counts in sixteenths of a nanosecond since the caller's
// zero: finer than a nanosecond so that one million requests a second are
// still spaced to 1/16000, and 18 years long.
const fraction = 4

// maxWindow bounds burst × spacing, so that no sum below can overflow.
const maxWindow = math.MaxInt64 >> 4

// Unlimited reports whether the quota limits nothing.
func (q Quota) Unlimited() bool { return q.Requests == 0 }

// Check says what is wrong with a quota, nil if it can be kept exactly.
func (q Quota) Check() error {
	_, _, err := q.window()
	return err
}

// window returns the spacing of requests and the spacing times the burst, in
// fractions of a nanosecond.
func (q Quota) window() (spacing, window int64, err error) {
	if q.Unlimited() && q.Burst == 0 {
		return 0, 0, nil
	}
	if q.Requests < 1 || q.Burst < 0 || q.Per < 0 {
		return 0, 0, fmt.Errorf("rate %d per %v with burst %d: none may be negative, and a burst needs a rate", q.Requests, q.Per, q.Burst)
	}
	per, burst := int64(q.Per), q.Burst
	if per == 0 {
		per = int64(time.Second)
	}
	if burst == 0 {
		burst = q.Requests
	}
	if per > maxWindow>>fraction {
		return 0, 0, fmt.Errorf("rate %d per %v: the span is longer than a year; use a shorter one", q.Requests, q.Per)
	}
	spacing = (per<<fraction + q.Requests/2) / q.Requests
	if spacing < 1<<fraction {
		return 0, 0, fmt.Errorf("rate %d per %v: more than one request a nanosecond cannot be counted", q.Requests, q.Per)
	}
	if burst > maxWindow/spacing {
		return 0, 0, fmt.Errorf("rate %d per %v with burst %d: the burst would last longer than a year; use a smaller one", q.Requests, q.Per, q.Burst)
	}
	return spacing, spacing * burst, nil
}

// settings is a quota worked out; immutable.
type settings struct{ spacing, window int64 }

// Rate is a token bucket kept as one number: the time at which the bucket
// would be full again (the "theoretical arrival time" of GCRA, ITU-T I.371).
// A request is admitted if taking its share would not move that time further
// than one burst ahead of now. So admission is one compare-and-swap, exact
// over any number of threads, and an idle Rate needs no upkeep.
//
// The zero value limits nothing and may be configured later. Time is given by
// the caller as nanoseconds of a monotonic clock with any fixed zero. Threads
// whose clocks differ a little are served in the order of the swaps; a reader
// whose clock is behind sees a fuller bucket than there is, never an emptier.
type Rate struct {
	full     atomic.Int64             // in fractions of a nanosecond
	settings atomic.Pointer[settings] // nil: no limit
}

// Allow takes one request's share at the time now. If there is none left it
// takes nothing and returns the nanoseconds after which one would be.
func (r *Rate) Allow(now int64) (ok bool, retryAfter int64) {
	for {
		// Read inside the loop: a change of quota moves full as well, so a swap
		// computed with the old quota fails and is computed again.
		s := r.settings.Load()
		if s == nil {
			return true, 0
		}
		full := r.full.Load()
		next, wait := s.take(full, scale(now))
		if wait > 0 {
			// Rounded up: a client that waits as told must be admitted.
			return false, (wait + 1<<fraction - 1) >> fraction
		}
		if r.full.CompareAndSwap(full, next) {
			return true, 0
		}
	}
}

// take is the whole arithmetic: the time the bucket is full again after one
// more request, or how long to wait for it. Both in fractions.
func (s *settings) take(full, now int64) (next, wait int64) {
	if full < now {
		full = now
	} else if full-now > 2*s.window+jump {
		// No run of admissions gets this far ahead: the clock went back (a
		// restored virtual machine). Start anew, which admits one burst too
		// many, instead of refusing for hours.
		full = now
	}
	next = full + s.spacing
	if ahead := next - now; ahead > s.window {
		return full, ahead - s.window
	}
	return next, 0
}

// jump is how far clocks of different threads may lie apart before it is
// taken for a clock that went back: one second.
const jump = int64(time.Second) << fraction

func scale(now int64) int64 {
	if now > math.MaxInt64>>(fraction+1) {
		return math.MaxInt64 >> 1
	}
	if now < 0 {
		return 0
	}
	return now << fraction
}

// Used returns the part of the burst that is taken at the time now, 0 to 1.
func (r *Rate) Used(now int64) float64 {
	s := r.settings.Load()
	if s == nil {
		return 0
	}
	ahead := r.full.Load() - scale(now)
	return min(1, max(0, float64(ahead)/float64(s.window)))
}

// Configure sets a quota from now on. The number of requests the old burst
// had open stays open under the new quota, at most as many as the new burst
// holds: raising a limit opens it at once, lowering it asks nobody to pay more
// than one new burst. On error nothing changes.
func (r *Rate) Configure(q Quota, now int64) error {
	spacing, window, err := q.window()
	if err != nil {
		return err
	}
	old := r.settings.Load()
	if window == 0 {
		r.settings.Store(nil)
		return nil
	}
	fresh := &settings{spacing: spacing, window: window}
	if old != nil && *old == *fresh {
		return nil
	}
	r.settings.Store(fresh)
	for {
		full := r.full.Load()
		moved := scale(now)
		if old != nil && full > moved {
			open := min((full-moved+old.spacing-1)/old.spacing, window/spacing)
			moved += open * spacing
		}
		if r.full.CompareAndSwap(full, moved) {
			return nil
		}
	}
}
