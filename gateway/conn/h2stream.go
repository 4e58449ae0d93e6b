// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http2"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
)

// h2stream is one stream of an HTTP/2 connection, from its request's head until its exchange is over and its answer
// appended. It implements [exchange.Front] and [loop.Expirer]; owned by its loop's thread.
type h2stream struct {
	conn  *H2
	id    http2.Stream
	x     *exchange.Exchange // nil when it is over
	timer loop.Timer

	left int64  // octets of the answer's body that are to come, -1 = unknown
	out  []byte // of the answer, for which there is no window; sent of them are appended
	sent int
	owed int // octets of the request's body that the client has not been given back its window for

	since int64 // loop time at which the present wait began
	moved int64 // octets of the body, or of the answer, since then

	bodyDone bool // the request has been read to its end
	sentEnd  bool // the answer's end has been appended
	ended    bool // the answer has been handed over whole
	queued   bool // waits for its turn

	head *message.Head // of a request that was put off, else nil

	tunnel *tunnel // that an extended CONNECT asks for, nil for other requests

	prev, next *h2stream // of those that wait for their turn
}

func (h *Host) newStream() *h2stream {
	if n := len(h.spare); n > 0 {
		s := h.spare[n-1]
		h.spare = h.spare[:n-1]
		return s
	}
	return new(h2stream)
}

func (h *Host) freeStream(s *h2stream) {
	*s = h2stream{}
	if len(h.spare) < freeStreams {
		h.spare = append(h.spare, s)
	}
}

// drop gives back what the stream holds.
func (s *h2stream) drop() {
	c := s.conn
	c.host.loop.StopTimer(&s.timer)
	if s.head != nil {
		s.unput()
	}
	if s.queued {
		c.unqueue(s)
	}
	if s.tunnel != nil {
		s.untunnel()
	}
	c.giveBack(&s.out)
	s.release()
}

func (s *h2stream) release() {
	if s.x != nil {
		s.conn.host.stock.Put(s.x)
		s.x = nil
	}
}

// start starts the exchange of a request.
func (s *h2stream) start(head *message.Head) {
	c, id := s.conn, s.id
	s.x = c.host.stock.Get()
	if head.Connect {
		head.Upgrade, s.tunnel = !c.host.draining, &tunnel{ended: c.machine.Ended(id)}
	}
	if s.x.Start(c.host.services, s, &c.client, head); c.streams[id] != s || s.x == nil {
		return
	}
	switch c.touched = s; {
	case s.tunnel != nil:
		s.x.BodyEnd()
	case !c.machine.Ended(id):
		s.await()
	}
}

// refuse answers a request that cannot be understood.
func (s *h2stream) refuse(method message.Method) {
	c := s.conn
	s.x = c.host.stock.Get()
	s.x.StartFault(c.host.services, s, &c.client, method, c.machine.Fault(), c.machine.Cause())
}

// event takes what the machine has found behind the head.
func (s *h2stream) event(ev http2.Event, data []byte) {
	c := s.conn
	switch {
	case s.head != nil && s.early(ev):
		return
	case s.tunnel == nil:
	case ev == http2.Data:
		s.tunnelData(data)
		return
	case ev == http2.End:
		s.tunnelEnd()
		return
	}
	switch ev {
	case http2.Data:
		s.data(data)
	case http2.End:
		s.bodyDone = true
		if s.x != nil {
			s.x.BodyEnd()
			c.touched = s
		}
	case http2.Reset:
		if s.x != nil {
			s.x.ClientGone()
		}
		c.done(s)
	case http2.Broken:
		if s.x != nil {
			s.x.ClientFault(c.machine.Fault(), c.machine.Cause())
		}
	}
}

// data takes octets of the request's body. Who sends them without waiting for 100 is not made to wait.
func (s *h2stream) data(b []byte) {
	s.owed += len(b)
	if !s.queued {
		s.moved += int64(len(b))
	}
	if s.x == nil {
		return
	}
	if s.x.Expecting() {
		s.x.ExpectTimeout()
	}
	s.x.Body(b)
	s.conn.touched = s
}

// flushRequest sends the backend what a batch has gathered, and opens the client's window again if it takes that.
func (s *h2stream) flushRequest() {
	c, id := s.conn, s.id
	if s.x == nil {
		return
	}
	if s.x.FlushRequest(); c.streams[id] == s && s.x != nil && s.x.WantsBody() {
		s.credit()
	}
}

// credit lets the client send as much as it has sent.
func (s *h2stream) credit() {
	if s.owed > 0 {
		s.conn.machine.Consumed(s.id, s.owed)
		s.owed = 0
	}
}

// wait starts a wait of at most ns.
func (s *h2stream) wait(ns int64) {
	s.since, s.moved = s.conn.host.loop.Now(), 0
	due := s.since + ns
	if s.tunnelling() {
		due = min(due, s.x.TunnelDue())
	}
	s.conn.stream.Arm(&s.timer, s, due)
}

// await begins the wait for the request's body.
func (s *h2stream) await() {
	t := &s.conn.host.timeouts
	if s.x.Expecting() {
		s.wait(int64(t.Expect))
		return
	}
	s.wait(int64(t.Body))
}

