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

// served is of how many requests that should be refused one is served all the same: however much comes, some get an answer.
const served = 4

// lag knows how long the loop lets wait what has come in, as CoDel does of a queue: not how much waits is the measure, but
// whether the delay goes away. A delay for which the loop's thread has not worked is the machine's, and no refusal makes it
// shorter. The zero value is ready. Times are nanoseconds.
type lag struct {
	full   bool  // the last poll took as much as it could: more may have waited behind it
	waited int64 // at most, by what was polled last
	most   int64 // of waited since the last reading
	worked int64 // by the thread when all that was there had been taken last; 0: nobody has looked
	since  int64 // loop time since when it has been late at every poll; 0: it is not
	last   int64 // loop time at which it was late last
	behind bool  // the delay stands
	count  int   // of what was late
}

// polled takes a poll that ended at loop time now and found n events. The turn before it took busy; slept says that the poll
// waited for what it found. worked is asked for how long the thread has run, and only if that may matter.
func (g *lag) polled(now, busy int64, n int, slept bool, worked func() int64) {
	switch {
	case slept:
		g.waited = 0
	case g.full:
		g.waited += busy
	default: // all that was there had been taken, so this has come since
		g.waited = busy
	}
	g.full = n == eventBatch
	g.most = max(g.most, g.waited)
	work := int64(0)
	if g.waited <= lateAfter/8 {
		g.worked = 0
	} else {
		total := worked()
		if g.worked > 0 {
			work = total - g.worked
		}
		if g.worked == 0 || !g.full {
			g.worked = total
		}
	}
	if g.waited <= lateAfter || work <= lateAfter/2 {
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
	g.count++
	return g.count%served != 0
}
