// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"net/netip"
	"syscall"

	"github.com/pvgate/pvgate/gateway/prefetch"
)

// Owner drives a [Stream]. All methods are called on the loop's thread.
type Owner interface {
	// Connected ends a connect: err is 0 or why it failed.
	Connected(err syscall.Errno)
	// Readable says that Read may have something; read until it says Again, or call Stream.Again to go on later.
	Readable()
	// Stuck says that the kernel has not taken all that was written in this turn: Pending says how much is left, and
	// Drained will follow.
	Stuck()
	// Drained says that everything written has been taken by the kernel after some of it had to wait.
	Drained()
	// Broken says that the connection was reset or a queued write failed; unread input may still be there.
	Broken()
	Expirer
}

// ReadStatus is what Stream.Read found.
type ReadStatus uint8

// The outcomes of a read.
const (
	Data   ReadStatus = iota // n > 0 bytes
	Again                    // nothing now; Readable will be called
	EOF                      // the peer has finished sending
	Failed                   // the connection is gone
)

// Guard is an owner that a [Stream.Guard] warns.
type Guard interface {
	// Spoke says that the peer has sent something, or closed, before what was written could be sent. It is dropped: not
	// a byte of it has left.
	Spoke()
	// Left says that the kernel has taken some of it: there is nothing to warn of any more.
	Left()
}

// Filler has more to write when a turn ends; see [Stream.AtEnd].
type Filler interface {
	// Fill writes it. What the turn has written before, it and what follows leave in one call of the kernel.
	Fill()
}

// side says who opened a connection.
type side uint8

// What is dialed is flushed first: backends work while clients get their answers, and those of a kind are served in a row
// [together 4 % of the CPU per request].
const (
	dialed side = iota
	accepted
	sides
)

// Stream is one connection of a loop, of TCP or of a Unix socket, edge-triggered: it remembers what epoll said until a call proves it stale.
// What is written during a turn, or a row of them (Loop.gathers), goes to the kernel at its end: one call for what came in pieces, and
// all calls in a row, each finding the kernel's path warm and the receivers awake. Of a turn with few reports (soon) each has an end of its own.
// Not safe for use outside the loop's thread. After Close or Reset every call is a no-op.
type Stream struct {
	Timer Timer

	loop       *Loop
	owner      Owner
	fd         int32
	gen        uint32
	connecting bool
	watched    bool // by epoll
	patient    bool // need not be, for a moment
	readable   bool
	hangup     bool // epoll reported the peer's FIN or a reset
	brief      bool // it did so in its first report
	reported   bool // there has been one
	listed     bool // on the ready list
	closed     bool
	broken     bool
	dead       bool // its owner broke an invariant: nothing more is read
	side       side
	held       bool   // out waits for the end of the turn, not for the kernel
	guard      Guard  // warned if the peer speaks before out is sent
	filler     Filler // asked for more before that
	out        []byte // accepted by Write, not yet by the kernel
	sent       int    // bytes of out already taken
	through    *pipe  // holds what goes before out, nil without any
	piped      int    // how much that is, bytes
	moved      int64  // loop time when the kernel last took bytes
	peer       netip.AddrPort
}

// Peer returns the remote address, zero of a Unix socket.
func (s *Stream) Peer() netip.AddrPort { return s.peer }

// Loop returns the loop that owns the stream.
func (s *Stream) Loop() *Loop { return s.loop }

// Lost reports that the connection was reset or a write failed: nothing that is written will arrive.
func (s *Stream) Lost() bool { return s.broken }

// Dead reports that the owner broke an invariant while it was served: it must give up what it holds and close.
func (s *Stream) Dead() bool { return s.dead }

// Closed reports whether the stream has been closed by this side.
func (s *Stream) Closed() bool { return s.closed }

// Pending returns the bytes that the kernel has refused so far; what waits for the end of the turn is not among them.
func (s *Stream) Pending() int {
	if s.held {
		return 0
	}
	return s.piped + len(s.out) - s.sent
}

// Moved returns the loop time of the last byte the kernel took.
func (s *Stream) Moved() int64 { return s.moved }

// Acked returns how many octets the peer's kernel has acknowledged since the connection began: its window closes when
// its program does not take them.
func (s *Stream) Acked() int64 {
	if s.closed {
		return 0
	}
	return s.loop.kernel.Acked(s.fd)
}

