// SPDX-License-Identifier: EUPL-1.2

package lookup

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/pvgate/pvgate/registry/source"
)

const (
	// tolerated is how many calls may fail one after the other before none is made for a while.
	tolerated = 5
	// firstPause is that while at first; a call after it is a probe, and doubles the pause if it fails, up to lastPause.
	firstPause = 5 * time.Second
	lastPause  = time.Minute
	// longestPause bounds what a source may ask for.
	longestPause = 24 * time.Hour
)

// pace says when the source may be called: by our own budget, by what it says of its own, and not while it fails.
type pace struct {
	// shut is what loops see of it.
	shut atomic.Pointer[pause]

	mu      sync.Mutex // guards what follows
	options *Options
	budget  *rate.Limiter
	calls   uint64    // that have got a turn
	flying  int       // of them
	told    Quota     // by the server
	toldBy  uint64    // for which of the calls
	toldEnd time.Time // of its window
	held    pause
	next    time.Duration // the next pause, of one that fails again
	// failures are those one after the other; failing says that they have been told to the log.
	failures int
	failing  bool
	probe    time.Time // one is under way, until then at most

	seconds Histogram
	causes  map[source.Cause]uint64
}

// pause is a time in which no call is made.
type pause struct {
	until time.Time
	why   Result // Failed or Budget
	// failing says that the source was of no use when it was last asked: it does so when the time is over, too.
	failing bool
}

func (p *pace) open(o *Options) {
	p.options, p.next, p.causes = o, firstPause, map[source.Cause]uint64{}
	p.budget = rate.NewLimiter(rate.Limit(o.Rate), o.Burst)
	p.shut.Store(&pause{})
}

// now says whether a call may be made: Wait, or why not. Loops call it.
func (p *pace) now(now time.Time) Result {
	if h := p.shut.Load(); now.Before(h.until) {
		return h.why
	}
	return Wait
}

// turn is leave to make a call.
type turn struct {
	n     uint64 // it is the nth
	now   time.Time
	after time.Duration // not before
}

// take takes a call's turn. Other results than Wait say why there is none. A spare call is for nobody in particular and
// leaves half of everything to others.
func (p *pace) take(now time.Time, spare bool) (turn, Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.publish()
	if r := p.now(now); r != Wait {
		return turn{}, r
	}
	if spare && (now.Before(p.toldEnd) && 2*p.remaining() <= p.told.Limit || p.budget.TokensAt(now) < float64(1+p.options.Burst/2)) {
		return turn{}, Budget
	}
	r := p.budget.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if late := wait - p.options.Patience; late > 0 {
		r.CancelAt(now)
		p.hold(now.Add(late), Budget)
		return turn{}, Budget
	}
	if p.failing { // one finds out whether it does still
		p.probe = now.Add(wait + p.options.Timeout + time.Second)
	}
	p.calls++
	p.flying++
	return turn{p.calls, now, wait}, Wait
}

// done notes what a call came to. For one that failed it says what those get who have no answer.
func (p *pace) done(now time.Time, t turn, took time.Duration, q Quota, err error) Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.publish()
	p.flying--
	p.probe = time.Time{}
	p.seconds.observe(took)
	if q.Reset > 0 {
		p.tell(now, t, q)
	}
	if err != nil {
		return p.fault(now, err)
	}
	if p.failing {
		p.options.Log.Info("look-ups work again")
	}
	p.failures, p.failing, p.next = 0, false, firstPause
	if p.held.why == Failed {
		p.held = pause{}
	}
	return Wait
}

// tell notes a quota. Calls and answers may overtake one another, so of one window the least that was told is believed.
func (p *pace) tell(now time.Time, t turn, q Quota) {
	reset := min(q.Reset, longestPause) // whole seconds, from some moment of the call
	if q.Remaining < p.told.Remaining || !now.Before(p.toldEnd) || t.now.Add(t.after+reset-time.Second).After(p.toldEnd) {
		p.told, p.toldBy, p.toldEnd = q, t.n, now.Add(reset)
	}
}

// remaining is how many calls are left of what was told, at least: later ones are not in it, and of those under way
// nobody knows.
func (p *pace) remaining() int { return p.told.Remaining - int(p.calls-p.toldBy) - p.flying }

// fault notes a call that failed.
func (p *pace) fault(now time.Time, err error) Result {
	cause, retry := judge(err)
	p.causes[cause]++
	why, length := Failed, time.Duration(0)
	if cause == source.CauseRateLimited || cause == source.CauseBudget {
		why = Budget
	} else {
		p.failures++
	}
	if why == Budget || p.failures >= tolerated {
		if !now.Before(p.held.until) { // calls that were under way together fail together
			length = p.next
			p.next = min(2*p.next, lastPause)
		}
		if !p.failing {
			p.failing = true
			p.options.Log.Warn("look-ups pause", "cause", string(cause), "error", err, "for", max(length, retry))
		}
	}
	p.hold(now.Add(max(length, retry)), why)
	return why
}

// judge says why a call failed, and how long the source wants to be left alone.
func judge(err error) (source.Cause, time.Duration) {
	var r *source.Refusal
	switch {
	case errors.As(err, &r):
		return r.Cause, min(r.RetryAfter, longestPause)
	case errors.Is(err, context.DeadlineExceeded):
		return source.CauseTimeout, 0
	}
	return source.CauseUnreachable, 0
}

// hold begins a pause, or makes it longer.
func (p *pace) hold(until time.Time, why Result) {
	if until.After(p.held.until) {
		p.held = pause{until: until, why: why}
	}
}

// publish tells loops of the longest of all reasons to pause.
func (p *pace) publish() {
	h := p.held
	if p.probe.After(h.until) {
		h = pause{until: p.probe, why: Failed}
	}
	if p.toldEnd.After(h.until) && p.remaining() <= 0 {
		h = pause{until: p.toldEnd, why: Budget}
	}
	h.failing = p.failing
	if h != *p.shut.Load() {
		p.shut.Store(&h)
	}
}
