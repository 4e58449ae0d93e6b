// SPDX-License-Identifier: EUPL-1.2

package loop

import "time"

const (
	// lateAfter is how long what came in may have waited for the loop before it counts as late. A client does not notice it;
	// a loop that is that late has thousands of events to serve.
	lateAfter = int64(50 * time.Millisecond)
	// aim is the delay that a loop keeps once it is behind: what has waited for longer is late. So whoever is served is served
	// soon.
	aim = int64(20 * time.Millisecond)
	// brief is what it keeps instead where more wait than a poll takes: the fewer connections wait at a time, the more of them are still
	// in the processor's caches, whoever is served and whoever is refused [bench/rig peak: of half as much again as is served with
	// 20 ms 26 % of the peak are served, with 5 ms 58 %, with 2 ms 67 %].
	brief = int64(2 * time.Millisecond)
	// Clients that wait for their answers before they ask again make a longer queue than that, but not one that grows. So it is tried
	// now and then whether aim is kept: after firstTrial, and each time that has failed after twice as long, up to mostTrial, for
	// until what has come meanwhile is refused few are served.
	firstTrial, mostTrial = int64(500 * time.Millisecond), int64(4 * time.Second)
	// standing is for how long a loop must have been late without a break: a burst passes by itself, and more would come to nothing
	// but refusals. Half a second would be too long: where half as much again comes as can be served, refusing does not always make
	// up for it in clearing [bench/rig peak: 55 % are served, and 46]. What a pause of the machine has left behind has as long as
	// that took besides, for then it is served where a loop is used to half. And looks is at how many polls in a row: time that the
	// hypervisor has taken counts as the thread's work, so that what has come meanwhile seems to stand. That many full ones take
	// thousands of requests, and where fewer take a second, each of them is work.
	standing = int64(200 * time.Millisecond)
	looks    = 32
	// steady is how long it must not have been late to be on top of its work again; or idle of that time it had nothing to do,
	// however late it was in between: what comes in bursts, or on a machine that runs the loop in bursts, is not too much.
	steady = int64(time.Second)
	idle   = steady / 8
)

// However much comes, some get an answer: of what is late one of so many is served all the same. Where what comes has waited
// hopelessly long, refusing as many as that may clear it: so long is tried. If it does not, even refusing takes more time than there
// is, so that more are served until that has been long enough to try again.
const (
	served         = 16
	hopeless       = 4 * lateAfter
	clearing       = int64(5 * time.Second)
	tryAgain       = 4 * clearing
	servedHopeless = 3
)

// lag knows how long the loop lets wait what has come in, as CoDel does of a queue: not how much waits is the measure, but
// whether the delay goes away. A delay for which the loop's thread has not worked is the machine's, and no refusal makes it
// shorter. The zero value is ready. Times are nanoseconds.
type lag struct {
	full   bool  // the last poll took as much as it could: more may wait behind it
	queued bool  // it, or the one before, did
	waited int64 // at most, by what was polled last
	work   int64 // that the thread has done meanwhile, as far as that is known
	worked int64 // by the thread until the last poll; 0: nobody has looked
	most   int64 // of waited since the last reading
	// probe is when a probe was put behind all that waited, and probed what the thread had worked by then; 0: none is on its way.
	probe, probed int64

	since   int64 // loop time since when it has been late at every poll; 0: it is not
	polls   int   // since then
	paused  int64 // for how long the machine has stopped the loop shortly before that and since
	resumed int64 // loop time at which it has gone on
	last    int64 // loop time at which it was late last
	missed  int64 // loop time at which the delay was longer than aim last
	trial   int64 // how long after that aim is tried
	lost    int64 // loop time since when what comes has waited hopelessly long; 0: it has not
	behind  bool  // the delay stands
	count   int   // of what was late
	// window is the loop time since when rested has been summed up: how long the loop has waited for something to do.
	window, rested int64
}

// poll is one look at what has come in.
type poll struct {
	now, busy int64 // loop time at its end; how long the turn before it took
	events    int
	slept     int64 // how long it has waited for what it found; 0: that was there
	probed    bool  // it has found a probe
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
	case p.slept > 0:
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
	g.full, g.queued, g.worked = full, full || g.full, total
	if p.probed || !full {
		g.probe = 0
	}
	if probe = full && g.probe == 0; probe {
		g.probe, g.probed = p.now, total
	}
	g.most = max(g.most, g.waited)
	if p.busy > stall {
		g.paused, g.resumed = min(g.paused+p.busy, steady), p.now // a loop whose every turn takes so long has too much to do
	}
	g.rested += p.slept
	g.judge(p.now)
	return probe
}

// keeps is the delay that the loop keeps now.
func (g *lag) keeps(now int64) int64 {
	if !g.behind {
		return lateAfter
	}
	if g.waited > aim && g.work > aim/2 {
		if now-g.missed >= g.trial {
			g.trial = min(2*g.trial, mostTrial)
		}
		g.missed = now
	}
	if g.queued && now-g.missed < g.trial {
		return brief
	}
	return aim
}

// judge finds out whether the delay stands.
func (g *lag) judge(now int64) {
	if g.behind && now-g.window >= steady {
		g.behind = g.rested < idle
		g.window, g.rested = now, 0
	}
	bound := g.keeps(now)
	switch {
	case g.waited < hopeless:
		g.lost = 0
	case g.lost == 0:
		g.lost = now
	}
	if g.waited <= bound || g.work <= bound/2 {
		if g.since = 0; now-g.resumed > g.paused {
			g.paused = 0
		}
		g.behind = g.behind && now-g.last < steady
		return
	}
	if g.since == 0 {
		g.since, g.polls = now, 0
	}
	g.last = now
	g.polls++
	if stands := now - g.since - g.paused; !g.behind && (stands >= standing && g.polls >= looks || stands >= steady) {
		g.behind, g.window, g.rested = true, now, 0
		g.missed, g.trial = now, firstTrial
	}
}

// late reports whether a request that was polled last comes too late because more comes than can be served.
func (g *lag) late() bool {
	if !g.behind || g.since == 0 {
		return false
	}
	of := served
	if g.lost != 0 && (g.last-g.lost)%tryAgain >= clearing {
		of = servedHopeless
	}
	g.count++
	return g.count%of != 0
}