// Ready reports whether a Read might find something.
func (s *Stream) Ready() bool { return s.readable && !s.closed }

// Arm arms another timer of the stream's owner. The owner must stop it, by Loop.StopTimer.
func (s *Stream) Arm(t *Timer, e Expirer, deadline int64) {
	if !s.closed {
		t.stream = s
		s.loop.wheel.set(t, e, deadline, s.loop.now)
	}
}

// Settle asks the kernel whether there is anything to read, where that is not known: who has taken just what was wanted
// has not seen whether that was all.
func (s *Stream) Settle() {
	if s.readable && !s.closed && !s.broken && !s.hangup && s.loop.kernel.Peek(s.fd) == syscall.EAGAIN {
		s.readable = false
	}
}

// Expect asks the memory for what a write and a read will touch.
func (s *Stream) Expect() { prefetch.All(s) }

// SetTimer arms the stream's timer; Owner.Expire is called once at or after deadline (within a tick of 4 ms).
func (s *Stream) SetTimer(deadline int64) {
	if !s.closed {
		s.Timer.stream = s
		s.loop.wheel.set(&s.Timer, s.owner, deadline, s.loop.now)
	}
}

// StopTimer disarms it.
func (s *Stream) StopTimer() { s.loop.wheel.stop(&s.Timer) }

// Own hands the stream to another owner, in the middle of its life.
func (s *Stream) Own(o Owner) { s.owner = o; s.Timer.owner = o }

// Serve says, in a message, that what follows is done for this stream: if it breaks an invariant, that costs this
// connection.
func (s *Stream) Serve() { s.loop.serving = s }

// Patient says, in the turn in which the stream was adopted, that nothing more is expected from its peer before the answer
// that ends the connection. Epoll is then not asked to watch it, unless the answer takes its time or the kernel does not take
// it [a connection for each request: 6 to 8 % of the CPU per request, beside TLS nothing]; that the peer gives up is noticed
// a moment later.
func (s *Stream) Patient() { s.patient = true }

// watch has epoll report what comes. If the kernel cannot, the connection counts as broken.
func (s *Stream) watch() {
	if s.watched || s.closed {
		return
	}
	s.watched = true
	if s.loop.kernel.Add(s.fd, s.gen) != 0 {
		s.lose()
	}
}

// Again asks for another Readable in the loop's next turn, after everybody else has had theirs.
func (s *Stream) Again() {
	if !s.listed && !s.closed {
		s.listed = true
		s.loop.ready = append(s.loop.ready, s)
	}
}

// Read fills b. A read shorter than b proves that the socket is empty, unless an event said otherwise meanwhile.
func (s *Stream) Read(b []byte) (int, ReadStatus) {
	if s.closed || s.dead {
		return 0, Failed
	}
	if !s.readable {
		s.watch()
		return 0, Again
	}
	for {
		n, err := s.loop.kernel.Read(s.fd, b)
		switch {
		case err == 0 && n > 0:
			// A short read means empty, but a FIN or RST reported together with the data gives no second
			// edge: only when the event carried no end of stream may the flag be dropped.
			if n < len(b) && !s.hangup {
				s.readable = false
			}
			return n, Data
		case err == 0:
			s.readable = false
			if s.broken {
				// The kernel tells of a reset once; a write may have heard it, and then this is no clean end.
				return 0, Failed
			}
			return 0, EOF
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			s.readable = false
			s.watch()
			return 0, Again
		default:
			s.readable, s.broken = false, true
			return 0, Failed
		}
	}
}

// direct is the size from which Write does not copy but asks the kernel at once, bytes.
const direct = 16 << 10

// Write sends b, a small one at the end of the turn at the latest; it reports false when the connection is known to be broken, and
// Readable will follow for what is left to read. What the kernel does not take is queued, and the queue is the caller's
// to bound: look at Pending and stop producing until Drained.
func (s *Stream) Write(b []byte) bool {
	if s.closed || s.broken {
		return false
	}
	if len(b) < direct || s.connecting || s.Pending() > 0 {
		s.hold()
		s.queue(b)
		return true
	}
	if s.Flush(); s.Pending() == 0 && !s.broken {
		n, ok := s.push(b)
		s.left(n)
		if !ok {
			s.lose()
		}
		b = b[n:]
		s.moved = s.loop.now
	}
	if len(b) > 0 && !s.broken {
		s.queue(b)
	}
	return !s.broken
}

