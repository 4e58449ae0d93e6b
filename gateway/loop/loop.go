// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"bytes"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// eventBatch is how many readiness reports one wait takes: so few that what a turn reads and writes stays in the processor's
// caches [512 connections, 16 KiB each: 256 took a third more CPU per request than 64].
const eventBatch = 64

// soon is of how many readiness reports at most each is served to its end: what it writes leaves before the next is served. So few
// come where others wait for the loop; they then work while it does, and it finds more when it looks again, instead of having to
// sleep [four connections: 17.5 µs of CPU a request, 19.2 without]. Where more come it is better to do the same for many in a row.
const soon = 8

// Options configures a [Loop].
type Options struct {
	// Index numbers the loop among its peers, from 0.
	Index int
	// Kernel is what the loop calls; the loop releases it when Run returns.
	Kernel Kernel
	// Panic is told of a broken invariant, on the loop's thread; the connection that was being served is given up
	// and the loop goes on. nil lets the process end.
	Panic func(value any, stack []byte)
	// MaxAccepted is how many accepted connections of all peers together stop the accepting, so that descriptors are
	// left for everything else; 0 for no limit. Others wait in the kernel's queue until one ends.
	MaxAccepted int
	// MaxPipes is how many pipes the loop may have, two descriptors each, to move octets between sockets without copying
	// them; 0: everything is copied.
	MaxPipes int
	// Grown is told, on the loop's thread, of octets that were allocated for buffers since it was told last, many at a time;
	// nil: nobody is.
	Grown func(octets int)
	// Poison overwrites the read buffer after every dispatch, so that a slice kept too long shows itself. For tests.
	Poison bool
}

// Stats is a loop's account of itself since it started, except StallMax and DelayMax, which start anew at each reading. Times are
// nanoseconds.
type Stats struct {
	Waits         uint64 // polls of epoll
	BlockingWaits uint64 // calls of epoll_wait that may have put the thread to sleep
	Busy          int64  // time not spent waiting
	StallMax      int64  // longest time between two polls
	DelayMax      int64  // longest that anything can have waited for the loop; starts anew like StallMax
	Stale         uint64 // events and messages for a descriptor that is no more
	Accepted      uint64
	Spliced       uint64 // octets that went from socket to socket without a copy
	Moved         uint64 // accepted here, handed to a loop with fewer connections
	AcceptErrors  uint64 // accept failed, or was put off, for want of descriptors or memory
	Connections   int32  // accepted and open
	Streams       int    // all sockets of the loop
	Lent          int    // buffers taken from the pool and not given back
	Pipes         int    // pipes with octets that a peer does not take
	Panics        uint64 // broken invariants survived
	ThreadID      int
}

type source interface {
	event(Flags)
	// foresee notes what has been reported; it reports whether that is a backend's.
	foresee(Flags) (answers bool)
}

// Loop is one reactor. Everything but Post, Stop, Connections and the fields said to be safe belongs to the thread in
// Run.
type Loop struct {
	kernel  Kernel
	index   int
	poison  []byte // what parts of the read buffer are overwritten with, nil for none
	most    int32  // MaxAccepted
	panic   func(any, []byte)
	serving source // whose turn it is
	at      int    // events and streams of this turn that have been served
	sent    int    // streams of a held list that have been released
	early   bool   // few are served: what they write need not wait for the turn's end
	fds     []source
	gens    []uint32
	ready   []*Stream
	turn    []*Stream        // the ready list being served
	held    [sides][]*Stream // written to in this turn
	fresh   []*Stream        // adopted in this turn
	patient []*Stream        // of those, who can do without epoll for a moment; see Stream.Patient
	// patience runs out when they are to be watched nevertheless.
	patience Timer
	polled   int  // events that stand in events already
	guarded  bool // a Guard may be among what is held,
	hurried  bool // and one of whom has more to come
	row      int  // looks since something was sent,
	gathered int  // and what they have found
	events   [eventBatch]Event
	rest     [eventBatch]Event // scratch of foresee
	lag      lag
	wheel    wheel
	pool     pool
	pipes    []*pipe // that nobody uses
	piping   int     // how many there are
	// pipeTimer runs out when nobody has wanted one for a while.
	pipeTimer Timer
	// mostPipes is Options.MaxPipes, or less if the kernel gives less.
	mostPipes int
	mailbox   mailbox
	letters   *message // taken from the mailbox, not yet run
	crowd     crowd
	now       int64
	wall      time.Time
	since     int64 // loop time of the last poll
	stalled   int64 // that of the last one after a stall
	readBuf   []byte
	stats     Stats
	streams   int
	peers     []*Loop
	stop      bool

	// Safe for concurrent use.
	accepted atomic.Int32
	done     chan struct{}
}

