// SPDX-License-Identifier: EUPL-1.2

package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/proc"
	"github.com/pvgate/pvgate/bench/sock"
)

// client is one connection. Its states in order of life:
//
//	connecting → free → busy → free … → closing (ReconnectEach) → connecting
//
// It is edge-triggered: readable and writable are announced once each time they
// become so, thus no epoll_ctl per request.
type client struct {
	fd      int
	state   clientState
	ans     answer
	any     bool       // an octet of the answer was seen
	hup     bool       // the server has closed its side
	pending []byte     // of the request, what the socket did not take
	in      []byte     // of the answer, what the reader could not use yet
	layer   *layer     // nil without TLS
	many    *multiplex // nil without HTTP/2
	due     time.Duration
	sent    time.Duration
}

type clientState uint8

const (
	connecting clientState = iota
	free
	busy
	closing
)

const (
	readSize   = 256 << 10
	clearSize  = 16 << 10 // a record
	eventCount = 256
	sweepEvery = 100 * time.Millisecond
	// alarmID marks the timer in epoll data; clients use their index.
	alarmID = -1
	edges   = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
)

type engine struct {
	o       Options
	res     Result
	ep      int
	alarm   alarm
	sa      unix.Sockaddr
	family  int
	clients []client
	freeIDs []int32
	buf     []byte
	clear   []byte // what TLS has opened of buf
	next    int
	lists   [][]hpack.HeaderField // the requests, over HTTP/2
	alike   bool                  // all of them, but for their paths
	base    time.Time
	now     time.Duration // since base, read after each wait and at each answer

	open    bool
	pace    pace
	backlog queue

	measuring  bool
	from, till time.Duration // measured time; till = 0: no end but Count
	ended      bool          // nothing new is sent
	finished   uint64        // answered or failed, warm-up included
	inFlight   int
}

func newEngine(o Options) (*engine, error) {
	e := &engine{o: o, open: o.Rate > 0, next: o.First % len(o.Requests), buf: make([]byte, readSize)}
	e.sa, e.family = sock.Address(o.Address)
	var err error
	if e.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if e.alarm, err = newAlarm(); err != nil {
		_ = unix.Close(e.ep)
		return nil, err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: alarmID}
	if err := unix.EpollCtl(e.ep, unix.EPOLL_CTL_ADD, e.alarm.fd, &ev); err != nil {
		e.shut()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if o.TLS != nil {
		e.clear = make([]byte, clearSize)
	}
	if o.Streams > 0 {
		if e.lists, err = lists(o.Requests); err != nil {
			e.shut()
			return nil, err
		}
		e.alike, e.o.TLS = alike(e.lists), secureMultiplex(o.TLS)
	}
	if e.open {
		e.pace = newPace(o.Rate, o.Poisson, o.Seed)
		e.backlog.init(o.MaxBacklog)
	}
	return e, nil
}

func (e *engine) shut() {
	for i := range e.clients {
		if e.clients[i].fd >= 0 {
			_ = unix.Close(e.clients[i].fd)
		}
	}
	_ = unix.Close(e.alarm.fd)
	_ = unix.Close(e.ep)
}

func (e *engine) tick() time.Duration {
	e.now = time.Since(e.base)
	return e.now
}

func (e *engine) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if e.o.Rate > 0 {
		defer proc.GoFirst()()
	}
	e.base = time.Now()
	e.from = e.o.WarmUp
	if e.o.Duration > 0 {
		e.till = e.o.WarmUp + e.o.Duration
	}
	if e.o.WarmUp == 0 {
		e.begin()
	}
	e.clients = make([]client, e.o.Conns)
	for i := range e.clients {
		e.clients[i].fd = -1
	}
	for i := range e.clients {
		e.connect(int32(i))
	}
	events := make([]unix.EpollEvent, eventCount)
	sweep := sweepEvery
	for {
		n, errno := sock.Wait(e.ep, events, int(sweepEvery/time.Millisecond), e.o.Alone)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", errno)
		}
		if e.phase() {
			return nil
		}
		for i := range n {
			if ev := &events[i]; ev.Fd == alarmID {
				e.alarm.drain()
			} else {
				e.ready(ev.Fd, ev.Events)
			}
		}
		if e.open {
			if err := e.release(); err != nil {
				return err
			}
		}
		if e.now >= sweep {
			sweep = e.now + sweepEvery
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("stopped early: %w", err)
			}
			e.expire()
		}
	}
}