// Expire finds out what the client is late with.
func (s *h2stream) Expire(int64) {
	c := s.conn
	t := &c.host.timeouts
	switch {
	case s.tunnelling():
		s.overdue()
	case s.queued && c.stream.Pending() > 0: // the connection's wait
		s.wait(int64(t.Write))
	case s.queued:
		if s.moved < int64(t.Rate)*int64(t.Write)/1e9 {
			s.stalled()
			return
		}
		s.wait(int64(t.Write))
	case s.x == nil || s.bodyDone:
	case s.x.Expecting():
		s.x.ExpectTimeout()
		if s.x != nil && s.x.Expecting() {
			s.wait(int64(t.Expect))
		}
	case s.x.WantsBody() && s.moved < int64(t.Rate)*int64(t.Body)/1e9:
		s.x.ClientFault(message.FaultTimeout, "")
	default:
		s.wait(int64(t.Body))
	}
}

// stalled gives up a stream whose client leaves its window shut.
func (s *h2stream) stalled() {
	if s.x != nil {
		s.x.ClientGone()
	}
	s.conn.machine.Reset(s.id, http2.Cancel)
	s.conn.done(s)
}

// Carries: see link.
func (s *h2stream) Carries(authority []byte) bool { return s.conn.Carries(authority) }

// Frame notes the length; a stream needs no other framing.
func (s *h2stream) Frame(length int64, bodyless bool) exchange.Framing {
	if s.left = length; bodyless {
		s.left = 0
	}
	return exchange.Framing{}
}

// Sink is none: frames stand between the octets of a stream.
func (s *h2stream) Sink() exchange.Sink { return nil }

// Room is as much as the windows let pass. A hundred answers for which there is no window must not be kept whole, nor more
// than the kernel is likely to take in a turn.
func (s *h2stream) Room() int {
	c := s.conn
	if s.queued || c.stream.Pending() > 0 || c.host.pressed() {
		return 0
	}
	return min(c.machine.Room(s.id), turnAnswers-c.given-len(c.gather))
}

// Head appends the head of the answer, with its end if nothing follows.
func (s *h2stream) Head(status int, fields []message.Field) {
	c := s.conn
	s.sentEnd = s.left == 0
	if s.tunnel != nil && status >= 300 {
		s.tunnel.refused(s)
	}
	c.gather = c.machine.AppendHead(c.room(0), s.id, status, fields, s.sentEnd)
}

// Body appends octets of the answer as far as the windows are open, and keeps the rest.
func (s *h2stream) Body(b []byte) {
	c := s.conn
	if s.left > 0 {
		s.left = max(s.left-int64(len(b)), 0)
	}
	last := s.left == 0
	if !s.queued && c.stream.Pending() == 0 {
		for len(b) > 0 {
			k := min(len(b), quantum)
			var n int
			c.gather, n = c.machine.AppendData(c.room(k), s.id, b[:k], last && k == len(b))
			if b = b[n:]; n < k {
				break
			}
		}
		s.sentEnd = last && len(b) == 0
	}
	if len(b) > 0 {
		s.keep(b)
	}
}

// keep queues octets of the answer.
func (s *h2stream) keep(b []byte) {
	c := s.conn
	if s.out == nil {
		s.out = c.host.loop.Buffer(len(b))
	}
	s.out = append(c.host.loop.Grow(s.out, len(b)), b...)
	if !s.queued {
		c.queue(s)
		s.wait(int64(c.host.timeouts.Write))
	}
}

// pump appends what waits, a quantum at most, and queues the stream again if there is more. It returns how much it was.
func (s *h2stream) pump() int {
	c := s.conn
	rest := s.out[s.sent:]
	k := min(len(rest), quantum)
	last := k == len(rest) && (s.ended || s.left == 0)
	var n int
	c.gather, n = c.machine.AppendData(c.room(k), s.id, rest[:k], last)
	s.sent += n
	s.moved += int64(n)
	if s.sent < len(s.out) {
		c.queue(s)
		return n
	}
	s.sentEnd = s.sentEnd || last
	c.giveBack(&s.out)
	s.sent = 0
	switch {
	case s.x == nil: // over before
		c.done(s)
	case s.tunnelling():
		c.stream.Arm(&s.timer, s, s.x.TunnelDue())
		s.x.Drained()
	case !s.bodyDone:
		s.wait(int64(c.host.timeouts.Body))
		s.x.Drained()
	default:
		c.host.loop.StopTimer(&s.timer)
		s.x.Drained()
	}
	return n
}

// End ends the answer.
func (s *h2stream) End() {
	c := s.conn
	s.ended = true
	if !s.sentEnd && !s.queued {
		c.gather, _ = c.machine.AppendData(c.room(0), s.id, nil, true)
		s.sentEnd = true
	}
}

// Flush sends the answer at the end of the turn; after its end the stream's place is free again.
func (s *h2stream) Flush() int {
	c := s.conn
	c.stream.AtEnd(c)
	if s.ended {
		s.release()
		if !s.queued {
			c.done(s)
			return 0
		}
	}
	return len(s.out) - s.sent + c.stream.Pending()
}

// Continue says 100 at once.
func (s *h2stream) Continue() {
	c := s.conn
	c.gather = c.machine.AppendHead(c.room(0), s.id, 100, nil, false)
	c.stream.AtEnd(c)
}

// Resume says that the exchange takes more of the request's body.
func (s *h2stream) Resume() {
	if !s.bodyDone && !s.queued && s.tunnel == nil {
		s.wait(int64(s.conn.host.timeouts.Body))
	}
	s.credit()
	s.conn.stream.AtEnd(s.conn)
}

// Abort breaks the answer off: the client must not take it for a whole one.
func (s *h2stream) Abort() {
	code := http2.InternalError
	if s.tunnelling() {
		code = http2.Cancel // RFC 8441, section 5
	}
	s.conn.machine.Reset(s.id, code)
	s.conn.done(s)
}

// Last ends the connection with the streams that there are.
func (s *h2stream) Last() { s.conn.retire() }
