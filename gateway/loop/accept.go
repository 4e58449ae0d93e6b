// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"net/netip"
	"syscall"
)

const (
	// acceptBatch bounds how many connections one listener takes per turn, so that a flood of new ones does not
	// starve those that are being served.
	acceptBatch = 64
	// acceptRetry is how long a listener waits after EMFILE, ENFILE, ENOBUFS or ENOMEM, or while there are as many
	// connections as allowed; epoll will not report the waiting ones a second time.
	acceptRetry = 100e6
)

// Accepted takes a new connection on the loop that shall own it. It must Adopt or close the descriptor.
type Accepted func(l *Loop, fd int32, peer netip.AddrPort)

// Listener is a listening socket of one loop.
type Listener struct {
	loop   *Loop
	fd     int32
	take   func(l *Loop) Accepted
	timer  Timer
	closed bool
}

// Listen accepts connections from a listening descriptor and gives each to take, asked for the loop that was chosen.
// To be called on the loop's thread or before Run.
func (l *Loop) Listen(fd int32, take func(l *Loop) Accepted) (*Listener, syscall.Errno) {
	ln := &Listener{loop: l, fd: fd, take: take}
	if _, err := l.register(fd, ln); err != 0 {
		return nil, err
	}
	return ln, 0
}

func (ln *Listener) event(Flags) {
	l := ln.loop
	for range acceptBatch {
		if l.full() {
			ln.later()
			return
		}
		fd, peer, err := l.kernel.Accept(ln.fd)
		switch err {
		case 0:
			l.stats.Accepted++
			ln.place(fd, peer)
			continue
		case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO:
			continue
		case syscall.EAGAIN:
			return
		}
		ln.later()
		return
	}
	// Edge-triggered: what is left in the queue is not reported again, so come back next turn.
	l.Post(func() {
		if !ln.closed {
			ln.event(EventRead)
		}
	})
}

func (ln *Listener) foresee(Flags) {}

func (ln *Listener) answers() bool { return false }

// full reports that there are as many accepted connections as allowed.
func (l *Loop) full() bool {
	taken, most := l.Places()
	return most > 0 && taken >= most
}

func (ln *Listener) later() {
	ln.loop.stats.AcceptErrors++
	ln.loop.wheel.set(&ln.timer, ln, ln.loop.now+acceptRetry, ln.loop.now)
}

// Expire tries again after a failed accept.
func (ln *Listener) Expire(int64) {
	if !ln.closed {
		ln.event(EventRead)
	}
}

// place gives the connection to the loop with fewest when this one has more than the mean and two: SO_REUSEPORT alone
// is uneven [4 connections: one of two loops gets three or more in 66 % of trials].
func (ln *Listener) place(fd int32, peer netip.AddrPort) {
	l := ln.loop
	to := l
	if len(l.peers) > 1 {
		sum, fewest := int32(0), l.accepted.Load()
		for _, p := range l.peers {
			n := p.accepted.Load()
			sum += n
			if n < fewest {
				to, fewest = p, n
			}
		}
		if int(l.accepted.Load())*len(l.peers) <= int(sum)+2*len(l.peers) {
			to = l
		}
	}
	to.accepted.Add(1)
	take := ln.take(to)
	if to == l {
		take(l, fd, peer)
		return
	}
	l.stats.Moved++
	to.Post(func() { take(to, fd, peer) })
}

// Refuse resets a connection that was accepted for this loop and is not adopted.
func (l *Loop) Refuse(fd int32) {
	l.kernel.Reset(fd)
	l.Release()
}

// Places returns how many accepted connections all loops have open and how many they may have, 0 for any number.
func (l *Loop) Places() (taken, most int32) {
	for _, p := range l.peers {
		taken += p.accepted.Load()
	}
	return taken, l.most
}

// Release counts an accepted connection as closed.
func (l *Loop) Release() { l.accepted.Add(-1) }

// Close takes what is in the queue and closes the listening descriptor: a connection that the kernel has accepted for
// us is served, not reset.
func (ln *Listener) Close() {
	if ln.closed {
		return
	}
	for range 64 * acceptBatch {
		fd, peer, err := ln.loop.kernel.Accept(ln.fd)
		if err == syscall.EINTR || err == syscall.ECONNABORTED {
			continue
		}
		if err != 0 {
			break
		}
		ln.loop.stats.Accepted++
		ln.place(fd, peer)
	}
	ln.shut()
}

func (ln *Listener) shut() {
	if ln.closed {
		return
	}
	ln.closed = true
	ln.loop.wheel.stop(&ln.timer)
	ln.loop.fds[ln.fd].owner = nil
	ln.loop.kernel.Remove(ln.fd) // another process may have inherited the socket
	ln.loop.kernel.Close(ln.fd)
}
