// SPDX-License-Identifier: EUPL-1.2

// Package origin is the backend of the benchmarks: one thread on one epoll with
// canned answers, as cheap as a server can be, so that a measurement is about
// the proxy before it.
//
// The last path segment picks the length of the answer: 0, 1k, 16k or 1m octets;
// anything else means 1k. A request body, with Content-Length or chunked, is
// read to its end before the answer is sent. HEAD, pipelining, `Expect:
// 100-continue` and `Connection: close` are understood.
//
// The calls you want: [New], [Server.Run].
//
// It deliberately checks nothing: it stands behind the program under test and
// must not spend time on what is not measured.
package origin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/proc"
	"github.com/pvgate/pvgate/bench/sock"
)

const (
	readSize   = 256 << 10
	eventCount = 256
	maxHead    = 64 << 10
	listenID   = -1
	// wait bounds epoll_wait, so that Run notices a done context.
	wait  = 100 * time.Millisecond
	edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
)

// Server is an origin that listens. Run must be called once.
type Server struct {
	// Alone says that this process does nothing else: cheaper, and to be set before
	// Run. Other goroutines get little time then, or none.
	Alone bool

	fd       int
	addr     netip.AddrPort
	requests atomic.Uint64

	ep      int
	conns   []*conn // by descriptor
	buf     []byte
	answers [4]canned
	last    [4]canned // the same, saying that the connection ends
}

type canned struct {
	whole []byte
	head  int
}

// New listens on a; port 0 takes a free one.
func New(a netip.AddrPort) (*Server, error) {
	fd, addr, err := sock.Listen(a)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	s := &Server{fd: fd, addr: addr, ep: -1, buf: make([]byte, readSize)}
	for i, n := range [...]int{0, 1 << 10, 16 << 10, 1 << 20} {
		s.answers[i] = can(n, "")
		s.last[i] = can(n, "Connection: close\r\n")
	}
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Requests is the number of requests answered so far; any goroutine may ask.
func (s *Server) Requests() uint64 { return s.requests.Load() }

func can(n int, field string) canned {
	b := []byte("HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 21 Nov 2026 22:00:00 GMT\r\n" +
		"Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n" +
		"X-Request-Id: 0123456789abcdef\r\n" + field + "Content-Length: " + strconv.Itoa(n) + "\r\n\r\n")
	c := canned{head: len(b)}
	for range n {
		b = append(b, 'x')
	}
	c.whole = b
	return c
}

// Run serves until ctx is done and then closes everything. It locks its thread.
func (s *Server) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if !s.Alone {
		defer proc.GoFirst()()
	}
	defer func() { _ = unix.Close(s.fd) }()
	var err error
	if s.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("origin: epoll: %w", err)
	}
	defer s.shut()
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: listenID}
	if err := unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, s.fd, &ev); err != nil {
		return fmt.Errorf("origin: epoll_ctl: %w", err)
	}
	events := make([]unix.EpollEvent, eventCount)
	for ctx.Err() == nil {
		n, errno := sock.Wait(s.ep, events, int(wait/time.Millisecond), s.Alone)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("origin: epoll_wait: %w", errno)
		}
		for i := range n {
			if ev := &events[i]; ev.Fd == listenID {
				s.accept()
			} else {
				s.ready(int(ev.Fd), ev.Events)
			}
		}
	}
	return nil
}

func (s *Server) shut() {
	for fd, c := range s.conns {
		if c != nil {
			_ = unix.Close(fd)
		}
	}
	s.conns = nil
	_ = unix.Close(s.ep)
}

func (s *Server) accept() {
	for {
		fd, _, err := unix.Accept4(s.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		ev := unix.EpollEvent{Events: edges, Fd: int32(fd)}
		if err := unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			_ = unix.Close(fd)
			continue
		}
		for fd >= len(s.conns) {
			s.conns = append(s.conns, nil)
		}
		s.conns[fd] = &conn{fd: fd}
	}
}

func (s *Server) ready(fd int, events uint32) {
	if fd >= len(s.conns) || s.conns[fd] == nil {
		return
	}
	c := s.conns[fd]
	ok := true
	if len(c.out) > 0 && events&unix.EPOLLOUT != 0 {
		ok = s.resume(c)
	}
	c.hup = c.hup || events&unix.EPOLLRDHUP != 0
	if ok && events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.readable = true
		ok = s.read(c)
	}
	if !ok {
		s.conns[fd] = nil
		_ = unix.Close(fd)
	}
}

// resume sends on what the socket had not taken; then what was read meanwhile
// is answered and, if that was all, the socket is read again.
func (s *Server) resume(c *conn) bool {
	if !s.flush(c) {
		return false
	}
	if len(c.out) > 0 {
		return true
	}
	if len(c.in) > 0 {
		in := c.in
		c.in = nil
		if !s.take(c, in) {
			return false
		}
	}
	return s.read(c)
}

// read reports false when the connection is over.
func (s *Server) read(c *conn) bool {
	for c.readable && len(c.out) == 0 {
		n, errno := sock.Read(c.fd, s.buf)
		switch {
		case errno == unix.EAGAIN:
			c.readable = false
			return true
		case errno == unix.EINTR:
			continue
		case errno != 0 || n == 0:
			return false
		}
		// A short read has emptied the socket, unless its end was announced too.
		if n < len(s.buf) && !c.hup {
			c.readable = false
		}
		b := s.buf[:n]
		if len(c.in) > 0 {
			b = append(c.in, b...)
			c.in = nil
		}
		if !s.take(c, b) {
			return false
		}
	}
	return true
}

// take answers every whole request in b and keeps the rest.
func (s *Server) take(c *conn, b []byte) bool {
	for len(b) > 0 && len(c.out) == 0 {
		n, ev := c.req.feed(b)
		b = b[n:]
		switch ev {
		case more:
			if len(b) > maxHead {
				return false
			}
			c.in = append(c.in[:0], b...)
			return true
		case wantsContinue:
			c.out = continueHead
		case complete:
			s.requests.Add(1)
			a := &s.answers[c.req.size]
			if c.req.close {
				a = &s.last[c.req.size]
			}
			c.out = a.whole
			if c.req.isHead {
				c.out = a.whole[:a.head]
			}
		}
		if !s.flush(c) {
			return false
		}
	}
	if len(b) > 0 {
		c.in = append(c.in[:0], b...)
	}
	return true
}

// flush reports false when the connection is over.
func (s *Server) flush(c *conn) bool {
	for len(c.out) > 0 {
		n, errno := sock.Send(c.fd, c.out)
		switch errno {
		case 0:
			c.out = c.out[n:]
		case unix.EAGAIN:
			return true
		case unix.EINTR:
		default:
			return false
		}
	}
	return !c.req.done || !c.req.close
}
