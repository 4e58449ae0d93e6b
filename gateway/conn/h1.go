// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"bytes"
	"syscall"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
)

// turnRequests bounds how many requests of a batch are answered per turn without waiting for anybody.
const turnRequests = 16

// H1 is one HTTP/1.x client connection. It implements [exchange.Front] and [loop.Owner]; owned by its loop's thread.
type H1 struct {
	*link
	machine http1.Server
	x       *exchange.Exchange // the request in flight, nil between requests
	gather  []byte             // the answer's bytes, not yet written

	awaits    bool  // the wait for the body has begun
	served    bool  // a request has come
	parting   bool  // the client said that this request is its last; of a tunnel: it has finished sending
	minor     uint8 // of the request's version
	lastOne   bool  // the client wants no further request
	bodyDone  bool  // the request has been read to its end
	chunked   bool  // framing of the answer
	closing   bool  // no further request is served
	ended     bool  // the answer has been handed over whole
	tunnel    bool  // HTTP is over: tunnel.go
	finishing bool  // FIN follows when the client has taken everything
}

// http1 gives a link to HTTP/1.1.
func (l *link) http1() *H1 {
	c := &H1{link: l}
	c.machine.Init(l.host.limits)
	l.own(c, c)
	return c
}

// wants reports whether input may be read now.
func (c *H1) wants() bool {
	switch {
	case c.closing || c.stream.Closed():
		return false
	case c.x == nil:
		return c.stream.Pending() == 0
	}
	return !c.bodyDone && c.x.WantsBody() && c.stream.Pending() < maxQueued
}

// Readable reads and feeds until there is nothing more, nobody wants more, or the turn is used up.
func (c *H1) Readable() {
	if c.stream.Lost() { // a write heard of it first
		c.gone()
		return
	}
	if c.tunnel {
		c.pump()
		return
	}
	if c.x != nil && c.x.Parked() && c.stream.Left() {
		// Whoever ends its side after its request may still want the answer (RFC 9112, section 9.6), but hardly who does so
		// while it waits in a queue: most likely it has given up, and others wait behind it.
		c.gone()
		return
	}
	buf := c.host.loop.ReadBuffer()
	got := 0
	for range turnReads {
		if !c.wants() {
			return
		}
		k, n, st, moved := c.next(buf)
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
		if !c.taking {
			c.window += int64(n)
		}
		if moved {
			c.machine.Skip(int64(n))
			c.x.BodyMoved(n)
			got, n = got+n/loop.MovedPerRead, 0
		}
		got += n
		c.feed(buf[:k+n])
		if c.unfed {
			if c.wants() {
				c.stream.Again()
			}
			return
		}
		if !c.wire.Ready() {
			return
		}
		if got >= turnBytes {
			break
		}
	}
	c.stream.Again()
}

// feed uses a batch of input and sends what it gathered.
func (c *H1) feed(b []byte) {
	if c.unfed { // c.in has been copied into b
		c.in, c.unfed = c.in[:0], false
	}
	head := &c.host.head
	for requests := 1; ; {
		if c.x == nil && c.machine.Idle() {
			exchange.Foresee(c.host.services, likelyHost(b))
		}
		n, ev, data := c.machine.Feed(b, head)
		b = b[n:]
		switch ev {
		case http1.More:
			c.more(b)
			return
		case http1.HeadDone:
			head.Upgrade = head.Upgrade && len(b) <= heldBytes && !c.host.draining
			c.begin(head)
		case http1.Data:
			if c.x != nil {
				c.x.Body(data)
			}
		case http1.End:
			if c.bodyDone = true; c.parting {
				c.stream.Patient()
			}
			if c.x != nil {
				c.x.BodyEnd()
				c.x.FlushRequest()
			}
			if c.closing { // nothing is kept for a connection that has ended
				return
			}
			if c.x != nil || c.stream.Pending() > 0 || requests == turnRequests {
				c.retain(b, true)
				return
			}
			requests++
		case http1.Failed:
			c.fault(head.Method, c.machine.Fault())
			return
		}
		if c.closing {
			return
		}
		if c.x != nil && !c.bodyDone && c.x.Expecting() {
			c.retain(b, true)
			c.x.FlushRequest()
			c.wait(int64(c.host.timeouts.Expect))
			return
		}
	}
}

// likelyHost is what a request most likely names as its host, nil if that is not to be seen at a glance: nearly everybody sends
// Host first, and spells it so.
func likelyHost(request []byte) []byte {
	const name = "Host: "
	b := request[bytes.IndexByte(request, '\n')+1:]
	if len(b) < len(name) || string(b[:len(name)]) != name {
		return nil
	}
	b = b[len(name):]
	return b[:max(bytes.IndexByte(b, '\r'), 0)]
}

