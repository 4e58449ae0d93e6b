// SPDX-License-Identifier: EUPL-1.2

package simsys

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/gateway/loop"
)

type flags = loop.Flags

const (
	eventRead   = loop.EventRead
	eventWrite  = loop.EventWrite
	eventHangup = loop.EventHangup
	eventError  = loop.EventError
)

// Kernel is one loop's kernel on a machine.
type Kernel struct {
	net    *Net
	queue  []*socket // sockets with events to report
	awake  bool
	woken  bool
	sleep  int64 // the timeout of the last Wait that found nothing
	slept  int64 // of the time that has passed
	asleep int64 // of that, since a Wait that has not ended for the loop
	closed bool
}

// Kernel returns a new loop's kernel.
func (n *Net) Kernel() *Kernel {
	k := &Kernel{net: n}
	n.kernels = append(n.kernels, k)
	return k
}

// Sleep returns how long the loop wanted to wait when it last found nothing: negative for ever.
func (k *Kernel) Sleep() time.Duration { return time.Duration(k.sleep) }

// raise queues an event for the owner of s.
func (s *socket) raise(f flags) {
	if s.kernel == nil || s.closed {
		return
	}
	s.pending |= f
	if !s.queued {
		s.queued = true
		s.kernel.queue = append(s.kernel.queue, s)
	}
}

// Worked implements loop.Kernel: all time that passes is worked, but what was stolen or slept.
func (k *Kernel) Worked() int64 { return k.net.now - k.net.stolen - k.slept }

// Now implements loop.Kernel: what the loop sleeps through it sees at the end of its Wait.
func (k *Kernel) Now() (int64, time.Time) {
	now := k.net.now - k.asleep
	return now, time.Unix(1_800_000_000, now)
}

// Add implements loop.Kernel.
func (k *Kernel) Add(fd int32, gen uint32) syscall.Errno {
	s := k.net.sockets[fd]
	if s == nil {
		return syscall.EBADF
	}
	s.kernel, s.gen = k, gen
	// What is there already is reported at once.
	var f flags
	if len(s.in) > 0 || s.fin || s.accept != nil && len(s.accept.queue) > 0 {
		f |= eventRead
	}
	if s.fin {
		f |= eventHangup
	}
	if s.reset {
		f |= eventError | eventHangup | eventRead
	}
	if s.peer != nil && !s.connecting || s.refused != 0 {
		f |= eventWrite
	}
	if s.refused != 0 {
		f |= eventError
	}
	if f != 0 {
		s.raise(f)
	}
	return 0
}

// Remove implements loop.Kernel: nobody else holds a socket here, so closing it is enough.
func (k *Kernel) Remove(int32) {}

// Poll implements loop.Kernel. Like epoll it keeps nothing back of what is there; only Wait's reports may come late.
func (k *Kernel) Poll(events []loop.Event) int {
	n, _ := k.wait(events, 0, 0)
	return n
}

// Wait implements loop.Kernel; it never blocks: see Net.Doze.
func (k *Kernel) Wait(events []loop.Event, timeout int64) (int, int) {
	k.asleep = 0
	return k.wait(events, timeout, k.net.faults.Late)
}

func (k *Kernel) wait(events []loop.Event, timeout int64, late int) (int, int) {
	n := k.net
	if !n.Order {
		n.rng.Shuffle(len(k.queue), func(i, j int) { k.queue[i], k.queue[j] = k.queue[j], k.queue[i] })
	}
	for _, s := range k.queue {
		if s.peer != nil && !s.closed && !s.connecting && !s.reset && n.chance(n.faults.Reset) {
			s.peer.abort()
			s.peer.reset = true // whoever plays that end finds out
		}
	}
	var later []*socket
	out := 0
	for _, s := range k.queue {
		if s.closed {
			s.queued = false
			continue
		}
		if out == len(events) || n.chance(late) {
			later = append(later, s)
			n.moved = true
			continue
		}
		s.queued = false
		f := s.pending
		s.pending = 0
		if s.told { // epoll looks when it is asked: an error that a call has fetched is no error any more
			f &^= eventError
		}
		events[out] = loop.Event{FD: s.fd, Gen: s.gen, Flags: f}
		out++
		n.moved = true
	}
	k.queue = later
	k.sleep = timeout
	if out > 0 || len(later) > 0 || k.awake {
		k.sleep = 0
	}
	k.awake, k.woken = false, k.awake
	if f := n.Midturn; f != nil {
		n.Midturn = nil
		f()
	}
	return out, 0
}

// Woken implements loop.Kernel.
func (k *Kernel) Woken() bool { return k.woken }

// Wake implements loop.Kernel.
func (k *Kernel) Wake() { k.awake, k.net.moved = true, true }

// Accept implements loop.Kernel.
func (k *Kernel) Accept(fd int32) (int32, netip.AddrPort, syscall.Errno) {
	s := k.net.sockets[fd]
	if s == nil || s.accept == nil {
		return -1, netip.AddrPort{}, syscall.EBADF
	}
	if k.net.chance(k.net.faults.Interrupt) {
		return -1, netip.AddrPort{}, syscall.EINTR
	}
	if len(s.accept.queue) == 0 {
		return -1, netip.AddrPort{}, syscall.EAGAIN
	}
	if k.net.exhausted() {
		return -1, netip.AddrPort{}, syscall.EMFILE
	}
	o := s.accept.queue[0]
	s.accept.queue = s.accept.queue[1:]
	return o.fd, o.peer.local, 0
}