// New returns a loop that Run will turn.
func New(o Options) *Loop {
	l := &Loop{kernel: o.Kernel, index: o.Index, most: int32(o.MaxAccepted), mostPipes: o.MaxPipes, panic: o.Panic, readBuf: make([]byte, ReadSize), done: make(chan struct{})}
	if o.Poison {
		l.poison = bytes.Repeat([]byte{0xDB}, 1<<10)
	}
	l.pool.grown = o.Grown
	l.now, l.wall = l.kernel.Now()
	l.since, l.stalled = l.now, math.MinInt64/2
	return l
}

// Index returns the loop's number.
func (l *Loop) Index() int { return l.index }

// Now returns the loop's monotonic time in nanoseconds, read once per wake-up.
func (l *Loop) Now() int64 { return l.now }

// Wall returns the wall clock at the same instant.
func (l *Loop) Wall() time.Time { return l.wall }

// ReadBuffer returns the loop's shared buffer of ReadSize bytes. What stands in it is valid until the dispatch
// returns.
func (l *Loop) ReadBuffer() []byte { return l.readBuf }

// Buffer lends an empty buffer of at least n bytes of capacity; give it back with Return.
func (l *Loop) Buffer(n int) []byte { return l.pool.get(n) }

// Grow returns a lent buffer with room for n more bytes: the same one, or a larger one in its place.
func (l *Loop) Grow(b []byte, n int) []byte { return l.pool.grow(b, n) }

// Return takes a buffer back. Its owner must have dropped every slice of it.
func (l *Loop) Return(b []byte) { l.pool.put(b) }

// SetTimer arms a timer that is not a stream's.
func (l *Loop) SetTimer(t *Timer, owner Expirer, deadline int64) {
	l.wheel.set(t, owner, deadline, l.now)
}

// StopTimer disarms it.
func (l *Loop) StopTimer(t *Timer) { l.wheel.stop(t) }

// Balance tells the loop who its peers are (itself included): new connections go to the one with fewest when this
// loop has more than the mean and two. Call it before Run.
func (l *Loop) Balance(peers []*Loop) { l.peers = peers }

// Connections returns how many accepted connections are open. Safe for concurrent use.
func (l *Loop) Connections() int { return int(l.accepted.Load()) }

// Post hands run to the loop's thread; it is called within the next wake-up, or never if the loop has stopped. Safe
// for concurrent use. A message about a connection must check the connection's generation itself.
func (l *Loop) Post(run func()) {
	if l.mailbox.put(run) {
		l.kernel.Wake()
	}
}

// Queue is Post for messages of which very many may come at once, each with as much to do as a request: a turn runs a few of
// them, in their order, and then looks at what has come in meanwhile. Post's messages may overtake them.
func (l *Loop) Queue(run func()) {
	if l.crowd.mailbox.put(run) {
		l.kernel.Wake()
	}
}

// Do runs f on the loop's thread and waits for it; it reports false if the loop has stopped instead. Not to be called
// from a loop.
func (l *Loop) Do(f func()) bool {
	ran := make(chan struct{})
	l.Post(func() { f(); close(ran) })
	select {
	case <-ran:
		return true
	case <-l.done:
		return false
	}
}

// Stop ends Run after the present turn. To be called on the loop's thread (Post it).
func (l *Loop) Stop() { l.stop = true }

// Done is closed when Run has returned.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Stats returns the loop's figures. To be called on the loop's thread.
func (l *Loop) Stats() Stats {
	s := l.stats
	s.Connections, s.Streams, s.Lent, s.Pipes = l.accepted.Load(), l.streams, l.pool.lent, l.piping-len(l.pipes)
	s.DelayMax = l.lag.most
	l.stats.StallMax, l.lag.most = 0, 0
	return s
}

// Run turns the loop on the calling goroutine, which it locks to its thread, until Stop. Sockets that are still open
// are closed.
func (l *Loop) Run() {
	runtime.LockOSThread()
	defer close(l.done)
	l.stats.ThreadID = syscall.Gettid()
	goFirst()
	l.now, l.wall = l.kernel.Now()
	l.since = l.now
	for !l.stop {
		l.Turn()
	}
	for _, s := range l.fds {
		if s, ok := s.(interface{ shut() }); ok {
			s.shut()
		}
	}
	l.dropPipes()
	l.kernel.Release()
}

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

	for !l.messages() {
	}
	l.at, l.early = 0, n <= soon && len(l.ready) == 0 && !l.holds()
	for !l.serve(n) {
	}
	l.early = false
	l.crowd.left = portion(n)
	for !l.queued() {
	}
	l.turn, l.ready = l.ready, l.turn[:0]
	l.at = 0
	for !l.again() {
	}
	l.serving = nil
	l.wheel.left = portion(n)
	for !l.expire() {
	}
	adopted := l.watchFresh()
	if l.holds() && !l.gathers(adopted) {
		l.send()
	}
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

