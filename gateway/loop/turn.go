// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"bytes"
	"runtime/debug"
	"slices"
	"time"
)

// stage is what a turn is at.
type stage uint8

// The stages of a turn, in their order.
const (
	posted   stage = iota // messages
	reported              // readiness
	crowded               // what is queued
	resumed               // what was left over
	overdue               // timers
	leaving               // what all that has written
	gone
)

// Turn is one wake-up: wait, then messages, readiness, some of what is queued, what was left over, some of the timers that are due;
// and then what all that has written goes to the kernel, unless it has left before (soon) or waits for more (gathers). Exported for
// the simulation.
func (l *Loop) Turn() {
	n := l.polled
	if l.polled = 0; n == 0 {
		timeout := int64(0)
		// The look before the last turn's writes may have taken the wake-up of a message that came behind messages.
		if len(l.ready) == 0 && !l.holds() && l.mailbox.empty() && l.crowd.empty() {
			timeout = l.wheel.wait(l.now)
		}
		busy := l.poll()
		before := l.since
		var sleeps int
		n, sleeps = l.kernel.Wait(l.events[:], timeout)
		l.stats.BlockingWaits += uint64(sleeps)
		l.foresee(n)
		l.now, l.wall = l.kernel.Now()
		l.since = l.now
		waited := l.now - before
		if waited <= slept {
			waited = 0
		}
		l.notice(poll{l.now, busy, n, waited, l.kernel.Woken()})
	} else {
		l.now, l.wall = l.kernel.Now()
	}

	for l.stage = posted; !l.work(n); {
	}
	adopted := l.watchFresh()
	if l.holds() && !l.gathers(adopted) {
		for l.stage = leaving; !l.work(n); {
		}
	}
}

// work goes through the stages of a turn with n reports. It reports false when a panic ended it early; it goes on with the next item
// when it is called again.
func (l *Loop) work(n int) bool {
	defer l.rescue()
	l.release()
	switch l.stage {
	case posted:
		l.messages()
		l.stage, l.at, l.early = reported, 0, n <= soon && len(l.ready) == 0 && !l.holds()
		fallthrough
	case reported:
		l.serve(n)
		l.stage, l.early, l.crowd.left = crowded, false, portion(n)
		fallthrough
	case crowded:
		l.queued()
		l.stage, l.at = resumed, 0
		l.turn, l.ready = l.ready, l.turn[:0]
		fallthrough
	case resumed:
		l.again()
		l.serving = nil
		l.stage, l.wheel.left = overdue, portion(n)
		fallthrough
	case overdue:
		l.wheel.advance(l.now)
	case leaving:
		l.stage = gone
		l.send()
	case gone:
	}
	return true
}

// rowParts and rowReports bound a row: so many turns write together at most, and so many reports are served besides those it began with.
// Each of them may bring more for the same stream to hold, and what is held first waits for the last [64 connections: with half of
// both 2 % more CPU a request].
const (
	rowParts   = 8
	rowReports = 2 * eventBatch
)

// gathers looks once more before requests leave: what a backend says unasked must not be taken for an answer (Stream.Guard). It
// reports whether what is held is to wait for what that has found: the more leaves in a row, the less often somebody is woken to take
// it, which costs as much as some requests do [64 connections: 8.6 µs of CPU a request, 7.8 with it, and they wait a tenth less].
// Where a poll is full the rows are long enough. What was adopted counts like what was found: one report may bring many connections.
func (l *Loop) gathers(adopted int) bool {
	if !l.guarded {
		return false
	}
	busy := l.poll()
	l.polled = l.kernel.Poll(l.events[:])
	l.notice(poll{l.since, busy, l.polled, 0, l.kernel.Woken()})
	l.foresee(l.polled)
	l.row++
	l.gathered += l.polled + adopted
	return 0 < l.polled && l.polled < eventBatch && l.gathered <= rowReports && l.row < rowParts && !l.presses()
}

// presses reports whether what is held must leave now: part of a request whose rest is on its way, or what somebody has gathered who
// has many streams; or because a backend has something to say before its request has left, somebody wants another turn, or there
// will be none.
func (l *Loop) presses() bool {
	if l.hurried || len(l.ready) > 0 || l.stop {
		return true
	}
	for _, held := range l.held {
		for _, s := range held {
			if s.held && (s.filler != nil || s.guard != nil && s.readable) {
				return true
			}
		}
	}
	return false
}

// unsure reports whether a backend may have spoken whom no look has shown: before what leaves early there is none, nor before what
// is asked while all leaves, and one that is full does not show all.
func (l *Loop) unsure() bool { return l.early || l.guarded || l.lag.full }

// slept is how long a poll must have taken to have waited: one that finds something is faster.
const slept = int64(100 * time.Microsecond)

// stall is how long a turn takes that was stopped: the machine had no processor for it.
const stall = int64(100 * time.Millisecond)

// Stalled returns the loop time at which the last stall ended. What was done in its turn is later than Now said there.
func (l *Loop) Stalled() int64 { return l.stalled }

// poll keeps the account of a poll that comes now. It returns for how long the loop has been busy since the last one.
func (l *Loop) poll() (busy int64) {
	now, _ := l.kernel.Now()
	busy = now - l.since
	l.stats.Waits++
	l.stats.Busy += busy
	l.stats.StallMax = max(l.stats.StallMax, busy)
	if busy > stall {
		l.stalled = now
	}
	l.since = now
	return busy
}

