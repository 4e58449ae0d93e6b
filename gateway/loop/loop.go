// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"bytes"
	"math"
	"runtime"
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
	// foresee notes what has been reported.
	foresee(Flags)
	// answers reports whether what it says is a backend's.
	answers() bool
}

// descriptor is whose it is, nil for nobody's, and for the how manieth time somebody has it.
type descriptor struct {
	owner source
	gen   uint32
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
	stage   stage
	at      int  // events and streams of this turn that have been served
	side    side // whose held list is being released; sides: none is
	sent    int  // streams of that list that have been released
	early   bool // few are served: what they write need not wait for the turn's end
	fds     []descriptor
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
	rest     [eventBatch]Event // scratch of answersFirst
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
	l := &Loop{kernel: o.Kernel, index: o.Index, most: int32(o.MaxAccepted), mostPipes: o.MaxPipes, panic: o.Panic, side: sides, readBuf: make([]byte, ReadSize), done: make(chan struct{})}
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
	for _, d := range l.fds {
		if s, ok := d.owner.(interface{ shut() }); ok {
			s.shut()
		}
	}
	l.dropPipes()
	l.kernel.Release()
}

// own gives a descriptor its owner and a fresh generation.
func (l *Loop) own(fd int32, s source) (gen uint32) {
	for int(fd) >= len(l.fds) {
		l.fds = append(l.fds, make([]descriptor, 256)...)
	}
	d := &l.fds[fd]
	d.gen++
	if d.gen == wakeGeneration {
		d.gen = 1
	}
	d.owner = s
	return d.gen
}

// register owns a descriptor and has it watched.
func (l *Loop) register(fd int32, s source) (uint32, syscall.Errno) {
	gen := l.own(fd, s)
	if err := l.kernel.Add(fd, gen); err != 0 {
		l.fds[fd].owner = nil
		return 0, err
	}
	return gen, 0
}

func (s *Stream) shut() { s.Close() }

// Free releases the kernel of a loop that was never run.
func (l *Loop) Free() { l.kernel.Release() }