// phase moves warm-up → measured → ended and tells whether all is done.
func (e *engine) phase() bool {
	now := e.tick()
	if !e.measuring && !e.ended && now >= e.from {
		e.begin()
	}
	over := e.till > 0 && now >= e.till || e.o.Count > 0 && e.finished >= e.o.Count
	if over && !e.ended {
		e.ended = true
		e.till = min(e.till, now)
		if e.till == 0 {
			e.till = now
		}
		e.res.Elapsed = now - e.from
		if e.o.End != nil {
			e.o.End()
		}
		if !e.open {
			e.measuring = false
			return true // what is in flight began in the interval and ends outside of it
		}
	}
	// An open loop waits for what it has sent: the slow ones matter most.
	return e.ended && e.inFlight == 0 && e.backlog.size == 0 && e.pace.next() >= e.till
}

func (e *engine) begin() {
	e.measuring = true
	if !e.open { // the schedule of an open loop decides by itself what belongs to the interval
		e.from = e.now
		if e.till > 0 {
			e.till = e.now + e.o.Duration
		}
	}
	if e.o.Begin != nil {
		e.o.Begin()
	}
}

func (e *engine) connect(id int32) {
	c := &e.clients[id]
	*c = client{fd: -1, state: connecting, in: c.in[:0], sent: e.now}
	fd, err := sock.Dial(e.sa, e.family)
	if err != nil {
		e.fail(c, &e.res.Refused, err.Error())
		return // expire tries again
	}
	c.fd = fd
	ev := unix.EpollEvent{Events: edges, Fd: id}
	if err := unix.EpollCtl(e.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		e.fail(c, &e.res.Refused, "epoll_ctl: "+err.Error())
		e.hangUp(c)
	}
}

func (e *engine) hangUp(c *client) {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
	c.pending, c.layer, c.many = nil, nil, nil
}

// counts tells whether the request of c belongs to the measured time.
func (e *engine) counts(c *client) bool {
	if e.open {
		return c.due >= e.from && (e.till == 0 || c.due < e.till)
	}
	return e.measuring
}

// fail counts a failed request (or, in state connecting, a failed connection).
func (e *engine) fail(c *client, kind *uint64, why string) {
	n := 1 // request, or connection
	if c.many != nil {
		n = len(c.many.asked)
	}
	if c.state == busy {
		e.inFlight -= n
		e.finished += uint64(n)
	}
	if e.counts(c) || c.state == connecting {
		*kind += uint64(n)
		if e.res.FirstFailure == "" {
			e.res.FirstFailure = why
		}
	}
}

// replace ends the connection after a failure and opens another.
func (e *engine) replace(id int32, kind *uint64, why string) {
	c := &e.clients[id]
	e.fail(c, kind, why)
	c.state = closing
	e.hangUp(c)
	e.connect(id)
}

func (e *engine) ready(id int32, events uint32) {
	c := &e.clients[id]
	if c.fd < 0 {
		return
	}
	if c.state == connecting {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			code, _ := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
			e.fail(c, &e.res.Refused, "connect: "+unix.Errno(code).Error())
			e.hangUp(c)
			return // expire tries again
		}
		if events&unix.EPOLLOUT == 0 {
			return
		}
		if e.o.TLS != nil {
			var err error
			if c.layer, err = newLayer(c.fd, e.o.TLS, e.o.Timeout); err != nil {
				e.fail(c, &e.res.Refused, err.Error())
				e.hangUp(c)
				return // as above
			}
			e.tick()
		}
		if e.o.Streams > 0 {
			e.talk(id)
			return
		}
		e.idle(id)
		return
	}
	if len(c.pending) > 0 && events&unix.EPOLLOUT != 0 {
		if !e.flush(id) {
			return
		}
	}
	c.hup = c.hup || events&unix.EPOLLRDHUP != 0
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.read(id)
	}
}