// Socket implements loop.Kernel.
func (k *Kernel) Socket(loop.Family) (int32, syscall.Errno) {
	if k.net.chance(k.net.faults.Exhausted) || k.net.exhausted() {
		return -1, syscall.EMFILE
	}
	return k.net.socket().fd, 0
}

// Connect implements loop.Kernel.
func (k *Kernel) Connect(fd int32, to netip.AddrPort) syscall.Errno {
	s := k.net.sockets[fd]
	l := k.net.listeners[to]
	if !k.net.bind(s, to) {
		return syscall.EADDRNOTAVAIL
	}
	switch {
	case l == nil:
		s.refused, s.connecting = syscall.ECONNREFUSED, true
	case l.Silent:
		s.connecting = true
	default:
		k.net.connect(s, l)
	}
	return syscall.EINPROGRESS
}

// ConnectUnix implements loop.Kernel: it is done at once, or not at all.
func (k *Kernel) ConnectUnix(fd int32, path string) syscall.Errno {
	l := k.net.paths[path]
	switch {
	case l == nil:
		return syscall.ENOENT
	case l.Silent || l.closed:
		return syscall.ECONNREFUSED
	case l.Backlog > 0 && len(l.queue) >= l.Backlog || k.net.chance(k.net.faults.Again):
		return syscall.EAGAIN
	}
	k.net.connect(k.net.sockets[fd], l)
	return 0
}

// SocketError implements loop.Kernel.
func (k *Kernel) SocketError(fd int32) syscall.Errno {
	s := k.net.sockets[fd]
	if s == nil {
		return syscall.EBADF
	}
	s.connecting = false
	if s.reset && !s.told {
		s.told = true
		return syscall.ECONNRESET
	}
	return s.refused
}

// Read implements loop.Kernel.
func (k *Kernel) Read(fd int32, b []byte) (int, syscall.Errno) {
	s := k.net.sockets[fd]
	if s == nil {
		return 0, syscall.EBADF
	}
	n := k.net
	if n.chance(n.faults.Interrupt) {
		return 0, syscall.EINTR
	}
	if len(s.in) > 0 {
		if n.chance(n.faults.Again) {
			s.raise(eventRead)
			return 0, syscall.EAGAIN
		}
		take := min(len(b), len(s.in))
		if take > 1 && n.chance(n.faults.Short) { // the rest arrives later, with an event of its own
			take = 1 + n.rng.IntN(take)
		}
		copy(b, s.in[:take])
		s.in = s.in[take:]
		if len(s.in) > 0 {
			s.raise(eventRead)
		}
		s.drained()
		return take, 0
	}
	switch {
	case s.reset && !s.told:
		s.told = true
		return 0, syscall.ECONNRESET
	case s.fin || s.reset:
		return 0, 0
	}
	return 0, syscall.EAGAIN
}

// Write implements loop.Kernel.
func (k *Kernel) Write(fd int32, b []byte) (int, syscall.Errno) {
	s := k.net.sockets[fd]
	if s == nil {
		return 0, syscall.EBADF
	}
	n := k.net
	switch {
	case n.chance(n.faults.Interrupt):
		return 0, syscall.EINTR
	case n.chance(n.faults.Again):
		s.raise(eventWrite)
		return 0, syscall.EAGAIN
	case len(b) > 1 && n.chance(n.faults.Short):
		b = b[:1+n.rng.IntN(len(b)-1)]
	}
	return s.write(b)
}

// Acked implements loop.Kernel.
func (k *Kernel) Acked(fd int32) int64 {
	if s := k.net.sockets[fd]; s != nil {
		return s.sent
	}
	return 0
}

// Peek implements loop.Kernel.
func (k *Kernel) Peek(fd int32) syscall.Errno {
	s := k.net.sockets[fd]
	if s != nil && len(s.in) == 0 && !s.fin && !s.reset {
		return syscall.EAGAIN
	}
	return 0
}

// ShutdownWrite implements loop.Kernel.
func (k *Kernel) ShutdownWrite(fd int32) {
	if s := k.net.sockets[fd]; s != nil {
		s.shutdown()
	}
}

// Close implements loop.Kernel.
func (k *Kernel) Close(fd int32) {
	delete(k.net.pipes, fd)
	if s := k.net.sockets[fd]; s != nil {
		s.kernel = nil
		if s.accept != nil {
			for i, o := range s.accept.loops {
				if o == s {
					s.accept.loops = append(s.accept.loops[:i], s.accept.loops[i+1:]...)
					break
				}
			}
			if len(s.accept.loops) == 0 {
				s.accept.Close()
			}
		}
		s.close()
	}
}

// Reset implements loop.Kernel.
func (k *Kernel) Reset(fd int32) {
	if s := k.net.sockets[fd]; s != nil {
		s.kernel = nil
		s.abort()
	}
}

// Release implements loop.Kernel.
func (k *Kernel) Release() { k.closed = true }
