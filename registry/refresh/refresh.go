// SPDX-License-Identifier: EUPL-1.2

// Package refresh says when a source is asked: every so often, a little earlier or later each time so that not all nodes
// come at once, sooner after a failure, and not before the source wants to be asked again.
//
// The call to know is [Schedule.Run]. What asking means, and what becomes of the answer, is the caller's.
package refresh

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pvgate/pvgate/registry/source"
)

const (
	// spread is the share of a wait by which it may be shorter: nodes that were started together drift apart.
	spread = 0.1
	// firstRetry is the wait after the first failure, doubled by each further one up to lastRetry.
	firstRetry = time.Minute
	lastRetry  = time.Hour
	// longest bounds what a source may ask for.
	longest = 24 * time.Hour
)

// Schedule is when one source is asked. Make one with [New]. Safe for concurrent use.
type Schedule struct {
	every time.Duration
	now   chan struct{}

	mu       sync.Mutex // guards what stands below
	failures int
	next     time.Time
}

// New returns a schedule of one question every so often.
func New(every time.Duration) *Schedule {
	return &Schedule{every: every, now: make(chan struct{}, 1)}
}

// Now wants the source to be asked at once.
func (s *Schedule) Now() {
	select {
	case s.now <- struct{}{}:
	default: // it is about to be
	}
}

// Next is when it will be asked; zero before Run.
func (s *Schedule) Next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// Run asks until ctx ends: first when the last good answer, known since the given time (zero: none), has become old.
func (s *Schedule) Run(ctx context.Context, known time.Time, ask func(context.Context) error) {
	for wait := s.set(firstWait(known, s.every)); ; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.now:
			timer.Stop()
		case <-timer.C:
		}
		wait = s.set(s.after(ask(ctx)))
	}
}

// firstWait is short for nodes that all start with nothing, and none for one that is alone.
func firstWait(known time.Time, every time.Duration) time.Duration {
	if known.IsZero() {
		return 0
	}
	return max(0, jittered(every)-max(0, time.Since(known))) // the clock may have been ahead then
}

// after is how long to wait after an answer.
func (s *Schedule) after(err error) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.failures = 0
		return jittered(s.every)
	}
	wait := min(firstRetry<<min(s.failures, 10), lastRetry, s.every)
	s.failures++
	wait = jittered(wait)
	if r := (*source.Refusal)(nil); errors.As(err, &r) {
		wait = max(wait, min(r.RetryAfter, longest))
	}
	return wait
}

func (s *Schedule) set(wait time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Now().Add(wait)
	return wait
}

func jittered(d time.Duration) time.Duration {
	return d - time.Duration(spread*rand.Float64()*float64(d)) //nolint:gosec // nobody gains by guessing it
}