// idle gives a free connection its next request, if there is one.
func (e *engine) idle(id int32) {
	c := &e.clients[id]
	c.state = free
	if e.ended && !e.open {
		return
	}
	if !e.open {
		e.send(id, e.now)
		return
	}
	if due, ok := e.backlog.pop(); ok {
		e.send(id, due)
		return
	}
	e.freeIDs = append(e.freeIDs, id)
}

// nextRequest is the place of the request that is sent next.
func (e *engine) nextRequest() (at int) {
	at = e.next
	if e.next++; e.next == len(e.o.Requests) {
		e.next = 0
	}
	return at
}

func (e *engine) send(id int32, due time.Duration) {
	c := &e.clients[id]
	msg := e.o.Requests[e.nextRequest()]
	c.state, c.due, c.sent, c.any = busy, due, e.now, false
	c.ans.reset(msg[0] == 'H')
	c.pending = msg
	e.inFlight++
	if c.layer != nil {
		var err error
		if c.pending, err = c.layer.seal(msg); err != nil {
			e.replace(id, &e.res.Lost, err.Error())
			return
		}
	}
	e.flush(id)
}

func (e *engine) flush(id int32) bool {
	c := &e.clients[id]
	for len(c.pending) > 0 {
		n, errno := sock.Send(c.fd, c.pending)
		switch errno {
		case 0:
			c.pending = c.pending[n:]
		case unix.EAGAIN:
			return true
		case unix.EINTR:
		default:
			e.replace(id, &e.res.Lost, "send: "+errno.Error())
			return false
		}
	}
	c.pending = nil
	return e.speak(id) // what was gathered meanwhile
}

func (e *engine) read(id int32) {
	c := &e.clients[id]
	for {
		n, errno := sock.Read(c.fd, e.buf)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno == unix.EINTR:
			continue
		case errno != 0 || n == 0:
			e.gone(id, errno)
			return
		}
		if !e.got(id, e.buf[:n]) || c.fd < 0 {
			return
		}
		// A short read has emptied the socket: the next octet is a new edge. Not so
		// the end, which was announced together with the octets before it.
		if n < len(e.buf) && !c.hup {
			return
		}
	}
}

// got takes what was read. Like take, it reports whether the connection is still the same and may have more.
func (e *engine) got(id int32, b []byte) bool {
	c := &e.clients[id]
	if c.layer == nil {
		return e.take(id, b)
	}
	c.layer.feed(b)
	for {
		n, err := c.layer.open(e.clear)
		take := e.take
		if c.many != nil {
			take = e.frames
		}
		if n > 0 && (!take(id, e.clear[:n]) || c.layer == nil) {
			return false
		}
		switch {
		case errors.Is(err, io.EOF):
			e.gone(id, 0)
			return false
		case err != nil:
			e.gone(id, unix.EPROTO)
			return false
		case n == 0:
			return e.speak(id) // everything that has come is answered before anything is sent
		}
	}
}