// notice takes a poll, for the delay.
func (l *Loop) notice(p poll) {
	if l.lag.polled(p, l.kernel.Worked) {
		l.kernel.Wake() // as everything else, it comes behind what is there
	}
}

// Late reports whether a request that has come in now should be refused: it has waited so long, and so have others for a
// while, that more comes than the loop can serve. Refusing costs less than serving, so that the next turn comes in time. Ask
// once for each.
func (l *Loop) Late() bool { return l.lag.late() }

// foresee notes what has been reported before anything of it is served.
func (l *Loop) foresee(n int) {
	for i := range n {
		ev := &l.events[i]
		if o := l.owner(ev); o != nil {
			o.foresee(ev.Flags)
		}
	}
	if n == eventBatch {
		l.answersFirst()
	}
}

// answersFirst has what backends say served first, where more may wait than a poll takes: what was admitted ends before more is, and
// those of a kind are served in a row, in warm caches.
func (l *Loop) answersFirst() {
	first, rest := 0, l.rest[:0]
	for i := range l.events {
		ev := &l.events[i]
		if o := l.owner(ev); o != nil && o.answers() {
			l.events[first] = *ev
			first++
		} else {
			rest = append(rest, *ev)
		}
	}
	copy(l.events[first:], rest)
}

// owner returns whose report it is, nil if nobody's any more.
func (l *Loop) owner(ev *Event) source {
	if int(ev.FD) < len(l.fds) && l.fds[ev.FD].gen == ev.Gen {
		return l.fds[ev.FD].owner
	}
	return nil
}

// messages runs what was posted.
func (l *Loop) messages() {
	if l.letters == nil {
		l.letters = l.mailbox.take()
	}
	for m := l.letters; m != nil; m = l.letters {
		l.letters = m.next
		l.serving = nil
		m.run()
		l.dispatched()
	}
}

// serve dispatches readiness reports.
func (l *Loop) serve(n int) {
	for l.at < n {
		ev := &l.events[l.at]
		l.at++
		o := l.owner(ev)
		if o == nil {
			l.stats.Stale++
			continue
		}
		l.serving = o
		o.event(ev.Flags)
		l.dispatched()
		if l.early && l.holds() && l.swift() {
			l.send()
		}
	}
}

// swift reports whether what is held may leave before the turn's end. Whoever gathers what a turn brings (Stream.AtEnd) is to get
// all of it; and who has something to say already is heard before he is told more: an answer that came before its request had
// left was not meant for it.
func (l *Loop) swift() bool {
	for who := range l.held {
		for _, s := range l.held[who] {
			if s.held && (s.filler != nil || s.readable) {
				return false
			}
		}
	}
	return true
}

// queued runs some of what was queued.
func (l *Loop) queued() {
	for m := l.crowd.next(); m != nil; m = l.crowd.next() {
		l.serving = nil
		m.run()
		l.dispatched()
	}
}

// again gives streams that asked for it another turn.
func (l *Loop) again() {
	for l.at < len(l.turn) {
		s := l.turn[l.at]
		l.turn[l.at] = nil
		l.at++
		s.listed = false
		if !s.closed {
			l.serving = s
			s.owner.Readable()
			l.dispatched()
		}
	}
}

// holds reports whether something waits for the end of a turn.
func (l *Loop) holds() bool { return len(l.held[dialed])+len(l.held[accepted]) > 0 }

// send gives what was written to the kernel.
func (l *Loop) send() {
	l.guarded, l.hurried, l.row, l.gathered = false, false, 0, 0
	l.side, l.sent = 0, 0
	l.release()
}

// release sends what is held, or what a panic has left of it.
func (l *Loop) release() {
	for ; l.side < sides; l.side++ {
		held := &l.held[l.side]
		for l.sent < len(*held) {
			s := (*held)[l.sent]
			(*held)[l.sent] = nil
			l.sent++
			l.serving = s
			s.release()
		}
		*held, l.sent = (*held)[:0], 0
	}
}

// rescue survives a broken invariant: the connection that was being served is told that it is broken, so that it gives
// back what it holds, and is reset if it cannot even do that.
func (l *Loop) rescue() {
	if l.panic == nil {
		return
	}
	value := recover()
	if value == nil {
		return
	}
	l.stats.Panics++
	l.panic(value, debug.Stack())
	s, ok := l.serving.(*Stream)
	if l.wheel.serving != nil {
		s, ok = l.wheel.serving, true
	}
	l.serving, l.wheel.serving = nil, nil
	if !ok || s.closed {
		return
	}
	defer func() {
		if recover() != nil || !s.closed {
			s.Reset()
		}
	}()
	s.broken, s.dead = true, true
	s.owner.Broken()
}

func (l *Loop) dispatched() {
	if l.poison != nil {
		l.overwrite()
	}
}

func (l *Loop) overwrite() {
	for part := range slices.Chunk(l.readBuf, len(l.poison)) {
		// The race detector notes each octet that is copied or compared, and none that is counted.
		if bytes.Count(part, l.poison[:1]) < len(part) {
			copy(part, l.poison)
		}
	}
}
