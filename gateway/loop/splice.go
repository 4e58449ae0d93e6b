// SPDX-License-Identifier: EUPL-1.2

package loop

import "syscall"

// pipeSize is how much a pipe holds at best, octets. A pipe with less than pipeLeast is not worth its descriptors: the
// kernel gives a page or two to a user who has many.
const (
	pipeSize  = 512 << 10
	pipeLeast = 64 << 10
)

// piece is how much is moved at a time, octets. Where the kernel paces what it sends (BBR), it sets timers for what the peer does
// not take at once, and one costs as much as asking again several times [1 MiB by pieces of 512 KiB: 268 µs of CPU instead of 218].
const piece = 256 << 10

// pipeKeep is how long pipes that nobody uses are kept, ns.
const pipeKeep = 4e9

// WorthMoving is from how many octets on it is worth it to move them instead of reading and writing them.
const WorthMoving = 32 << 10

// MovedPerRead is how many octets are moved in the time that one is read and written.
const MovedPerRead = 4

// pipe is what octets go through from one socket to another (splice(2)): their pages change hands, and the process never
// sees them.
type pipe struct {
	read, write int32
	size        int
}

// pipe lends an empty pipe, nil if there is none.
func (l *Loop) pipe() *pipe {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p
	}
	if l.piping >= l.mostPipes {
		return nil
	}
	r, w, size, err := l.kernel.Pipe(pipeSize)
	if err != 0 {
		return nil
	}
	p := &pipe{read: r, write: w, size: size}
	l.piping++
	if size < pipeLeast {
		l.mostPipes = l.piping - 1 // there is no use in asking again
		l.dropPipe(p)
		return nil
	}
	return p
}

// dropPipe closes a pipe, and what is in it is lost.
func (l *Loop) dropPipe(p *pipe) {
	l.piping--
	l.kernel.Close(p.read)
	l.kernel.Close(p.write)
}

// keepPipe keeps an empty pipe for the next who wants one, if that is soon.
func (l *Loop) keepPipe(p *pipe) {
	l.pipes = append(l.pipes, p)
	l.SetTimer(&l.pipeTimer, (*unused)(l), l.now+pipeKeep)
}

// unused are a loop's pipes that nobody has wanted for a while.
type unused Loop

// Expire gives their descriptors back.
func (u *unused) Expire(int64) { (*Loop)(u).dropPipes() }

// dropPipes closes those that nobody uses.
func (l *Loop) dropPipes() {
	for _, p := range l.pipes {
		l.dropPipe(p)
	}
	l.pipes = nil
}

// Take moves up to most octets that have come on another stream of the loop to the peer of this one, behind everything
// that was written, without a copy of them. What the kernel does not take at once is Pending, as with Write. n and st are
// those of from.Read. It reports false, and has moved nothing, if that cannot be done now: Read and Write instead.
func (s *Stream) Take(from *Stream, most int64) (n int, st ReadStatus, ok bool) {
	switch {
	case from.closed || from.dead:
		return 0, Failed, true
	case !from.readable:
		from.watch()
		return 0, Again, true
	case s.closed || s.broken || s.connecting:
		return 0, Failed, false
	}
	if s.Flush(); s.Pending() > 0 || s.broken {
		return 0, Failed, false
	}
	p := s.loop.pipe()
	if p == nil {
		return 0, Failed, false
	}
	n, err := s.loop.splice(from.fd, p.write, int(min(most, piece, int64(p.size))))
	switch {
	case err == 0 && n > 0:
		s.through, s.piped = p, n
		s.loop.stats.Spliced += uint64(n)
		if s.moved = s.loop.now; !s.sendPipe() && s.broken {
			s.lose()
		}
		return n, Data, true
	case err == syscall.EINVAL || err == syscall.ENOSYS: // this kernel does not
		s.loop.mostPipes = 0
		s.loop.dropPipe(p)
		s.loop.dropPipes()
		return 0, Failed, false
	}
	s.loop.keepPipe(p)
	from.readable = false
	switch {
	case err == 0 && !from.broken:
		return 0, EOF, true
	case err == syscall.EAGAIN:
		from.watch()
		return 0, Again, true
	}
	from.broken = true
	return 0, Failed, true
}

// splice is the kernel's, without EINTR.
func (l *Loop) splice(from, to int32, n int) (int, syscall.Errno) {
	for {
		moved, err := l.kernel.Splice(from, to, n)
		if err != syscall.EINTR {
			return moved, err
		}
	}
}

// sendPipe gives the kernel what is in the pipe; it reports whether the pipe is empty now. If it is not, the connection may
// have been broken.
func (s *Stream) sendPipe() bool {
	for s.piped > 0 {
		n, err := s.loop.splice(s.through.read, s.fd, s.piped)
		if err == syscall.EAGAIN {
			s.watch()
			return false
		}
		if err != 0 || n == 0 {
			s.broken = true
			return false
		}
		s.piped -= n
		s.moved = s.loop.now
	}
	if s.through != nil {
		s.loop.keepPipe(s.through)
		s.through = nil
	}
	return true
}