// take gives octets to the reader of the answer. It reports whether the
// connection is still the same and may have more.
func (e *engine) take(id int32, b []byte) bool {
	c := &e.clients[id]
	if e.measuring {
		e.res.BytesIn += uint64(len(b))
	}
	if c.state != busy {
		if c.state == free {
			c.due = e.now
		}
		e.replace(id, &e.res.Invalid, "octets without a request")
		return false
	}
	c.any = true
	kept := len(c.in) > 0
	if kept {
		c.in = append(c.in, b...)
		b = c.in
	}
	n, done, err := c.ans.feed(b)
	switch {
	case err != nil:
		e.replace(id, &e.res.Invalid, err.Error())
		return false
	case !done:
		rest := b[n:]
		if kept {
			c.in = c.in[:copy(c.in, rest)]
		} else {
			c.in = append(c.in[:0], rest...)
		}
		return true
	case n < len(b):
		e.replace(id, &e.res.Invalid, "octets after the end of the answer")
		return false
	case len(c.pending) > 0:
		e.replace(id, &e.res.Invalid, "answer before the end of the request")
		return false
	}
	c.in = c.in[:0]
	return e.complete(id)
}

func (e *engine) complete(id int32) bool {
	c := &e.clients[id]
	e.inFlight--
	e.finished++
	e.tick()
	if e.counts(c) {
		start := c.sent
		if e.open {
			start = c.due
		}
		e.score(c.ans.status, c.ans.length, start)
	}
	switch {
	case e.o.ReconnectEach:
		c.state = closing // the server closes first, so that no port of ours waits
		return true
	case c.ans.close || c.hup:
		e.res.Reconnects++
		c.state = closing
		e.hangUp(c)
		e.connect(id)
		return false
	}
	if e.o.Count > 0 && e.finished >= e.o.Count {
		c.state = free
		return false
	}
	e.idle(id)
	return c.state == busy
}

// score counts a whole answer to a request that left at start.
func (e *engine) score(status int, length int64, start time.Duration) {
	e.res.Statuses[status/100]++
	if w := e.o.WantStatus; w != 0 && status != w {
		e.wrong(fmt.Sprintf("status %d, want %d", status, w))
		return
	}
	if w := e.o.WantLength; w >= 0 && length != w {
		e.wrong(fmt.Sprintf("body of %d octets, want %d", length, w))
		return
	}
	e.res.Good++
	e.res.Latency.Record(e.now - start)
}

func (e *engine) wrong(why string) {
	e.res.Wrong++
	if e.res.FirstFailure == "" {
		e.res.FirstFailure = why
	}
}

// gone handles the end of a connection by the other side.
func (e *engine) gone(id int32, errno unix.Errno) {
	c := &e.clients[id]
	switch {
	case c.state == closing:
		e.hangUp(c)
		e.connect(id)
	case c.state == free:
		e.res.Reconnects++
		c.state = closing
		e.hangUp(c)
		e.connect(id)
	case c.state == busy && c.many == nil && c.ans.eof() && errno == 0:
		c.ans.close = true
		if e.complete(id) { // ReconnectEach: closed already
			e.hangUp(c)
			e.connect(id)
		}
	default:
		why := "connection closed before the answer"
		if c.any {
			why = "connection closed inside the answer"
		}
		if errno != 0 {
			why = "read: " + errno.Error()
		}
		e.replace(id, &e.res.Lost, why)
	}
}

// expire replaces connections that wait too long and retries failed ones.
func (e *engine) expire() {
	for i := range e.clients {
		c := &e.clients[i]
		switch {
		case c.fd < 0:
			e.connect(int32(i))
		case c.state == busy && e.now-c.sent > e.o.Timeout:
			e.replace(int32(i), &e.res.TimedOut, fmt.Sprintf("no answer in %v", e.o.Timeout))
		case c.state == connecting && e.now-c.sent > e.o.Timeout:
			e.replace(int32(i), &e.res.Refused, fmt.Sprintf("no connection in %v", e.o.Timeout))
		case c.state == closing && e.now-c.sent > e.o.Timeout:
			e.replace(int32(i), &e.res.Lost, fmt.Sprintf("server did not close in %v", e.o.Timeout))
		}
	}
	if e.ended && e.open { // the backlog can only shrink if something connects
		for e.backlog.size > 0 && e.now > e.till+e.o.Timeout {
			due, _ := e.backlog.pop()
			if due >= e.from {
				e.res.TimedOut++
			}
		}
	}
}
