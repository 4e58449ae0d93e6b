// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"syscall"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http2"
	"github.com/pvgate/pvgate/gateway/loop"
)

const (
	// turnStreams bounds how many requests of a batch are begun per turn: each may be a connection to a backend.
	turnStreams = 16
	// quantum is how much of a stream's answer goes out before it is the next one's turn, octets.
	quantum = 16 << 10
	// maxGather is how much is gathered for one write.
	maxGather = 64 << 10
	// turnAnswers is how much of answers is read for one connection per turn, beside a little for each: whether the kernel
	// takes it is known at the turn's end.
	turnAnswers = 256 << 10
)

// H2 is one HTTP/2 client connection; what is one stream's is in h2stream.go. It implements [loop.Owner] and
// [loop.Filler]; owned by its loop's thread.
//
// Whatever is to be said in one turn of the loop, by the machine and by all streams, is gathered and written at its end:
// one call of the kernel, and one record of TLS if it fits.
type H2 struct {
	*link
	machine http2.Server
	streams []*h2stream // by http2.Stream
	gather  []byte      // frames, not yet written
	given   int         // octets given to the wire in this turn

	// first and last are the streams whose answers wait for a window or for the kernel, in the order of their turns.
	first, last *h2stream
	waiting     int

	tunnels int  // streams that are one
	changed bool // one of them has just become one

	touched  *h2stream   // has something of its request gathered for its backend
	deferred []*h2stream // whose requests have not begun, see h2deferred.go
	rest     int64       // loop time since which no stream is live
	head     int64       // loop time since which a frame is on its way, 0 = none is
	warned   int64       // loop time at which the client was told that the end is near, 0 = not yet

	served  bool // a request has come
	busy    bool // counted as one with requests in flight
	leaving bool // the client has been told which stream is its last
	closing bool // nothing is read any more
}

// http2 gives a link to HTTP/2.
func (l *link) http2() *H2 {
	c := &H2{link: l, rest: l.host.loop.Now()}
	c.client.Protocol = exchange.HTTP2
	bounds := &l.host.bounds
	if l.protocols&WebSocket != 0 {
		bounds = &l.host.sockets
	}
	c.machine.Init(bounds)
	l.own(c, c)
	c.gather = c.machine.AppendPreface(c.room(0))
	c.stream.AtEnd(c)
	return c
}

// wants reports whether input may be read now. Much of it makes output at once.
func (c *H2) wants() bool {
	return !c.closing && !c.stream.Closed() && c.stream.Pending()+len(c.gather) < maxQueued
}

// Readable reads and feeds until there is nothing more, too much waits for the client, or the turn is used up.
func (c *H2) Readable() {
	if c.stream.Lost() { // a write heard of it first
		c.gone()
		return
	}
	if c.changed {
		c.catchUp()
	}
	c.read()
	c.beginDeferred()
	if !c.closing {
		c.stream.AtEnd(c)
	}
}

func (c *H2) read() {
	buf := c.host.loop.ReadBuffer()
	got := 0
	for range turnReads {
		if !c.wants() {
			return
		}
		k, n, st := c.receive(buf)
		switch st {
		case loop.Again:
			return
		case loop.EOF:
			c.eof()
			return
		case loop.Failed:
			c.gone()
			return
		}
		got += n
		c.feed(buf[:k+n])
		switch {
		case c.closing:
			return
		case c.unfed && c.wants(), got >= turnBytes:
			c.stream.Again()
			return
		case c.unfed, !c.wire.Ready():
			return
		}
	}
	c.stream.Again()
}

// feed uses a batch of input.
func (c *H2) feed(b []byte) {
	if c.unfed { // c.in has been copied into b
		c.in, c.unfed = c.in[:0], false
	}
	progress := false
	for begun := 0; ; progress = true {
		n, ev, st, data := c.machine.Feed(b, c.host.loop.Now(), &c.host.scratch)
		b = b[n:]
		if c.touched != nil && (ev == http2.More || st != c.touched.id) {
			c.flushRequest()
		}
		switch ev {
		case http2.More:
			if !c.closing {
				c.more(b, progress)
			}
			return
		case http2.HeadDone, http2.Refused:
			begun++
			c.begin(st, ev == http2.Refused)
		case http2.Writable:
			// Whoever waits is asked at the end of the turn.
		case http2.Failed:
			c.failed()
			return
		case http2.Data, http2.End, http2.Reset, http2.Broken:
			if s := c.streams[st]; s != nil {
				s.event(ev, data)
			}
		}
		if c.closing {
			return
		}
		if begun >= turnStreams || !c.wants() {
			c.flushRequest()
			c.retain(b, true)
			c.unfed = true // there may be events left without input
			return
		}
	}
}

// more keeps the rest of a batch that the machine cannot use yet: the beginning of a frame, which has the time of a head.
func (c *H2) more(rest []byte, progress bool) {
	switch {
	case len(rest) == 0 && !c.machine.InHead():
		c.head = 0
	case progress || c.head == 0:
		c.head = c.host.loop.Now()
		c.arm()
	}
	c.retain(rest, false)
}

