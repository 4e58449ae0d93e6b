// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"net/netip"
	"syscall"
)

// Dial starts connecting to an address. On success the owner's Connected will be called, also when the connect is
// already complete; a local failure (no descriptor, no port) is returned instead and nothing is called.
func (l *Loop) Dial(to netip.AddrPort, s *Stream, owner Owner) syscall.Errno {
	family := IPv4
	if !to.Addr().Is4() {
		family = IPv6
	}
	fd, err := l.kernel.Socket(family)
	if err != 0 {
		return err
	}
	*s = Stream{loop: l, owner: owner, fd: fd, connecting: true, side: dialed, peer: to, moved: l.now}
	return s.dialing(l.kernel.Connect(fd, to))
}

// DialUnix is Dial for the Unix socket at a path. EAGAIN says that its queue is full: it may be tried again.
func (l *Loop) DialUnix(path string, s *Stream, owner Owner) syscall.Errno {
	fd, err := l.kernel.Socket(Unix)
	if err != 0 {
		return err
	}
	*s = Stream{loop: l, owner: owner, fd: fd, connecting: true, side: dialed, moved: l.now}
	return s.dialing(l.kernel.ConnectUnix(fd, path))
}

// dialing takes a socket whose connect has begun, or has failed already.
func (s *Stream) dialing(err syscall.Errno) syscall.Errno {
	l, fd := s.loop, s.fd
	if err != 0 && err != syscall.EINPROGRESS {
		l.kernel.Close(fd)
		s.closed = true
		return err
	}
	// Registered after connect: a fresh socket would report a hang-up first.
	if s.gen, err = l.register(fd, s); err != 0 {
		l.kernel.Close(fd)
		s.closed = true
		return err
	}
	s.watched = true
	l.streams++
	return 0
}

// Adopt makes a stream of a connected descriptor, which the loop owns from now on. Its peer has most likely spoken: the
// owner is asked to read in this turn, and only then is epoll asked to watch.
func (l *Loop) Adopt(fd int32, peer netip.AddrPort, s *Stream, owner Owner) {
	*s = Stream{loop: l, owner: owner, fd: fd, side: accepted, peer: peer, moved: l.now, readable: true}
	s.gen = l.own(fd, s)
	l.streams++
	l.fresh = append(l.fresh, s)
	s.Again()
}

// unwatched is how long a patient stream goes without epoll, nanoseconds.
const unwatched = 20e6

// watchFresh ends the turn of what was adopted in it.
func (l *Loop) watchFresh() (adopted int) {
	adopted = len(l.fresh)
	for i, s := range l.fresh {
		l.fresh[i] = nil
		switch {
		case !s.patient || s.listed:
			s.watch()
		case !s.watched && !s.closed:
			if len(l.patient) == 0 {
				l.SetTimer(&l.patience, (*impatient)(l), l.now+unwatched)
			}
			l.patient = append(l.patient, s)
		}
	}
	l.fresh = l.fresh[:0]
	return adopted
}

// impatient are streams that were patient for long enough.
type impatient Loop

// Expire has them watched.
func (p *impatient) Expire(int64) {
	for i, s := range p.patient {
		p.patient[i] = nil
		s.watch()
	}
	p.patient = p.patient[:0]
}
