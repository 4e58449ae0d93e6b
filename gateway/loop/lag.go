// SPDX-License-Identifier: EUPL-1.2

package loop

import "time"

const (
	// lateAfter is how long what came in may have waited for the loop before it counts as late. A client does not notice it;
	// a loop that is that late has thousands of events to serve.
	lateAfter = int64(50 * time.Millisecond)
	// standing is for how long a loop must have been late without a break: a burst, or a pause of the machine, passes by itself,
	// and more would come to nothing but refusals.
	standing = int64(100 * time.Millisecond)
	// steady is how long it must not have been late to be on top of its work again.
	steady = int64(time.Second)
)

// However much comes, some get an answer: of what is late one of so many is served all the same, and of what has waited hopelessly
// long, so that even refusing takes more time than there is, more.
const (
	served         = 16
	hopeless       = 4 * lateAfter
	servedHopeless = 4
)

// lag knows how long the loop lets wait what has come in, as CoDel does of a queue: not how much waits is the measure, but
// whether the delay goes away. A delay for which the loop's thread has not worked is the machine's, and no refusal makes it
// shorter. The zero value is ready. Times are nanoseconds.
type lag struct {
	full   bool  // the last poll took as much as it could: more may wait behind it
	waited int64 // at most, by what was polled last
	work   int64 // that the thread has done meanwhile, as far as that is known
	worked int64 // by the thread until the last poll; 0: nobody has looked
	most   int64 // of waited since the last reading
	// probe is when a probe was put behind all that waited, and probed what the thread had worked by then; 0: none is on its way.
	probe, probed int64

	since  int64 // loop time since when it has been late at every poll; 0: it is not
	last   int64 // loop time at which it was late last
	behind bool  // the delay stands
	count  int   // of what was late
}

// poll is one look at what has come in.
type poll struct {
	now, busy int64 // loop time at its end; how long the turn before it took
	events    int
	slept     bool // it has waited for what it found
	probed    bool // it has found a probe
}

// polled takes a poll, and reports whether a probe is to be sent: behind a full poll only that tells how much is there. worked is
// asked for how long the thread has run, and only if that may matter.
func (g *lag) polled(p poll, worked func() int64) (probe bool) {
	found := p.events
	if p.probed {
		found++
	}
	total, full := int64(0), found >= eventBatch
	if full || g.full || p.busy > lateAfter/8 {
		total = worked()
	}
	switch {
	case p.slept:
		g.waited, g.work = 0, 0
	case !g.full: // all that was there had been taken, so this has come since
		g.waited, g.work = p.busy, 0
		if total > 0 && g.worked > 0 {
			g.work = total - g.worked
		}
	case p.probed:
		g.waited, g.work = p.now-g.probe, total-g.probed
	default:
		g.waited, g.work = max(g.waited, p.now-g.probe), max(g.work, total-g.probed)
	}
	g.full, g.worked = full, total
	if p.probed || !full {
		g.probe = 0
	}
	if probe = full && g.probe == 0; probe {
		g.probe, g.probed = p.now, total
	}
	g.most = max(g.most, g.waited)
	g.judge(p.now)
	return probe
}

// judge finds out whether the delay stands.
func (g *lag) judge(now int64) {
	if g.waited <= lateAfter || g.work <= lateAfter/2 {
		g.since = 0
		g.behind = g.behind && now-g.last < steady
		return
	}
	if g.since == 0 {
		g.since = now
	}
	g.last = now
	g.behind = g.behind || now-g.since >= standing
}

// late reports whether a request that was polled last comes too late because more comes than can be served.
func (g *lag) late() bool {
	if !g.behind || g.since == 0 {
		return false
	}
	of := served
	if g.waited >= hopeless {
		of = servedHopeless
	}
	g.count++
	return g.count%of != 0
}