// begin starts the exchange of a request, or of one that is refused.
func (c *H2) begin(st http2.Stream, refused bool) {
	if !refused && c.machine.Live() > 1 && c.host.pressed() {
		// One at a time, as over HTTP/1.1; what is refused so may be sent again (RFC 9113, section 8.7).
		c.machine.Reset(st, http2.RefusedStream)
		c.machine.Done(st)
		return
	}
	if !c.busy { // the last one may have ended since the machine has told of this
		c.host.active++
	}
	c.served, c.busy = true, true
	s := c.host.newStream()
	s.conn, s.id, s.left = c, st, -1
	for int(st) >= len(c.streams) {
		c.streams = append(c.streams, nil)
	}
	c.streams[st] = s
	head := &c.host.scratch.Head
	switch {
	case refused:
		s.refuse(head.Method)
	case c.machine.Wasteful():
		s.putOff(head)
	default:
		s.start(head)
	}
}

// flushRequest sends a backend what a batch has gathered for it.
func (c *H2) flushRequest() {
	if s := c.touched; s != nil {
		c.touched = nil
		s.flushRequest()
	}
}

// room returns the buffer that gathers frames, with place for n octets of payload.
func (c *H2) room(n int) []byte {
	const frames = 512 // what stands around the payload, and what the machine has to say
	if len(c.gather) > 0 && len(c.gather)+n > maxGather {
		c.write()
	}
	if c.gather == nil {
		c.gather = c.host.loop.Buffer(n + frames)
	}
	c.gather = c.host.loop.Grow(c.gather, n+frames)
	return c.gather
}

// write gives what was gathered to the wire.
func (c *H2) write() {
	if len(c.gather) > 0 {
		c.given += len(c.gather)
		c.large = c.large || len(c.gather) >= direct
		c.wire.Give(c.gather)
		c.gather = nil
	}
	c.giveBack(&c.gather)
}

// Fill writes what this turn has gathered, and what the windows let pass of answers that wait.
func (c *H2) Fill() {
	c.pump()
	c.gather = c.machine.AppendControl(c.room(0))
	c.write()
	c.given = 0
	switch {
	case c.stream.Pending() > 0 && !c.stream.Closed():
		c.late()
	case c.leaving && c.machine.Live() == 0 && !c.closing:
		c.finish()
	case (c.unfed || len(c.deferred) > 0) && c.wants():
		c.stream.Again()
	}
}

// pump appends frames of the answers that wait, a quantum of each in turn.
func (c *H2) pump() {
	for budget, blocked := turnBytes, 0; c.first != nil && blocked < c.waiting; {
		if budget <= 0 || c.stream.Pending() > 0 {
			c.stream.Again() // which asks for the end of its turn
			return
		}
		s := c.first
		c.unqueue(s)
		n := s.pump()
		budget -= n
		if n > 0 {
			blocked = 0
		} else {
			blocked++
		}
	}
}

// queue puts a stream behind all others that wait.
func (c *H2) queue(s *h2stream) {
	s.queued, s.prev, s.next = true, c.last, nil
	if c.last != nil {
		c.last.next = s
	} else {
		c.first = s
	}
	c.last = s
	c.waiting++
}

func (c *H2) unqueue(s *h2stream) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		c.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		c.last = s.prev
	}
	s.queued, s.prev, s.next = false, nil, nil
	c.waiting--
}

// done gives a stream's place back; its exchange is over, and what was to be said has been appended, or never will be.
func (c *H2) done(s *h2stream) {
	s.drop()
	if c.touched == s {
		c.touched = nil
	}
	c.streams[s.id] = nil
	c.machine.Done(s.id)
	c.host.freeStream(s)
	if c.machine.Live() == 0 {
		c.host.active--
		c.busy = false
		if c.rest = c.host.loop.Now(); !c.taking {
			c.since = c.rest
		}
		c.arm()
	}
	if !c.closing {
		c.stream.AtEnd(c)
	}
}

// arm sets the timer to the earliest moment at which the client may be late with something.
func (c *H2) arm() {
	t := &c.host.timeouts
	due := int64(0)
	is := func(at int64) {
		if due == 0 || at < due {
			due = at
		}
	}
	if c.taking {
		is(c.since + int64(t.Write))
	}
	if c.head != 0 {
		is(c.head + int64(t.Head))
	}
	if c.machine.Live() == 0 && !c.taking {
		is(c.rest + c.patience())
	}
	if due != 0 {
		c.stream.SetTimer(due)
	}
}

// patience is how long the connection may be without a request, nanoseconds.
func (c *H2) patience() int64 {
	if c.served {
		return c.host.idle()
	}
	return int64(c.host.timeouts.Head)
}