// Give is Write for a buffer of the loop (Loop.Buffer), which the stream returns when it is sent.
func (s *Stream) Give(b []byte) bool {
	if s.closed || s.broken || s.out != nil {
		ok := s.Write(b)
		s.loop.pool.put(b)
		return ok
	}
	s.hold()
	s.out = b
	return true
}

// Guard makes what this turn writes depend on the peer's silence: if there is anything to read when it would be sent, be it
// in a later turn because the kernel takes none of it now, it is dropped and g.Spoke called instead. Whoever puts a request
// on an idle connection wants this: what a backend has to say before it was asked would be taken for the answer. It is for
// what is small enough to wait for the end of the turn; what leaves sooner, by Flush or a large Write, goes unguarded. So
// that this does not happen to a request whose body is still coming, more says that it is: what has been written of it
// waits no longer than to the turn's end.
func (s *Stream) Guard(g Guard, more bool) {
	s.guard, s.loop.guarded, s.loop.hurried = g, true, s.loop.hurried || more
}

// AtEnd lets f write at the end of this turn: whoever has a bit to say now and then gathers it, and writes it once. While
// the kernel takes nothing f is not asked: Drained will follow.
func (s *Stream) AtEnd(f Filler) {
	if !s.closed && !s.broken && (s.held || s.out == nil && s.piped == 0) {
		s.filler = f
		s.hold()
	}
}

// Guarded reports whether a Guard waits: nothing has left of what was written since it was set.
func (s *Stream) Guarded() bool { return s.guard != nil }

// hold puts the stream on the list of those that are flushed at the end of the turn, unless it waits for the kernel
// already.
func (s *Stream) hold() {
	if !s.held && !s.connecting && s.out == nil && s.piped == 0 {
		s.held = true
		s.loop.held[s.side] = append(s.loop.held[s.side], s)
	}
}

// Held reports whether what this turn wrote waits for the turn's end: nothing of it has left.
func (s *Stream) Held() bool { return s.held }

// Unsent returns what waits to be sent, if the kernel has accepted none of it. It is valid until more is written, or sent.
func (s *Stream) Unsent() []byte {
	if s.sent > 0 {
		return nil
	}
	return s.out
}

// Flush gives what is held to the kernel now. It is for the end of a connection; everything else waits for the end of
// the turn.
func (s *Stream) Flush() {
	if s.held {
		s.held = false
		s.moved = s.loop.now
		if !s.flush() && s.broken {
			s.lose()
		}
	}
}

// release ends the turn of a stream that was written to.
func (s *Stream) release() {
	if f := s.filler; f != nil {
		s.filler = nil
		if s.held || s.out == nil {
			f.Fill()
		}
	}
	if !s.held {
		return
	}
	s.held = false
	s.moved = s.loop.now
	switch {
	case s.guard != nil && (s.readable || s.loop.unsure() && s.loop.kernel.Peek(s.fd) != syscall.EAGAIN):
		s.warn()
	case s.flush():
	case s.broken:
		s.lose()
	default:
		s.owner.Stuck()
	}
}

// warn tells the guard that the peer has spoken, and drops what was to be sent.
func (s *Stream) warn() {
	g := s.guard
	s.guard = nil
	g.Spoke()
	s.dropQueue()
}

// left notes how many octets the kernel has taken.
func (s *Stream) left(n int) {
	if g := s.guard; g != nil && n > 0 {
		s.guard = nil
		g.Left()
	}
}

// lose notes that a write failed. What the peer said before it stopped listening may still be read.
func (s *Stream) lose() {
	s.broken, s.readable = true, true
	s.Again()
}

func (s *Stream) queue(b []byte) {
	if s.out == nil {
		s.out = s.loop.pool.get(len(b))
	}
	if need := len(s.out) + len(b); need > cap(s.out) {
		bigger := append(s.loop.pool.get(need-s.sent), s.out[s.sent:]...)
		s.loop.pool.put(s.out)
		s.out, s.sent = bigger, 0
	}
	s.out = append(s.out, b...)
}

