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
	scarce  bool      // half of what may be asked had been before the last of them
	under   int       // of those: they have begun
	moved   time.Time // when one last came back, or the first of those under way began; by the machine's clock
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
	// moved is when a call last came back, or the first of those under way began, by the machine's clock; zero: none is. full
	// says that no more can be.
	moved time.Time
	full  bool
	// scarce says that half of what may be asked had been when this was last looked at.
	scarce bool
}

// stuck says that nothing has come back for so long, though something is under way.
func (h *pause) stuck(d time.Duration) bool { return !h.moved.IsZero() && time.Since(h.moved) > d }

// hopeless is the part of the time of a call after which whoever comes does not wait any more: an old answer is given
// without hope for a better one after so much of Patience, and where all calls are stuck, no other is waited for after so much
// of Timeout. Else all wait until the first call ends in vain.
const hopeless = 4

func (p *pace) open(o *Options) {
	p.options, p.next, p.causes = o, firstPause, map[source.Cause]uint64{}
	p.budget = rate.NewLimiter(rate.Limit(o.Rate), o.Burst)
	p.shut.Store(&pause{})
}

// now says whether a call may be made: Wait, or why not. Loops call it.
func (p *pace) now(now time.Time) Result {
	h := p.shut.Load()
	switch {
	case now.Before(h.until):
		return h.why
	case h.full && h.stuck(p.options.Timeout/hopeless):
		return Failed
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
	if p.scarce = p.halfGone(now); spare && p.scarce {
		return turn{}, Budget
	}
	wait, ok := p.reserve(now)
	if !ok {
		return turn{}, Budget
	}
	if p.failing { // one finds out whether it does still
		p.probe = now.Add(wait + p.options.Timeout + time.Second)
	}
	p.calls++
	p.flying++
	return turn{p.calls, now, wait}, Wait
}

// halfGone says whether half of what may be asked has been.
func (p *pace) halfGone(now time.Time) bool {
	return now.Before(p.toldEnd) && 2*p.remaining() <= p.told.Limit || p.budget.TokensAt(now) < float64(1+p.options.Burst/2)
}

// again takes the turn of a further request of a call, which has the quota of the one before. Without one there is an error.
func (p *pace) again(now time.Time, t *turn, q Quota) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.publish()
	if q.Reset > 0 {
		p.tell(now, *t, q)
	}
	// Of what is under way one is this call, whose last request is over.
	if now.Before(p.held.until) || now.Before(p.toldEnd) && p.remaining()+1 <= 0 {
		return errNoTurn
	}
	after, ok := p.reserve(now)
	if !ok {
		return errNoTurn
	}
	p.calls++
	t.n, t.now, t.after = p.calls, now, after
	return nil
}

// errNoTurn ends a call that would need another request.
var errNoTurn = errors.New("no further request may be made now")

// reserve takes one of the budget, or notes how long there is none.
func (p *pace) reserve(now time.Time) (after time.Duration, ok bool) {
	r := p.budget.ReserveN(now, 1)
	after = r.DelayFrom(now)
	if late := after - p.options.Patience; late > 0 {
		r.CancelAt(now)
		p.hold(now.Add(late), Budget)
		return 0, false
	}
	return after, true
}

// leave ends a call that had no turn for all of its requests: that is no fault of the source.
func (p *pace) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.publish()
	p.ended()
}

// ended takes a call out of the account.
func (p *pace) ended() {
	p.flying--
	p.under--
	p.moved = time.Now()
	p.probe = time.Time{}
}

// begin notes that a call whose turn it was begins.
func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.publish()
	if p.under++; p.under == 1 {
		p.moved = time.Now()
	}
}

// done notes what a call came to. For one that failed it says what those get who have no answer.
func (p *pace) done(now time.Time, t turn, took time.Duration, q Quota, err error) Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.publish()
	p.ended()
	p.seconds.observe(took)
	if q.Reset > 0 {
		p.tell(now, t, q)
	}
	if err != nil && !ofKey(err) {
		return p.fault(now, err)
	}
	if p.failing {
		p.options.Log.Info("look-ups work again")
	}
	p.failures, p.failing, p.next = 0, false, firstPause
	if p.held.why == Failed {
		p.held = pause{}
	}
	if err != nil {
		cause, _ := judge(err)
		p.causes[cause]++
		return Failed
	}
	return Wait
}

// ofKey says whether what came is of no use for its key only: the source works, and whoever asks for some such keys keeps
// nobody from others.
func ofKey(err error) bool {
	cause, _ := judge(err)
	return cause == source.CauseEmpty || cause == source.CauseOversized || cause == source.CauseUnknownArea
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
	h.failing, h.scarce = p.failing, p.scarce
	if h.full = p.under >= p.options.Calls; p.under > 0 {
		h.moved = p.moved
	}
	if h != *p.shut.Load() {
		p.shut.Store(&h)
	}
}