// Expire finds out what the client is late with.
func (c *H2) Expire(now int64) {
	t := &c.host.timeouts
	switch {
	case c.taking && c.since+int64(t.Write) <= now:
		switch {
		case c.stream.Pending() == 0:
			c.taking = false
		case c.tooSlow():
			c.reset()
			return
		default:
			c.late()
		}
	case c.closing:
	case c.head != 0 && c.head+int64(t.Head) <= now:
		c.host.closed[SlowHead]++
		c.abandon()
		return
	case c.machine.Live() == 0 && c.rest+c.patience() <= now && c.stream.Pending() == 0:
		if c.served {
			c.host.closed[IdleTime]++
		} else {
			c.host.closed[NoRequest]++
		}
		c.finish()
		return
	}
	c.arm()
}

// Stuck says that the client does not take what was written: it is given time, and no backend is read meanwhile.
func (c *H2) Stuck() {
	c.late()
	for _, s := range c.streams {
		if s != nil && s.x != nil {
			s.x.Stuck()
		}
	}
}

// Drained says that the client has taken what was written.
func (c *H2) Drained() {
	c.taking = false
	if c.closing {
		c.close()
		return
	}
	for i := range c.streams {
		if s := c.streams[i]; s != nil && s.x != nil && !s.queued {
			s.x.Drained()
		}
	}
	c.arm()
	c.stream.AtEnd(c)
	if c.unfed || len(c.deferred) > 0 || c.wire.Ready() {
		c.stream.Again()
	}
}

// Connected is of no meaning for an accepted connection.
func (c *H2) Connected(syscall.Errno) {}

// Broken says that the client has reset the connection.
func (c *H2) Broken() { c.gone() }

// failed ends a connection on which nothing can be understood any more.
func (c *H2) failed() {
	cause := BrokenProtocol
	if a := c.machine.Abuse(); a != http2.NotAbused {
		cause = firstAbuse + Cause(a) - 1
	}
	c.host.closed[cause]++
	c.abandon()
}

// abandon ends all exchanges, and the connection after what the machine has to say about it.
func (c *H2) abandon() {
	c.forsake()
	c.finish()
}

// forsake ends all exchanges as if the client had left.
func (c *H2) forsake() {
	for i := range c.streams {
		if s := c.streams[i]; s != nil {
			if s.x != nil {
				s.x.ClientGone()
			}
			c.done(s)
		}
	}
}

// finish ends the connection when everything has been taken.
func (c *H2) finish() {
	c.machine.GoAway(true, http2.NoError)
	c.closing = true
	c.gather = c.machine.AppendControl(c.room(0))
	c.write()
	c.farewell()
	if c.stream.Flush(); c.stream.Pending() > 0 {
		c.late()
		return
	}
	c.close()
}

// close ends the connection after its last answer.
func (c *H2) close() {
	c.clear()
	c.linger()
}

// eof takes the client's FIN: with a request in flight it is an abort, else the end, once the client has its answers.
func (c *H2) eof() {
	if c.machine.Live() == 0 {
		c.write()
		c.stream.Flush()
		if c.stream.Pending() > 0 {
			c.closing = true
			c.late()
			return
		}
	}
	c.gone()
}

// reset breaks the connection off: the kernel must not keep for the client what it does not take.
func (c *H2) reset() {
	c.forsake()
	c.leave()
	c.wire.Reset()
}

func (c *H2) gone() {
	if c.machine.Live() > 0 {
		c.forsake()
		c.mute()
	} else if !c.stream.Lost() && !c.closing {
		c.machine.GoAway(true, http2.NoError)
		c.gather = c.machine.AppendControl(c.room(0))
		c.write()
	}
	c.leave()
	c.part()
}

func (c *H2) cut() {
	for i := range c.streams {
		if s := c.streams[i]; s != nil && s.x != nil {
			s.x.Cut()
		}
	}
	c.machine.GoAway(true, http2.NoError)
	c.gather = c.machine.AppendControl(c.room(0))
	c.write()
	c.leave()
	c.part()
}

// leave takes the connection out of the host's account; the stream is closed by the caller.
func (c *H2) leave() {
	c.clear()
	c.link.leave()
}

// clear gives back what is left.
func (c *H2) clear() {
	c.closing = true
	for i := range c.streams {
		if s := c.streams[i]; s != nil {
			c.done(s)
		}
	}
	c.giveBack(&c.gather)
}

func (c *H2) resting(since int64) bool {
	return c.machine.Live() == 0 && !c.closing && c.rest <= since && len(c.in) == 0 && c.stream.Pending() == 0
}

// drain tells the client that the end is near, and a moment later which stream is its last: what it has sent meanwhile is
// still served (RFC 9113, section 6.8). When all are done the connection is closed.
func (c *H2) drain(now int64) {
	if c.tunnels > 0 && now-c.host.drainFrom >= int64(tunnelGrace) {
		c.cutTunnels()
	}
	switch {
	case c.closing:
		return
	case c.warned == 0:
		c.warned = now
		c.machine.GoAway(false, http2.NoError)
		c.stream.AtEnd(c)
	case now-c.warned >= int64(drainRest):
		c.retire()
	}
}

// retire lets the streams that are live end, and then the connection.
func (c *H2) retire() {
	if !c.leaving {
		c.leaving = true
		c.machine.GoAway(true, http2.NoError)
	}
	c.stream.AtEnd(c)
}
