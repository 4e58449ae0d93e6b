// SPDX-License-Identifier: EUPL-1.2

// Package simsys is a simulated kernel for loops: sockets in memory, virtual time, and faults drawn from a seed. With
// the same seed everything happens again in the same order.
//
// The calls to know: [New] makes a machine, [Net.Kernel] a kernel for one loop, [Net.Listen] and [Net.Dial] the far
// ends that a test plays, and [Net.Advance] moves time. Everything runs on one goroutine: the test turns the loops.
//
// It deliberately models only byte streams as a loop sees them, of TCP and of Unix sockets: partial reads and writes,
// EAGAIN, EINTR, FIN, RST, refused and silent connects, full queues, edge-triggered events that may be late and reordered.
package simsys

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// Faults are the chances, in thousandths per call, that something awkward but legal happens.
type Faults struct {
	Interrupt int // EINTR
	Short     int // a read or write takes only part
	Again     int // EAGAIN although something could be done; an event follows
	Reset     int // the far end resets the connection
	Late      int // an event is held back for a turn
	Exhausted int // socket() and pipe() fail with EMFILE
	NoSplice  int // splice() fails with EINVAL, as it does where it is not to be had
}

// Net is one machine. Not safe for concurrent use.
type Net struct {
	// Order reports events in the order in which they happened, not shuffled.
	Order bool
	// Midturn, if set, is called once after the next Wait has looked: what it does is news in the turn after.
	Midturn func()

	// Descriptors is how many sockets the loops may hold, 0 for any number.
	Descriptors int
	// Ports is how many connections the loops may have to one address, 0 for any number: those that they have closed
	// first count for a minute more.
	Ports int

	rng       *rand.Rand
	faults    Faults
	now       int64
	stolen    int64
	sockets   map[int32]*socket
	nextFD    int32
	listeners map[netip.AddrPort]*Listener
	paths     map[string]*Listener // of Unix sockets
	ports     map[netip.AddrPort][]*socket
	pipes     map[int32]*pipe
	kernels   []*Kernel
	capacity  int // of a receive buffer, bytes
	moved     bool
}

// socket is one end of a connection, or a listening socket of a loop.
type socket struct {
	net        *Net
	fd         int32
	peer       *socket
	local      netip.AddrPort
	in         []byte
	sent       int64 // octets that the peer has room for
	fin        bool  // the peer has shut down writing
	shut       bool  // we have
	reset      bool  // RST received
	told       bool  // ECONNRESET has been returned once
	closed     bool
	full       bool  // a write has seen EAGAIN
	port       int64 // net time at which its port is free, 0: it is not
	connecting bool
	refused    syscall.Errno
	accept     *Listener
	kernel     *Kernel
	gen        uint32
	pending    flags
	queued     bool
}

// New returns a machine that draws its faults from seed.
func New(seed uint64, f Faults) *Net {
	rng := rand.New(rand.NewPCG(seed, 0x70766761))
	return &Net{
		rng: rng, faults: f, now: 1e9, sockets: map[int32]*socket{}, nextFD: 10,
		listeners: map[netip.AddrPort]*Listener{}, paths: map[string]*Listener{}, ports: map[netip.AddrPort][]*socket{}, pipes: map[int32]*pipe{}, capacity: 256 + rng.IntN(16<<10),
	}
}

// Rand is the machine's source of chance, for the test's own choices.
func (n *Net) Rand() *rand.Rand { return n.rng }

// Capacity returns the size of a receive buffer in bytes.
func (n *Net) Capacity() int { return n.capacity }

// SetCapacity changes it; call it before anything is connected.
func (n *Net) SetCapacity(bytes int) { n.capacity = bytes }

// Now returns the virtual time in nanoseconds.
func (n *Net) Now() int64 { return n.now }

// Advance moves time on.
func (n *Net) Advance(d time.Duration) { n.now += int64(d) }

// Doze moves time on that the loops sleep through who have found nothing to do; for others it is work, as with Advance. Like a
// machine that has no processor for them, it may wake them later than they wanted.
func (n *Net) Doze(d time.Duration) {
	n.now += int64(d)
	for _, k := range n.kernels {
		if k.sleep != 0 && len(k.queue) == 0 && !k.awake {
			k.asleep, k.slept = k.asleep+int64(d), k.slept+int64(d)
		}
	}
}

// Steal moves time on in which no loop has a processor.
func (n *Net) Steal(d time.Duration) { n.now, n.stolen = n.now+int64(d), n.stolen+int64(d) }

