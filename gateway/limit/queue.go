// SPDX-License-Identifier: EUPL-1.2

package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// standing is the delay, ns, below which a queue only smooths bursts; standingFor is how long it must have been above
	// it to be standing: then more comes than goes, and no order makes up for that (RFC 8289 calls them TARGET and
	// INTERVAL).
	standing    = int64(10 * time.Millisecond)
	standingFor = int64(100 * time.Millisecond)
)

// queue is where requests wait for a place at a backend. While its delay is short, the oldest goes first. While it
// stands, the newest does: somebody has to wait in vain, and whoever has waited longest has most likely given up already.
//
// The mutex is touched only at the limit: by who finds no place, and by who gives one back while somebody waits.
type queue struct {
	most     atomic.Int64
	patience atomic.Int64 // ns that one waits at most

	mu             sync.Mutex // guards what is below
	oldest, newest *Waiter
	calm           int64 // when the delay was last short
	standing       bool
}

// Waiter stands in a backend's queue. The zero value with a Granted is ready; it may be used again when it has left the
// queue. It belongs to one thread, which alone calls Wait and Quit.
type Waiter struct {
	// Granted says that the waiter has a place now. It is called on any thread, once, and must not wait: it posts a
	// message. Until the waiter has got that message, Quit tells whether there is one.
	Granted func()

	since        int64
	waiting      bool    // guarded by queue.mu
	older, newer *Waiter // the same
}

// Wait puts w into the queue for a place and takes its share of the rate. Queued: Granted will be called, unless Quit comes
// first. Any other outcome is as for Admit.
func (b *Backend) Wait(now int64, w *Waiter) (outcome Outcome, retryAfter int64) {
	q := &b.queue
	q.mu.Lock()
	if b.waiting.Load() >= q.most.Load() {
		q.mu.Unlock()
		b.busyRefused.Add(1)
		return Busy, 0
	}
	if ok, wait := b.rate.Allow(now); !ok {
		q.mu.Unlock()
		b.rateRefused.Add(1)
		return RateUsedUp, wait
	}
	q.push(now, w)
	b.waiting.Add(1)
	// Whoever gives a place back after this sees that somebody waits; who did before, has left it free.
	first := b.take(now)
	q.mu.Unlock()
	tell(first)
	return Queued, 0
}

// Quit takes w out of the queue. It reports false if w has been granted a place before: that is the caller's now, and has
// to be released, although the message of it may be still to come.
func (b *Backend) Quit(w *Waiter) bool {
	q := &b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if !w.waiting {
		return false
	}
	q.remove(w)
	b.waiting.Add(-1)
	return true
}

// grant gives free places to those who wait.
func (b *Backend) grant(now int64) {
	if b.waiting.Load() == 0 {
		return
	}
	b.queue.mu.Lock()
	first := b.take(now)
	b.queue.mu.Unlock()
	tell(first)
}

// take takes those out of the queue for whom there is a place, and returns the first of them. The caller holds queue.mu.
func (b *Backend) take(now int64) (first *Waiter) {
	for last := &first; b.waiting.Load() > 0 && b.place(); {
		w := b.queue.next(now)
		b.queue.remove(w)
		b.waiting.Add(-1)
		*last, last = w, &w.newer
	}
	return first
}

// place takes a place for a waiter. In shadow mode, which may have begun while it waited, there always is one.
func (b *Backend) place() bool {
	if b.inFlight.Acquire() {
		return true
	}
	if b.shadow.Load() {
		b.inFlight.n.Add(1)
		return true
	}
	return false
}

// tell calls those that take has taken. Each may be used anew at once.
func tell(w *Waiter) {
	for w != nil {
		next := w.newer
		w.newer = nil
		w.Granted()
		w = next
	}
}

func (q *queue) push(now int64, w *Waiter) {
	if q.newest == nil {
		q.calm, q.standing = now, false
		q.oldest = w
	} else {
		q.newest.newer = w
	}
	w.since, w.waiting, w.older, w.newer = now, true, q.newest, nil
	q.newest = w
}

// next is whose turn it is.
func (q *queue) next(now int64) *Waiter {
	if now-q.oldest.since <= standing {
		q.calm, q.standing = now, false
	} else if now-q.calm > standingFor {
		q.standing = true
	}
	if q.standing {
		return q.newest
	}
	return q.oldest
}

func (q *queue) remove(w *Waiter) {
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		q.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		q.newest = w.older
	}
	w.waiting, w.older, w.newer = false, nil, nil
}