// more keeps the rest of a batch that the machine cannot use yet.
func (c *H1) more(rest []byte) {
	first := len(c.in) == 0
	c.retain(rest, false)
	switch {
	case c.x != nil:
		c.x.FlushRequest()
		if c.x != nil && !c.bodyDone && !c.awaits {
			c.awaits = true
			c.wait(int64(c.host.timeouts.Body))
		}
	case first && len(rest) > 0 && !c.closing:
		c.wait(int64(c.host.timeouts.Head))
	}
}

// begin starts the exchange of a request.
func (c *H1) begin(h *message.Head) {
	c.minor, c.lastOne, c.bodyDone, c.ended, c.awaits = h.Minor, h.Close, !h.HasBody(), false, false
	c.parting, c.served = h.Close, true
	c.take()
	c.x.Start(c.host.services, c, &c.client, h)
}

// take makes the connection one with a request in flight, release one without.
func (c *H1) take() {
	c.host.active++
	c.x = c.host.stock.Get()
}

func (c *H1) release() {
	c.host.active--
	c.host.stock.Put(c.x)
	c.x = nil
}

// fault ends a request that breaks the protocol: its answer says why, and nothing after it is read.
func (c *H1) fault(method message.Method, f message.Fault) {
	c.lastOne = true
	if c.x != nil {
		c.x.ClientFault(f, c.machine.Cause())
		return
	}
	c.bodyDone, c.ended, c.minor = false, false, 1
	c.take()
	c.x.StartFault(c.host.services, c, &c.client, method, f, c.machine.Cause())
}

// Last ends the connection with the answer that comes.
func (c *H1) Last() { c.lastOne = true }

// Frame decides how the answer is framed. An answer that comes before the request has ended is the last one on the
// connection.
func (c *H1) Frame(length int64, bodyless bool) exchange.Framing {
	last := c.lastOne || !c.bodyDone || c.host.draining || c.host.pressed()
	c.chunked = false
	if !bodyless && length < 0 {
		if c.minor == 1 {
			c.chunked = true
		} else {
			last = true
		}
	}
	c.lastOne = last
	return exchange.Framing{Chunked: c.chunked, Close: last, KeepAlive10: c.minor == 0 && !last}
}

// Room is no limit: one answer at a time is read, and no further while anything waits for the client. When memory is short
// it is read in small pieces: what a client does not take is kept.
func (c *H1) Room() int {
	if c.host.pressed() {
		return 0
	}
	return loop.ReadSize
}

// room returns the buffer that gathers the answer.
func (c *H1) room(n int) []byte {
	if c.gather == nil {
		c.gather = c.host.loop.Buffer(n)
	} else {
		c.gather = c.host.loop.Grow(c.gather, n)
	}
	return c.gather
}

// Head gathers the head of the answer.
func (c *H1) Head(status int, fields []message.Field) {
	c.gather = http1.AppendResponse(c.room(1), status, fields)
}

// Body gathers octets of the answer; a large piece is written from where it stands.
func (c *H1) Body(b []byte) {
	if len(b) < direct {
		if c.chunked {
			c.gather = http1.AppendChunk(c.room(len(b)+32), b)
		} else {
			c.gather = append(c.room(len(b)), b...)
		}
		return
	}
	if c.chunked {
		c.gather = http1.AppendChunkSize(c.room(32), len(b))
	}
	c.write()
	c.large = true
	c.wire.Write(b)
	if c.chunked {
		c.gather = append(c.room(2), "\r\n"...)
	}
}

// End ends the answer.
func (c *H1) End() {
	if c.chunked {
		c.gather = append(c.room(len(http1.LastChunk)), http1.LastChunk...)
	}
	c.ended = true
}