// unsure reports whether a backend may have spoken whom no look has shown: before what leaves early there is none, and one that is
// full does not show all.
func (l *Loop) unsure() bool { return l.early || l.lag.full }

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

// foresee notes what has been reported before anything of it is served. Where more may wait than a poll takes, what backends
// say comes first: what was admitted ends before more is, and those of a kind are served in a row, in warm caches.
func (l *Loop) foresee(n int) {
	first, rest := 0, l.rest[:0]
	for _, ev := range l.events[:n] {
		answers := int(ev.FD) < len(l.fds) && l.fds[ev.FD] != nil && l.gens[ev.FD] == ev.Gen && l.fds[ev.FD].foresee(ev.Flags)
		switch {
		case n < eventBatch:
		case answers:
			l.events[first] = ev
			first++
		default:
			rest = append(rest, ev)
		}
	}
	copy(l.events[first:], rest)
}

// messages runs what was posted. It and the next five report false when a panic ended them early; they go on with the
// next item when they are called again.
func (l *Loop) messages() bool {
	defer l.rescue()
	if l.letters == nil {
		l.letters = l.mailbox.take()
	}
	for m := l.letters; m != nil; m = l.letters {
		l.letters = m.next
		l.serving = nil
		m.run()
		l.dispatched()
	}
	return true
}

// serve dispatches readiness reports.
func (l *Loop) serve(n int) bool {
	defer l.rescue()
	for l.at < n {
		ev := &l.events[l.at]
		l.at++
		if int(ev.FD) >= len(l.fds) || l.fds[ev.FD] == nil || l.gens[ev.FD] != ev.Gen {
			l.stats.Stale++
			continue
		}
		l.serving = l.fds[ev.FD]
		l.serving.event(ev.Flags)
		l.dispatched()
		if l.early && l.holds() && l.swift() {
			l.send()
		}
	}
	return true
}

// swift reports whether what is held may leave before the turn's end. Whoever gathers what a turn brings (Stream.AtEnd) is to get
// all of it; and who has something to say already is heard before he is told more: an answer that came before its request had
// left was not meant for it.
func (l *Loop) swift() bool {
	for _, held := range l.held {
		for _, s := range held {
			if s.held && (s.filler != nil || s.readable) {
				return false
			}
		}
	}
	return true
}

// queued runs some of what was queued.
func (l *Loop) queued() bool {
	defer l.rescue()
	for m := l.crowd.next(); m != nil; m = l.crowd.next() {
		l.serving = nil
		m.run()
		l.dispatched()
	}
	return true
}

// again gives streams that asked for it another turn.
func (l *Loop) again() bool {
	defer l.rescue()
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
	return true
}

// holds reports whether something waits for the end of a turn.
func (l *Loop) holds() bool { return len(l.held[dialed])+len(l.held[accepted]) > 0 }

// send gives what was written to the kernel.
func (l *Loop) send() {
	l.guarded, l.hurried, l.row, l.gathered = false, false, 0, 0
	for who := range l.held {
		l.sent = 0
		for !l.release(&l.held[who]) {
		}
	}
}

// release sends what was written.
func (l *Loop) release(held *[]*Stream) bool {
	defer l.rescue()
	for l.sent < len(*held) {
		s := (*held)[l.sent]
		(*held)[l.sent] = nil
		l.sent++
		l.serving = s
		s.release()
	}
	*held = (*held)[:0]
	return true
}

func (l *Loop) expire() bool {
	defer l.rescue()
	l.wheel.advance(l.now)
	return true
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

// own gives a descriptor its owner and a fresh generation.
func (l *Loop) own(fd int32, s source) (gen uint32) {
	for int(fd) >= len(l.fds) {
		l.fds = append(l.fds, make([]source, 256)...)
		l.gens = append(l.gens, make([]uint32, 256)...)
	}
	l.gens[fd]++
	if l.gens[fd] == wakeGeneration {
		l.gens[fd] = 1
	}
	l.fds[fd] = s
	return l.gens[fd]
}

// register owns a descriptor and has it watched.
func (l *Loop) register(fd int32, s source) (uint32, syscall.Errno) {
	gen := l.own(fd, s)
	if err := l.kernel.Add(fd, gen); err != 0 {
		l.fds[fd] = nil
		return 0, err
	}
	return gen, 0
}

func (s *Stream) shut() { s.Close() }

// Free releases the kernel of a loop that was never run.
func (l *Loop) Free() { l.kernel.Release() }