// Moved reports whether any byte or connection moved since the last call: whether another round may bring more.
func (n *Net) Moved() bool {
	m := n.moved
	n.moved = false
	return m
}

// Owned returns how many sockets the kernels' loops hold, listening ones not counted.
func (n *Net) Owned() int {
	k := 0
	for _, s := range n.sockets {
		if s.kernel != nil && s.accept == nil {
			k++
		}
	}
	return k
}

// timeWait is how long a port is kept by who has closed first.
const timeWait = int64(time.Minute)

// bind takes a port for a connection to an address, if there is one.
func (n *Net) bind(s *socket, to netip.AddrPort) bool {
	if n.Ports == 0 {
		return true
	}
	taken := slices.DeleteFunc(n.ports[to], func(o *socket) bool { return o.port > 0 && o.port <= n.now })
	if n.ports[to] = taken; len(taken) >= n.Ports {
		return false
	}
	n.ports[to] = append(taken, s)
	return true
}

func (n *Net) exhausted() bool { return n.Descriptors > 0 && n.Owned() >= n.Descriptors }

func (n *Net) chance(perMille int) bool { return perMille > 0 && n.rng.IntN(1000) < perMille }

func (n *Net) socket() *socket {
	s := &socket{net: n, fd: n.descriptor()}
	n.sockets[s.fd] = s
	return s
}

// descriptor is the next number.
func (n *Net) descriptor() int32 {
	fd := n.nextFD
	n.nextFD++
	if n.nextFD == 4096 { // descriptors are used again, so that stale events have something to hit
		n.nextFD = 10
	}
	for n.sockets[n.nextFD] != nil || n.pipes[n.nextFD] != nil {
		n.nextFD++
	}
	return fd
}

// Listener is a listening address: of a test's server, or of loops.
type Listener struct {
	net    *Net
	addr   netip.AddrPort
	queue  []*socket
	loops  []*socket // listening sockets of loops
	closed bool      // a Unix socket that nobody listens on any more
	Silent bool      // connects are neither accepted nor refused; to a Unix socket they are refused
	// Backlog is how many connections wait at most before connects to a Unix socket find no room; 0: any number.
	Backlog int
}

// Listen makes the test's server reachable at an address.
func (n *Net) Listen(addr netip.AddrPort) *Listener {
	l := &Listener{net: n, addr: addr}
	n.listeners[addr] = l
	return l
}

// ListenUnix makes the test's server reachable at a path.
func (n *Net) ListenUnix(path string) *Listener {
	l := &Listener{net: n}
	n.paths[path] = l
	return l
}

// Close stops listening: further connects are refused. The file of a Unix socket stays.
func (l *Listener) Close() {
	l.closed = true
	if l.net.listeners[l.addr] == l {
		delete(l.net.listeners, l.addr)
	}
}

// Accept returns the next connection, or nil.
func (l *Listener) Accept() *End {
	if len(l.queue) == 0 {
		return nil
	}
	s := l.queue[0]
	l.queue = l.queue[1:]
	return &End{s: s}
}

// LoopSocket opens a listening descriptor for a loop's kernel at an address.
func (n *Net) LoopSocket(addr netip.AddrPort) int32 {
	l := n.listeners[addr]
	if l == nil {
		l = n.Listen(addr)
	}
	s := n.socket()
	s.accept = l
	l.loops = append(l.loops, s)
	return s.fd
}

// Dial connects the test's client to an address; nil if nobody listens.
func (n *Net) Dial(from, to netip.AddrPort) *End {
	l := n.listeners[to]
	if l == nil {
		return nil
	}
	s := n.socket()
	s.local = from
	n.connect(s, l)
	return &End{s: s}
}

// connect joins s to a new socket in the listener's queue.
func (n *Net) connect(s *socket, l *Listener) {
	o := n.socket()
	o.peer, s.peer, o.local = s, o, l.addr
	n.moved = true
	if len(l.loops) > 0 {
		ls := l.loops[n.rng.IntN(len(l.loops))]
		l.queue = append(l.queue, o)
		ls.raise(eventRead)
		return
	}
	l.queue = append(l.queue, o)
}

// End is a far end that the test plays: a client's or a server's socket. Its calls never block.
type End struct{ s *socket }

// Write sends what the other side has room for and returns how much that was.
func (e *End) Write(b []byte) int { n, _ := e.s.write(b); return n }