// push asks the kernel to take b; it returns how much of it went, and false if the connection is broken.
func (s *Stream) push(b []byte) (sent int, ok bool) {
	for sent < len(b) {
		n, err := s.loop.kernel.Write(s.fd, b[sent:])
		switch err {
		case 0:
			sent += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			s.watch()
			return sent, true
		default:
			return sent, false
		}
	}
	return sent, true
}

// flush writes the queue; it reports whether it is empty now.
func (s *Stream) flush() bool {
	if s.through != nil && !s.sendPipe() {
		return false
	}
	n, ok := s.push(s.out[s.sent:])
	if s.sent += n; n > 0 {
		s.moved = s.loop.now
		s.left(n)
	}
	if !ok {
		s.broken = true
		return false
	}
	if s.sent < len(s.out) {
		return false
	}
	s.dropQueue()
	return true
}

func (s *Stream) dropQueue() {
	if s.out != nil {
		s.loop.pool.put(s.out)
		s.out, s.sent = nil, 0
	}
}

// Left reports whether the peer has ended its side, or reset the connection, since it first spoke: not together with that.
func (s *Stream) Left() bool { return s.hangup && !s.brief }

// Silent reports whether an idle connection is open and nothing has been heard on it: what a pooled connection must be.
// The kernel is not asked; see Guard, and Healthy, which does.
func (s *Stream) Silent() bool { return !s.closed && !s.broken && !s.readable }

// Healthy is Silent, and the kernel has nothing to read either.
func (s *Stream) Healthy() bool { return s.Silent() && s.loop.kernel.Peek(s.fd) == syscall.EAGAIN }

// CloseWrite sends what is held, and FIN; the other direction goes on.
func (s *Stream) CloseWrite() {
	if !s.closed {
		s.Flush()
		s.loop.kernel.ShutdownWrite(s.fd)
	}
}

// Close sends what is held and closes the descriptor. What the kernel has refused is lost; wait for Drained first.
func (s *Stream) Close() {
	if s.closed {
		return
	}
	s.Flush()
	s.forget()
	s.loop.kernel.Close(s.fd)
}

// Reset closes with RST. Nothing that is held is sent.
func (s *Stream) Reset() {
	if s.closed {
		return
	}
	s.forget()
	s.loop.kernel.Reset(s.fd)
}

func (s *Stream) forget() {
	s.closed, s.held, s.guard, s.filler = true, false, nil, nil
	s.dropQueue()
	if s.through != nil {
		s.loop.dropPipe(s.through)
		s.through, s.piped = nil, 0
	}
	s.loop.wheel.stop(&s.Timer)
	s.loop.fds[s.fd].owner = nil
	s.loop.streams--
}

// foresee notes what epoll has reported before it is dispatched, so that nobody takes the stream for silent.
func (s *Stream) foresee(f Flags) {
	if s.connecting {
		return
	}
	if f&(EventHangup|EventError) != 0 {
		s.brief = s.brief || !s.reported && f&EventError == 0
		s.hangup = true
	}
	s.reported = true
	if f&(EventRead|EventError) != 0 {
		s.readable = true
	}
}

func (s *Stream) answers() bool { return s.side == dialed }

// event takes one readiness report.
func (s *Stream) event(f Flags) {
	if f&(EventHangup|EventError) != 0 {
		s.hangup = true
	}
	if s.connecting {
		if f&(EventWrite|EventError) == 0 {
			return
		}
		s.connecting = false
		err := s.loop.kernel.SocketError(s.fd)
		if err == 0 && !s.flush() && s.broken {
			err = syscall.ECONNRESET
		}
		s.moved = s.loop.now
		s.owner.Connected(err)
		if s.closed || err != 0 {
			return
		}
	}
	switch {
	case s.guard == nil:
	case s.held:
		return // it is told when that would be sent
	case s.Pending() > 0 && (s.readable || s.loop.kernel.Peek(s.fd) != syscall.EAGAIN): // the kernel has refused all of it before
		if s.warn(); s.closed {
			return
		}
	}
	if f&EventError != 0 {
		s.broken, s.readable = true, true
		s.owner.Broken()
		return
	}
	if f&EventWrite != 0 && s.Pending() > 0 {
		if s.flush() {
			s.owner.Drained()
		} else if s.broken {
			s.readable = true
			s.owner.Broken()
		}
		if s.closed {
			return
		}
	}
	if f&EventRead != 0 {
		s.readable = true
		s.owner.Readable()
	}
}