// Continue sends 100 at once.
func (c *H1) Continue() {
	c.wire.Write(continueLine)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

func (c *H1) write() {
	if len(c.gather) > 0 {
		c.wire.Give(c.gather)
		c.gather = nil
	}
	c.giveBack(&c.gather)
}

// Flush sends the answer as far as it is there; after its end the connection goes on to the next request.
func (c *H1) Flush() int {
	c.write()
	c.fin()
	pending := c.stream.Pending()
	if c.ended && c.x != nil {
		c.after()
	}
	if pending > 0 && !c.stream.Closed() {
		c.late()
	}
	return pending
}

// late begins to measure how fast the client takes what is written, if that is not under way.
func (c *H1) late() {
	if !c.taking {
		c.link.late()
		if c.tunnel {
			c.stream.SetTimer(min(c.since+int64(c.host.timeouts.Write), c.x.TunnelDue()))
		}
	}
}

// Stuck says that the client does not take what was written: it is given time, and the backend is not read meanwhile.
func (c *H1) Stuck() {
	c.late()
	if c.x != nil {
		c.x.Stuck()
	}
}

// after leaves an exchange that is over.
func (c *H1) after() {
	c.release()
	c.ended = false
	c.untunnel()
	if c.lastOne || c.host.draining {
		c.closing = true
		c.farewell()
		if c.stream.Flush(); c.stream.Pending() > 0 {
			c.late()
		} else {
			c.close()
		}
		return
	}
	c.wait(c.host.idle())
	if c.unfed || c.wire.Ready() {
		c.stream.Again()
	}
}

// Resume goes on reading the request in the loop's next turn.
func (c *H1) Resume() {
	switch {
	case c.tunnel:
	case c.bodyDone:
		return
	default:
		c.wait(int64(c.host.timeouts.Body))
	}
	c.stream.Again()
}

// Abort breaks the answer off: the client must not take it for a whole one.
func (c *H1) Abort() {
	c.write()
	c.stream.Flush()
	c.leave()
	c.wire.Reset()
}

// Connected is of no meaning for an accepted connection.
func (c *H1) Connected(syscall.Errno) {}

// Drained says that the client has taken what was written.
func (c *H1) Drained() {
	switch {
	case c.closing:
		c.close()
	case c.x != nil:
		c.fin()
		c.x.Drained()
		if c.wire.Ready() && (c.tunnel || c.wants()) {
			c.stream.Again()
		}
	default:
		c.wait(c.host.idle())
		if c.unfed || c.wire.Ready() {
			c.stream.Again()
		}
	}
}

// Broken says that the client has reset the connection.
func (c *H1) Broken() { c.gone() }

func (c *H1) resting(since int64) bool {
	return c.x == nil && !c.closing && c.since <= since && len(c.in) == 0 && c.stream.Pending() == 0
}

// drain closes a connection that has waited for a request for a while; every other one is closed after its present
// answer, or the next: a request may be on its way. A tunnel has a grace.
func (c *H1) drain(now int64) {
	rest := drainFirst
	if c.served {
		rest = drainRest
	}
	if c.resting(c.host.quiet(now, rest)) && c.stream.Healthy() && !c.wire.Ready() {
		c.shut()
	}
	if c.tunnel && now-c.host.drainFrom >= int64(tunnelGrace) {
		c.x.Cut()
	}
}

// slowReader looks how fast a client has taken what waits for it.
func (c *H1) slowReader() {
	if c.tooSlow() {
		if c.x != nil {
			c.x.ClientGone()
		}
		c.leave()
		c.wire.Reset() // the kernel must not keep for it what it does not take
		return
	}
	c.late()
}

func (c *H1) gone() {
	if c.x != nil {
		c.x.ClientGone()
		c.mute()
	}
	c.leave()
	c.part()
}

func (c *H1) cut() {
	if c.x != nil {
		c.x.Cut()
	}
	c.leave()
	c.part()
}

// eof takes the client's FIN: inside a request it is an abort, between requests the end, once the client has its answer.
func (c *H1) eof() {
	if c.x == nil {
		c.stream.Flush()
		if c.stream.Pending() > 0 {
			c.closing = true
			c.late()
			return
		}
	}
	c.gone()
}

// close ends the connection after its last answer.
func (c *H1) close() {
	if c.parting && c.bodyDone && !c.unfed && !c.wire.Ready() {
		c.shut()
		return
	}
	c.linger()
}

// shut closes a connection whose client has all that it gets.
func (c *H1) shut() {
	c.leave()
	c.wire.Close()
}

// leave takes the connection out of the host's account; the stream is closed by the caller.
func (c *H1) leave() {
	c.untunnel()
	if c.x != nil {
		c.release()
	}
	c.giveBack(&c.gather)
	c.closing = true
	c.link.leave()
}

// Expire finds out what the client is late with.
func (c *H1) Expire(now int64) {
	t := &c.host.timeouts
	switch {
	case c.tunnel:
		c.overdue(now)
	case c.stream.Pending() > 0:
		c.slowReader()
	case c.x == nil && len(c.in) > 0:
		c.host.closed[SlowHead]++
		c.fault(message.Other, message.FaultTimeout)
	case c.x == nil && c.served:
		if until := c.since + c.host.idle(); until > now { // less crowded than when the wait began
			c.stream.SetTimer(until)
			return
		}
		c.end(IdleTime)
	case c.x == nil:
		c.end(NoRequest)
	case c.x.Expecting():
		c.x.ExpectTimeout()
		if c.x != nil && c.x.Expecting() {
			c.stream.SetTimer(now + int64(t.Expect))
		}
	case c.wants():
		if !c.taking && c.window < int64(t.Rate)*int64(t.Body)/1e9 {
			c.host.closed[SlowBody]++
			c.fault(message.Other, message.FaultTimeout)
			return
		}
		c.wait(int64(t.Body))
	default:
		c.wait(int64(t.Idle))
	}
}