// Room returns how many bytes Write would take.
func (e *End) Room() int {
	if e.s.peer == nil {
		return 0
	}
	return max(e.s.net.capacity-len(e.s.peer.in), 0)
}

// Read takes what has arrived.
func (e *End) Read() []byte {
	b := e.s.in
	e.s.in = nil
	if len(b) > 0 {
		e.s.drained()
	}
	return b
}

// Take takes n octets, or what there is.
func (e *End) Take(n int) []byte {
	b := e.s.in[:min(n, len(e.s.in))]
	e.s.in = e.s.in[len(b):]
	if len(b) > 0 {
		e.s.drained()
	}
	return b
}

// Got returns how many octets the other side has sent in all, read or not.
func (e *End) Got() int64 { return e.s.peer.sent }

// Taken reports that the other side has read all that was written.
func (e *End) Taken() bool { return len(e.s.peer.in) == 0 }

// EOF reports that the other side has finished and everything has been read.
func (e *End) EOF() bool { return e.s.fin && len(e.s.in) == 0 || e.s.reset }

// Broken reports a reset.
func (e *End) Broken() bool { return e.s.reset }

// CloseWrite sends FIN.
func (e *End) CloseWrite() { e.s.shutdown() }

// Close closes the end.
func (e *End) Close() { e.s.close() }

// Finish closes it too: everything written has gone already.
func (e *End) Finish() { e.s.close() }

// Reset closes it with RST.
func (e *End) Reset() { e.s.abort() }

// Pump does nothing: every call is carried out at once. It is for who plays either an End or a [Secure].
func (e *End) Pump() {}

func (s *socket) write(b []byte) (int, syscall.Errno) {
	switch {
	case s.reset && !s.told:
		s.told = true
		return 0, syscall.ECONNRESET
	case s.reset || s.shut || s.peer == nil:
		return 0, syscall.EPIPE
	case s.peer.closed:
		// The first write after the peer has closed is taken and answered with RST.
		s.resetBy()
		return len(b), 0
	}
	room := s.net.capacity - len(s.peer.in)
	if room <= 0 {
		s.full = true
		return 0, syscall.EAGAIN
	}
	n := min(room, len(b))
	s.sent += int64(n)
	s.peer.in = append(s.peer.in, b[:n]...)
	s.net.moved = true
	s.peer.raise(eventRead)
	return n, 0
}

// drained tells the writer that there is room again.
func (s *socket) drained() {
	s.net.moved = true
	if s.peer != nil && s.peer.full {
		s.peer.full = false
		s.peer.raise(eventWrite)
	}
}

func (s *socket) shutdown() {
	if s.shut || s.closed {
		return
	}
	s.shut = true
	s.net.moved = true
	if s.peer != nil && !s.peer.closed {
		s.peer.fin = true
		s.peer.raise(eventRead | eventHangup)
	}
}

func (s *socket) close() {
	if s.closed {
		return
	}
	if len(s.in) > 0 && !s.reset { // closing with unread input resets (RFC 1122, section 4.2.2.13)
		s.abort()
		return
	}
	s.shutdown()
	s.forget()
	if !s.fin && !s.reset {
		s.port += timeWait
	}
}

func (s *socket) abort() {
	if s.closed {
		return
	}
	if s.peer != nil && !s.peer.closed {
		s.peer.resetBy()
	}
	s.forget()
}

func (s *socket) forget() {
	s.closed = true
	s.net.moved = true
	s.pending = 0
	s.port = s.net.now
	delete(s.net.sockets, s.fd)
}

// resetBy receives RST. What had arrived before may or may not still be readable.
func (s *socket) resetBy() {
	s.reset = true
	s.net.moved = true
	if s.net.rng.IntN(2) == 0 {
		s.in = nil
	}
	s.raise(eventRead | eventWrite | eventHangup | eventError)
}

// String names the machine in failures.
func (n *Net) String() string {
	return fmt.Sprintf("sim at %v, %d sockets", time.Duration(n.now), len(n.sockets))
}

// Dump describes every socket, for failures.
func (n *Net) Dump() string {
	out := ""
	for fd, s := range n.sockets {
		out += fmt.Sprintf("  fd %d local %v kernel %v in %d fin %v shut %v reset %v told %v full %v connecting %v pending %b queued %v listening %v peer %v\n",
			fd, s.local, s.kernel != nil, len(s.in), s.fin, s.shut, s.reset, s.told, s.full, s.connecting, s.pending, s.queued, s.accept != nil, s.peer != nil)
	}
	return out
}
