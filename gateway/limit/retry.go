// SPDX-License-Identifier: EUPL-1.2

package limit

import "sync/atomic"

// Retries is a backend's budget of requests that are sent a second time: retryShare of its requests, over the present
// span of time and the one before, or leastRetries if that is more. A backend that fails gets little more than what it is
// asked anyway, so that what made it fail is over when it is over. None is sent while the backend's limits refuse others.
// The zero value is ready. Safe for concurrent use; spans come and go with the times that it is asked with.
type Retries struct {
	// The number of the span, how many requests and retries there were in it, in one word so that they change together.
	present, before atomic.Uint64
	refusedAt       atomic.Int64 // when the backend's limits last refused a request, ns; 0 = never
}

const (
	retryShare   = 15 // percent
	leastRetries = 30 // 3 a second
	retrySpan    = int64(5e9)
	// shedding is how long after a refusal nothing is repeated, ns.
	shedding = int64(1e9)
	// Where the parts of the word are: the number at the top, requests, retries.
	spanShift, requestShift = 40, 16
	requestMask             = 1<<(spanShift-requestShift) - 1
	retryMask               = 1<<requestShift - 1
)

// Request counts a request that is sent for the first time, at the time now (ns, monotonic).
func (r *Retries) Request(now int64) {
	r.turn(now)
	r.present.Add(1 << requestShift) // its part has room for three million a second
}

// Take asks for a retry at the time now.
func (r *Retries) Take(now int64) bool {
	if at := r.refusedAt.Load(); at != 0 && now-at < shedding {
		return false
	}
	for {
		r.turn(now)
		present, before := r.present.Load(), r.before.Load()
		requests, retries := present>>requestShift&requestMask, present&retryMask
		if before>>spanShift+1 == present>>spanShift {
			requests += before >> requestShift & requestMask
			retries += before & retryMask
		}
		if present&retryMask == retryMask || retries >= max(requests*retryShare/100, leastRetries) {
			return false
		}
		if r.present.CompareAndSwap(present, present+1) {
			return true
		}
	}
}

// Refused notes that the backend's limits have refused a request.
func (r *Retries) Refused(now int64) { r.refusedAt.Store(max(now, 1)) }

// turn begins a new span when its time has come.
func (r *Retries) turn(now int64) {
	span := uint64(now/retrySpan) & (1<<(64-spanShift) - 1)
	if present := r.present.Load(); present>>spanShift < span && r.present.CompareAndSwap(present, span<<spanShift) {
		r.before.Store(present)
	}
}
