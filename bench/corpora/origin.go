// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

// origin is the backend of one lane: a raw TCP server that keeps every byte it was sent, judges it while it comes and
// answers each complete request with a tag. It is one goroutine over non-blocking sockets, so that [origin.do] can say
// "everything the gateway has written by now is read": no waiting and no sleeping.
type origin struct {
	address  string
	listener int
	wake     [2]int // a pipe: one byte for each command
	commands chan func()
	stopped  sync.WaitGroup

	// All below belongs to the goroutine; others reach it through do.
	peers     map[int]*peer // by descriptor
	logs      []upstreamLog
	arrivals  []*arrival
	faults    []string
	script    *script
	tunnelled []byte // what came through the tunnel of the script
	closing   bool
}

// peer is one connection from the gateway.
type peer struct {
	fd, id   int
	log      int // index into origin.logs
	used     int // bytes of complete requests
	seq      int
	current  *arrival // begun, not yet complete
	expected bool     // 100 Continue was sent for it
	out      []byte
	// then is what to do when out is written.
	then   after
	paused bool // nothing is read any more, so that a script decides when it goes on
	tunnel bool // it has agreed to another protocol: what comes is none of HTTP's
}

// upstreamLog is all that one upstream connection carried.
type upstreamLog struct {
	bytes    []byte
	complete int   // requests that judge 1 counted
	starts   []int // where they begin
	partial  bool  // ended inside a request,
	last     int   // which begins here
	fault    string
}

// arrival is one request as it came to the origin.
type arrival struct {
	tag      string // "connection.number"
	request  strict.Request
	complete bool
}

// after is what happens to a connection after a scripted answer.
type after uint8

const (
	keepOpen after = iota
	closeConn
	resetConn
)

// script is the raw answer for requests to target, until the case is over: a gateway may try an idempotent one twice.
type script struct {
	target string
	raw    []byte
	then   after
	tunnel bool // the answer agrees to another protocol
}

func newOrigin() (*origin, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 1024)); err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	o := &origin{listener: fd, commands: make(chan func(), 1), peers: map[int]*peer{}}
	o.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port)).String()
	if err := unix.Pipe2(o.wake[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	o.stopped.Add(1)
	go o.run()
	return o, nil
}

// do runs f on the origin's goroutine, after all that has come was read.
func (o *origin) do(f func()) {
	done := make(chan struct{})
	o.commands <- func() {
		o.drain()
		f()
		close(done)
	}
	_, _ = unix.Write(o.wake[1], []byte{0})
	<-done
}

func (o *origin) stop() {
	o.do(func() { o.closing = true })
	o.stopped.Wait()
}

func (o *origin) run() {
	defer o.stopped.Done()
	for !o.closing {
		fds := []unix.PollFd{{Fd: int32(o.wake[0]), Events: unix.POLLIN}, {Fd: int32(o.listener), Events: unix.POLLIN}}
		for fd, p := range o.peers {
			events := int16(0)
			if !p.paused {
				events = unix.POLLIN
			}
			if len(p.out) > 0 {
				events |= unix.POLLOUT
			}
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: events})
		}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("origin: poll: %v", err))
		}
		var b [64]byte
		for {
			if n, _ := unix.Read(o.wake[0], b[:]); n <= 0 {
				break
			}
		}
		o.drain()
		select {
		case f := <-o.commands:
			f()
		default:
		}
	}
	for _, p := range o.peers {
		o.drop(p, keepOpen)
	}
	_ = unix.Close(o.listener)
	_ = unix.Close(o.wake[0])
	_ = unix.Close(o.wake[1])
}

// drain accepts and reads until the kernel has nothing more.
func (o *origin) drain() {
	for {
		fd, _, err := unix.Accept4(o.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			break
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		o.peers[fd] = &peer{fd: fd, id: len(o.logs), log: len(o.logs)}
		o.logs = append(o.logs, upstreamLog{})
	}
	for _, p := range o.peers {
		o.flush(p)
		o.read(p)
	}
}

func (o *origin) read(p *peer) {
	buf := make([]byte, 64<<10)
	for !p.paused && o.peers[p.fd] == p {
		n, err := unix.Read(p.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil || n == 0:
			o.drop(p, keepOpen)
			return
		default:
			if p.tunnel {
				o.tunnelled = append(o.tunnelled, buf[:n]...)
				continue
			}
			l := &o.logs[p.log]
			l.bytes = append(l.bytes, buf[:n]...)
			o.judge(p)
		}
	}
}

// judge reads the requests that are there and answers those that are complete.
func (o *origin) judge(p *peer) {
	l := &o.logs[p.log]
	for p.used < len(l.bytes) && o.peers[p.fd] == p {
		req, n, status, fault := strict.NextRequest(l.bytes[p.used:], strict.Forwarded)
		if status == strict.Bad {
			l.fault = fmt.Sprintf("%s in %.200q", fault, l.bytes[p.used:])
			o.faults = append(o.faults, l.fault)
			o.drop(p, resetConn)
			return
		}
		if req.Head && p.current == nil {
			p.seq++
			p.current, p.expected = &arrival{tag: fmt.Sprintf("%d.%d", p.id, p.seq)}, false
			o.arrivals = append(o.arrivals, p.current)
		}
		if p.current != nil {
			req.Body = append([]byte(nil), req.Body...)
			p.current.request = req
		}
		if status == strict.Incomplete {
			l.partial, l.last = true, p.used
			if req.Head && !p.expected && req.Get("Expect") != "" {
				p.expected = true
				o.send(p, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
			}
			return
		}
		p.current.complete = true
		l.partial = false
		l.complete++
		l.starts = append(l.starts, p.used)
		p.used += n
		o.answer(p, p.current)
		p.current = nil
	}
}

// answer sends the tagged 200, or what the script says.
func (o *origin) answer(p *peer, a *arrival) {
	if s := o.script; s != nil && a.request.Target == s.target {
		p.then, p.tunnel = s.then, s.tunnel
		o.send(p, s.raw)
		return
	}
	body := a.tag + " " + a.request.Method + " " + a.request.Target + "\n"
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nOrigin-Tag: %s\r\n", len(body), a.tag)
	if a.request.Close {
		b.WriteString("Connection: close\r\n")
		p.then = closeConn
	}
	b.WriteString("\r\n")
	if a.request.Method != "HEAD" {
		b.WriteString(body)
	}
	o.send(p, []byte(b.String()))
}

func (o *origin) send(p *peer, b []byte) {
	p.out = append(p.out, b...)
	o.flush(p)
}

func (o *origin) flush(p *peer) {
	for len(p.out) > 0 {
		n, err := unix.Write(p.fd, p.out)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			o.drop(p, keepOpen)
			return
		}
		p.out = p.out[n:]
	}
	if p.then != keepOpen {
		o.drop(p, p.then)
	}
}

// drop closes the connection; how says whether the other side sees an end or a reset.
func (o *origin) drop(p *peer, how after) {
	if o.peers[p.fd] != p {
		return
	}
	if how == resetConn {
		_ = unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	}
	_ = unix.Close(p.fd)
	delete(o.peers, p.fd)
}
